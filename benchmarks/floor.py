"""The floor: what a person who knows these files and nothing else would write by hand, a statement or two a stage.

A file is copied into a typed table, looked over in one pass, and inserted; the marts are the files of floor_sql/. It
forgives nothing: a row that cannot be typed ends it, nothing is quarantined, of a killed run nobody knows anything,
and it knows beforehand that every student is active, every source complete and every group large enough.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import psycopg

from benchmarks.generator import ACTIVITY, ATTENDANCE, FEEDS, FIRST_DAY
from engage.warehouse import Connection

Seconds = dict[str, float]
SQL = Path(__file__).parent / "floor_sql"
SCHEMA = "create schema floor; set datestyle = 'ISO, DMY'; set work_mem = '256MB'; set enable_nestloop = off"
_KNOWN = """
    left join pii.identity as i on i.ref_kind = '{kind}' and i.ref = t.student_ref
    and i.valid_from <= t.{at}::date and t.{at}::date < i.valid_to
"""
_EVENTS = {
    "tables": """
        create unlogged table floor.typed_{feed} (
            event_id text, student_ref text, occurred_at timestamp, resource_type text, resource_ref text,
            quantity bigint
        );
        create table floor.{feed} (
            event_id text, student_id text, activity_date date, occurred_at timestamptz, resource_type text,
            resource_ref text, quantity bigint
        );
        create index on floor.{feed} using brin (activity_date) with (pages_per_range = 16);
    """,
    "good": """
        i.student_id is not null and t.occurred_at::date = %(day)s and t.occurred_at < %(written)s
        and t.resource_type in ('quiz', 'forum', 'page', 'assign', 'url') and t.quantity between 1 and 100000
        and t.student_ref ~ '^[0-9]{{8}}$'
    """,
    "audit": """
        select
            count(*), count(*) filter (where i.student_id is null),
            count(*) filter (where t.occurred_at::date <> %(day)s),
            count(*) filter (where t.occurred_at >= %(written)s),
            count(*) filter (where t.resource_type not in ('quiz', 'forum', 'page', 'assign', 'url')),
            count(*) filter (where t.quantity not between 1 and 100000),
            count(*) filter (where t.student_ref !~ '^[0-9]{{8}}$'), count(*) filter (where {good}),
            (select count(*) from (select from floor.typed_{feed} group by hashtextextended(event_id, 0)) as single)
        from floor.typed_{feed} as t {known}
    """,
    "publish": """
        with repeated as (
            select event_id, max(ctid) as last from floor.typed_{feed} group by event_id having count(*) > 1
        )
        insert into floor.{feed}
        select
            t.event_id, i.student_id, t.occurred_at::date, t.occurred_at at time zone 'Europe/London', t.resource_type,
            t.resource_ref, t.quantity
        from floor.typed_{feed} as t {known}
        where {good} and not exists (select from repeated as r where r.event_id = t.event_id and t.ctid < r.last)
    """,
}
_REGISTER = {
    "tables": """
        create unlogged table floor.typed_{feed} (
            event_id text, student_ref text, starts_at timestamp, ends_at timestamp, session_type text,
            is_mandatory boolean, is_attended boolean, is_late boolean, recorded_at timestamp
        );
        create table floor.{feed} (
            event_id text, student_id text, activity_date date, starts_at timestamptz, ends_at timestamptz,
            session_type text, is_mandatory boolean, is_attended boolean, is_late boolean, recorded_at timestamptz
        );
        create index on floor.{feed} using brin (activity_date) with (pages_per_range = 16);
    """,
    "good": """
        i.student_id is not null and t.starts_at::date = %(day)s and t.starts_at < %(written)s
        and t.ends_at > t.starts_at
        and t.session_type in ('Lecture', 'Seminar', 'Tutorial', 'Laboratory', 'Drop-in')
    """,
    "audit": """
        select
            count(*), count(*) filter (where i.student_id is null),
            count(*) filter (where t.starts_at::date <> %(day)s), count(*) filter (where t.starts_at >= %(written)s),
            count(*) filter (where t.ends_at <= t.starts_at),
            count(*) filter (where t.session_type not in ('Lecture', 'Seminar', 'Tutorial', 'Laboratory', 'Drop-in')),
            count(*) filter (where {good}),
            (select count(*) from (select from floor.typed_{feed} group by hashtextextended(event_id, 0)) as single)
        from floor.typed_{feed} as t {known}
    """,
    "publish": """
        with repeated as (
            select event_id, max(ctid) as last from floor.typed_{feed} group by event_id having count(*) > 1
        )
        insert into floor.{feed}
        select
            t.event_id, i.student_id, t.starts_at::date, t.starts_at at time zone 'Europe/London',
            t.ends_at at time zone 'Europe/London', t.session_type, t.is_mandatory, t.is_attended, t.is_late,
            t.recorded_at at time zone 'Europe/London'
        from floor.typed_{feed} as t {known}
        where {good} and not exists (select from repeated as r where r.event_id = t.event_id and t.ctid < r.last)
    """,
}
_DAILY = """
select
    student_id, '{feed}' as source_id, sum(quantity)::bigint as interactions, count(*) as events,
    min(occurred_at) as first_at, max(occurred_at) as last_at, null::integer as expected, null::integer as attended
from floor.{feed} where activity_date = d.day group by student_id
union all
"""


def statement(feed: str, name: str) -> str:
    """Return a statement of the gate for a feed; it has the parameters `day` and `written`."""
    texts = _REGISTER if feed == ATTENDANCE else _EVENTS
    kind, at = ("student_id", "starts_at") if feed == ATTENDANCE else ("badge", "occurred_at")
    return texts[name].format(feed=feed, known=_KNOWN.format(kind=kind, at=at), good=texts["good"].format())


def take_in(connection: Connection, drop: Path, feeds: Sequence[str], days: Sequence[date], written: str) -> Seconds:
    """Load, audit and publish the files of these days, each in a transaction; return the seconds of each stage.

    `drop`: the folder of generator.write; `written`: the time, as text, before which every event must lie.
    """
    spent: Seconds = defaultdict(float)
    for day in days:
        for feed in feeds:
            known = {"day": day, "written": written}
            with connection.transaction():
                began = time.perf_counter()
                connection.execute(f"truncate floor.typed_{feed}".encode())
                copying = connection.cursor().copy(f"copy floor.typed_{feed} from stdin (format csv, header)".encode())
                with (drop / feed / f"{feed}_{day:%Y%m%d}.csv").open("rb") as file, copying as copy:
                    while block := file.read(1 << 20):
                        copy.write(block)
                loaded = time.perf_counter()
                cursor = psycopg.ClientCursor(connection)
                cursor.execute(statement(feed, "audit").encode(), known).fetchall()
                audited = time.perf_counter()
                cursor.execute(statement(feed, "publish").encode(), known)
                spent["load"] += loaded - began
                spent["audit"] += audited - loaded
            spent["publish"] += time.perf_counter() - audited
    return spent


def marts(connection: Connection, days: Sequence[date], weeks: Sequence[date], is_night: bool) -> Seconds:
    """Build every mart of these days and weeks from what was taken in; return the seconds of each stage."""
    spent: Seconds = defaultdict(float)
    daily = "".join(_DAILY.format(feed=feed) for feed in ACTIVITY)
    spent["daily activity"] = _time(connection, "daily", {"days": list(days)}, activity=daily)
    when = {"days": list(days), "day": days[-1], "first": FIRST_DAY}
    if is_night:
        spent["activity windows"] = _time(connection, "windows_night", when)
    else:
        spent["activity windows"] = sum(_time(connection, "windows_term", {**when, "source": feed}) for feed in FEEDS)
    spent["daily rating"] = _time(connection, "rating_night" if is_night else "rating_term", when)
    spent["silence"] = _time(connection, "silence_night" if is_night else "silence_term", when)
    for stage, name in {"weekly score": "score", "trends": "trends", "explanation": "explanation"}.items():
        spent[stage] = sum(_time(connection, name, {"week": week}) for week in weeks)
    return spent


def prepare(connection: Connection, feeds: Sequence[str] = FEEDS) -> None:
    """Make the schema and the tables of the gate, and set the session."""
    connection.execute(SCHEMA)
    for feed in feeds:
        connection.execute(statement(feed, "tables").encode())


def prepare_marts(connection: Connection) -> None:
    """Make the tables of the marts, and read what is known beforehand: the roster is in the warehouse."""
    connection.execute((SQL / "prepare.sql").read_bytes())


def _time(connection: Connection, name: str, values: dict[str, object], **texts: str) -> float:
    began = time.perf_counter()
    text = (SQL / f"{name}.sql").read_text()
    for key, part in texts.items():
        text = text.replace("{" + key + "}", part)
    with connection.transaction():
        psycopg.ClientCursor(connection).execute(text.encode(), values)
    return time.perf_counter() - began
