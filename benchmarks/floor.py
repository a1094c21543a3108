"""The floor: what a person who knows this file and nothing else would write by hand, three statements.

COPY of the raw bytes into a typed table, one pass for all rules, one insert into the partition. It forgives nothing: a
row that cannot be typed ends it, nothing is quarantined, and of a killed run nobody knows anything.
"""

import time
from pathlib import Path

from engage.warehouse import Connection

SOURCE = "floor"
_TABLES = """
create schema if not exists floor;
create unlogged table floor.typed (
    event_id text, student_ref text, occurred_at timestamp, resource_type text, resource_ref text, quantity bigint
);
create table raw.activity__floor partition of raw.activity for values in ('floor');
"""
_GOOD = """
    i.student_id is not null and t.occurred_at::date = %(day)s::date and t.occurred_at < %(written)s
    and t.resource_type in ('quiz', 'forum', 'page', 'assign', 'url') and t.quantity between 1 and 100000
    and t.student_ref ~ '^[0-9]{8}$'
"""
_KNOWN = """
    left join pii.identity as i on i.ref_kind = 'badge' and i.ref = t.student_ref
    and i.valid_from <= t.occurred_at::date and t.occurred_at::date < i.valid_to
"""
_AUDIT = f"""
select
    count(*),
    count(*) filter (where i.student_id is null),
    count(*) filter (where t.occurred_at::date <> %(day)s::date),
    count(*) filter (where t.occurred_at >= %(written)s),
    count(*) filter (where t.resource_type not in ('quiz', 'forum', 'page', 'assign', 'url')),
    count(*) filter (where t.quantity not between 1 and 100000),
    count(*) filter (where t.student_ref !~ '^[0-9]{{8}}$'),
    count(*) filter (where {_GOOD}),
    (select count(*) from (select from floor.typed group by hashtextextended(event_id, 0)) as single)
from floor.typed as t {_KNOWN}
"""
PUBLISH = f"""
with repeated as (
    select event_id, max(ctid) as last from floor.typed group by event_id having count(*) > 1
)
insert into raw.activity__floor (
    source_id, activity_date, batch_id, row_number, event_id, student_id, occurred_at, resource_type, resource_ref,
    quantity
)
select
    'floor', t.occurred_at::date, 0, 0, t.event_id, i.student_id, t.occurred_at at time zone 'Europe/London',
    t.resource_type, t.resource_ref, t.quantity
from floor.typed as t {_KNOWN}
where {_GOOD} and not exists (select from repeated as r where r.event_id = t.event_id and t.ctid < r.last)
"""


def run(connection: Connection, files: list[Path], written: str) -> dict[str, float]:
    """Load, audit and publish each file in a transaction of its own; return the seconds of each stage.

    `written`: the time, as text, before which every event must lie.
    """
    connection.execute(_TABLES)
    # The table has no statistics: one that was read once is not worth them.
    connection.execute("set work_mem = '256MB'; set enable_nestloop = off")
    spent = dict.fromkeys(("load", "audit", "publish"), 0.0)
    for path in files:
        known = {"day": path.stem.removeprefix("events_"), "written": written}
        started = time.perf_counter()
        with connection.transaction():
            connection.execute("truncate floor.typed")
            copying = connection.cursor().copy("copy floor.typed from stdin (format csv, header)")
            with path.open("rb") as file, copying as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
            loaded = time.perf_counter()
            connection.execute(_AUDIT, known).fetchall()
            audited = time.perf_counter()
            connection.execute(PUBLISH, known)
        spent["load"] += loaded - started
        spent["audit"] += audited - loaded
        spent["publish"] += time.perf_counter() - audited
    return spent
