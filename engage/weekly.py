"""What the marts still have to take in: days whose rows changed, and teaching weeks that have ended.

The questions that start a dbt run. The numbers themselves are made in dbt_project.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import LiteralString, cast

from psycopg.rows import class_row

from engage.warehouse import Connection, connect

DUE_AT = time(8)
"""On the Monday after the week, in the time zone of the institution: two hours after the last night's files."""

_DUE = """
with newest as (
    select source_id, max(as_of_date) as as_of_date from raw.term_calendar group by source_id
),
teaching_weeks as (
    select distinct week_start::date as week_start
    from raw.term_calendar
    inner join newest using (source_id, as_of_date)
    cross join generate_series(date_trunc('week', starts_on::timestamp), ends_on, interval '7 days') as week_start
    where kind = 'teaching'
)
select week_start
from teaching_weeks
cross join ops.scoring_parameter as parameter
where
    (week_start + 7 + %(due_at)s::time) at time zone parameter.time_zone <= %(now)s
    and week_start + 6 >= (
        select min(day) from ops.coverage inner join ops.source using (source_id) where category is not null
    )
    and exists (select from raw.enrolments)
"""
_ON_ITS_WAY = """
select count(*)
from (
    select source_id, landed_at as since
    from ops.delivery left join ops.batch using (source_id, delivery_id)
    where state is null or state = 'loading'
    union all
    select source_id, decided_at from ops.decision inner join ops.batch using (batch_id) where is_stale
    union all
    -- what still grows is seen anew at every look, and may do so for ever
    select source_id, seen_at from ops.sighting
    where delivery_id is null and problem is null and seen_at <= %(settled)s
) as waiting
inner join ops.source using (source_id)
cross join ops.scoring_parameter
where since > %(since)s and coalesce(disabled_from > (%(now)s at time zone time_zone)::date, true)
"""
WAITS_AT_MOST = timedelta(hours=12)
"""For what has been seen or landed and is not through the gate: after that it is stuck, and keeps nobody waiting."""
_STANDS_STILL = timedelta(minutes=1)
WAITING = f"""
select count(*) from (
    (select week_start from ({_DUE}) as due except select week_start from ops.publication)
    union all
    select week_start from ops.publication where state = 'pending'
) as waiting
"""  # noqa: S608
REQUEST = f"""
insert into ops.publication (week_start, revision, state, data_as_of, published_at)
select week_start, 1, 'pending', %(now)s, %(now)s from ({_DUE}) as due
on conflict (week_start, revision) do nothing
"""  # noqa: S608
REFRESH = "update ops.publication set data_as_of = %(now)s, published_at = %(now)s where state = 'pending'"


def waiting_weeks(connection: Connection, now: datetime) -> int:
    """Return how many weeks are due and not scored, or still pending."""
    return _count(connection, WAITING, now)


def on_its_way(connection: Connection, now: datetime) -> int:
    """Return how many deliveries have been seen or landed of late, stand still, and are not through the gate yet."""
    return _count(connection, _ON_ITS_WAY, now)


def request_due_weeks(connection: Connection, now: datetime) -> int:
    """Ask for the score of every ended teaching week that has none; return how many weeks are now pending.

    Only weeks from the first day covered by a source that counts, with a roster, and with nothing on its way: what is
    published stays. Weeks still pending (a killed run) are dated anew. Commits.
    """
    with connection.transaction():
        if not on_its_way(connection, now):
            connection.execute(REQUEST, {"now": now, "due_at": DUE_AT})
        return connection.execute(REFRESH, {"now": now}).rowcount


def _count(connection: Connection, query: LiteralString, now: datetime) -> int:
    given = {"now": now, "due_at": DUE_AT, "since": now - WAITS_AT_MOST, "settled": now - _STANDS_STILL}
    row = connection.execute(query, given).fetchone()
    return cast(int, row[0]) if row else 0


@contextlib.contextmanager
def nothing_published(url: str) -> Iterator[None]:
    """Keep batches from being loaded or published meanwhile; everything may still be read.

    A batch published between the rebuild of the days and the scores would count as covered, and its rows as silence.
    """
    with connect(url) as connection:
        connection.execute("lock table ops.batch in share mode")
        yield


@dataclass(frozen=True)
class Touched:
    """Days that wait to be rebuilt."""

    days: int
    last_at: datetime | None


def touched_days(connection: Connection) -> Touched:
    """Return how many (source, day) wait to be rebuilt, and when the last of them was touched."""
    cursor = connection.cursor(row_factory=class_row(Touched))
    return cursor.execute("select count(*) as days, max(touched_at) as last_at from ops.touched_day").fetchall()[0]
