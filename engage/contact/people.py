"""What a letter says of a student besides its cause: who it is, how they fare, who is in touch, what they say.

Read at once for all students of a delivery. Which words it becomes is people_letters.py's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

from psycopg import sql
from psycopg.rows import class_row

from engage.contact.recipients import Waiting, newest_lists
from engage.warehouse import Connection

_RECENT = timedelta(days=35)
"""An older score says nothing of how somebody fares."""
_STUDENTS = f"""
with newest as materialized ({newest_lists("student_notes")}),
notes as materialized (
    select distinct on (n.student_id) n.student_id, n.note, n.written_at
    from newest inner join staging.stg_feeds__student_notes as n using (source_id, as_of_date)
    order by n.student_id, n.written_at desc, n.note_id desc
)
select
    asked.student_id,
    nullif(btrim(p.given_name), '') as given_name,
    nullif(btrim(concat_ws(' ', p.given_name, p.family_name)), '') as name,
    coalesce(s.programme_name, s.programme_code) as programme,
    s.year_of_study,
    t.week_start, t.score, t.peer_level, t.change_4w, t.weeks_falling, t.recovering, t.attendance_4w,
    contact.at as contacted_at,
    opened.at as case_since,
    n.note, n.written_at as note_at,
    {{priority}} as priority
from unnest(%(students)s::text[]) as asked (student_id)
left join marts.student as s using (student_id)
left join pii.student as p using (student_id)
left join lateral (
    {{trend}}
) as t on true
left join lateral (
    select max(c.contacted_at) as at from intermediate.int_contact as c
    where c.student_id = asked.student_id and c.contacted_at <= %(now)s
) as contact on true
left join lateral (
    select min(c.opened_at) as at from intermediate.int_case as c
    where c.student_id = asked.student_id and c.opened_at <= %(now)s and (c.closed_at is null or c.closed_at > %(now)s)
) as opened on true
left join notes as n on n.student_id = asked.student_id
"""  # noqa: S608
_TREND = """
select * from marts.score_trend as t
where t.student_id = asked.student_id and t.week_start > %(since)s
order by t.week_start desc limit 1
"""
_NO_TREND = """
select
    null::date as week_start, null::smallint as score, null::text as peer_level, null::smallint as change_4w,
    null::integer as weeks_falling, null::boolean as recovering, null::double precision as attendance_4w
"""
_PRIORITY = "(select l.priority from marts.contact_list as l where l.student_id = asked.student_id)"
_CAME_SINCE = """
select a.action_id, s.title, array_agg(d.activity_date order by d.activity_date) as days
from ops.action as a
inner join ops.notification as n using (notification_id)
inner join marts.daily_activity as d
    on d.student_id = a.student_id
    and d.activity_date between (n.evidence ->> 'from')::date and (n.evidence ->> 'to')::date
    and d.interactions > 0
inner join ops.source as s using (source_id)
where a.action_id = any(%s) and (s.is_digital or s.category = 'attendance')
group by a.action_id, s.source_id, s.title, n.evidence
having sum(d.interactions) > coalesce((n.evidence -> 'interactions' ->> s.source_id)::bigint, 0)
order by a.action_id, s.title
"""


@dataclass(frozen=True)
class Student:
    """Who somebody is, and how they fare; what is not known is None."""

    student_id: str
    given_name: str | None
    name: str | None
    programme: str | None
    year_of_study: str | None
    week_start: date | None
    score: int | None
    peer_level: str | None
    change_4w: int | None
    weeks_falling: int | None
    recovering: bool | None
    attendance_4w: float | None
    """Per cent."""
    contacted_at: datetime | None
    case_since: datetime | None
    """When the oldest case that is open was opened."""
    note: str | None
    """In the student's own words."""
    note_at: datetime | None
    priority: int | None
    """Place on the contact list, 1 first."""


def students(connection: Connection, student_ids: Collection[str], now: datetime) -> dict[str, Student]:
    """Return each of the students, by number."""
    # Silence is told of before any week is scored.
    has_list, has_trend = connection.execute(
        "select to_regclass('marts.contact_list') is not null, to_regclass('marts.score_trend') is not null"
    ).fetchall()[0]
    query = sql.SQL(_STUDENTS).format(
        priority=sql.SQL(_PRIORITY if has_list else "null::integer"),
        trend=sql.SQL(_TREND if has_trend else _NO_TREND),
    )
    given = {"students": sorted(student_ids), "now": now, "since": now.date() - _RECENT}
    found = connection.cursor(row_factory=class_row(Student)).execute(query, given).fetchall()
    return {one.student_id: one for one in found}


def came_since(connection: Connection, corrections: Sequence[Waiting]) -> Mapping[int, list[tuple[str, list[date]]]]:
    """Return, by action, the sources that show more activity now than was told, each with its days."""
    found: dict[int, list[tuple[str, list[date]]]] = {}
    rows = connection.execute(_CAME_SINCE, [[one.action_id for one in corrections]]).fetchall()
    for action_id, title, days in cast(list[tuple[int, str, list[date]]], rows):
        found.setdefault(action_id, []).append((title, days))
    return found
