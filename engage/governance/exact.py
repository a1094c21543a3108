"""The exact numbers that the governance summary is made from, asked of the marts when an edition is made.

SQL only, in the warehouse owner's transaction, and nothing of it is kept: what is published is rounded first. Not dbt
models, for only weeks that no edition has shown yet are counted at all, and a night without an edition has no work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from engage.governance.relations import ALL, ATTENTION, CONCERN, FLAGGED, SCORED, Group, Week
from engage.warehouse import Connection

NOT_RECORDED = "not recorded"
"""The member of those of whom the institution has not said it."""

# As the enrolments had them by the Sunday; before the first list, by that.
_ROSTER = """
create temporary table governance_roster on commit drop as
with snapshots as materialized (
    select w.week_start, s.source_id, coalesce(
        (
            select max(e.as_of_date) from raw.enrolments as e
            where e.source_id = s.source_id and e.as_of_date <= w.week_start + 6
        ),
        (select min(e.as_of_date) from raw.enrolments as e where e.source_id = s.source_id)
    ) as as_of_date
    from unnest(%(weeks)s::date[]) as w (week_start) cross join ops.source as s
    where s.record = 'enrolments'
)
select distinct on (s.week_start, e.student_id)
    s.week_start, e.student_id,
    coalesce(nullif(e.faculty_code, ''), %(unknown)s) as faculty,
    coalesce(nullif(e.programme_code, ''), %(unknown)s) as programme,
    coalesce(nullif(e.year_of_study, ''), %(unknown)s) as year_of_study,
    coalesce(nullif(e.mode, ''), %(unknown)s) as mode
from snapshots as s inner join raw.enrolments as e using (source_id, as_of_date)
order by
    s.week_start, e.student_id,
    coalesce(e.status_from <= s.week_start + 6, true) desc, e.status_from desc nulls last, e.source_id, e.row_number
"""
_EVENTS = """
create temporary table governance_event on commit drop as
select date_trunc('week', at at time zone p.time_zone)::date as week_start, student_id, figure_id, category
from (
    select raised_at as at, student_id, 'notifications' as figure_id, kind || ':raised' as category
    from ops.notification
    union all
    select noticed_at, student_id, 'notifications', kind || ':held' from ops.notification
    where raised_at is null or raised_at > noticed_at
    union all
    select resolved_at, student_id, 'notifications', kind || ':' || status from ops.notification
    where status in ('dropped', 'undetermined')
    union all
    select contacted_at, student_id, 'contacts', coalesce(outcome, %(unknown)s) from intermediate.int_contact
    union all
    select created_at, student_id, 'case_actions', action from marts.case_action
) as e cross join ops.scoring_parameter as p
where at is not null
"""
_STUDENTS = """
create temporary table governance_student on commit drop as
select
    t.week_start, t.student_id, t.score,
    coalesce(t.declining, false) as declining, coalesce(t.consistently_low, false) as consistently_low,
    t.score < p.attention_below as below_attention, t.score < p.concern_below as below_concern,
    t.score < p.attention_below or raised.student_id is not null as flagged,
    coalesce(r.faculty, %(unknown)s) as faculty, coalesce(r.programme, %(unknown)s) as programme,
    coalesce(r.year_of_study, %(unknown)s) as year_of_study, coalesce(r.mode, %(unknown)s) as mode
from marts.score_trend as t
cross join ops.scoring_parameter as p
left join governance_roster as r using (week_start, student_id)
left join (
    select distinct week_start, student_id from governance_event
    where figure_id = 'notifications' and category like '%%:raised'
) as raised using (week_start, student_id)
where t.week_start = any(%(weeks)s) and t.score is not null
"""
_COUNTS = """
    count(*), count(*) filter (where declining), count(*) filter (where consistently_low),
    count(*) filter (where below_attention), count(*) filter (where below_concern), count(*) filter (where flagged),
    sum(score)
"""
_GROUPS = f"""
select
    week_start,
    case grouping(faculty, programme, year_of_study, mode)
        when 15 then 'all' when 7 then 'faculty' when 11 then 'programme' when 13 then 'year_of_study' else 'mode'
    end,
    coalesce(faculty, programme, year_of_study, mode, 'all'),
    {_COUNTS}
from governance_student
group by week_start, grouping sets ((), (faculty), (programme), (year_of_study), (mode))
"""  # noqa: S608
# The newest list of each source; of two sources the first by name. Who has not said it is a group of its own.
_CHARACTERISTICS = f"""
with newest as (select source_id, max(as_of_date) as as_of_date from raw.characteristics group by source_id),
members as (
    select distinct on (student_id, characteristic) student_id, characteristic, member
    from raw.characteristics inner join newest using (source_id, as_of_date)
    where characteristic not in ('all', 'faculty', 'programme', 'year_of_study', 'mode')
    order by student_id, characteristic, source_id, row_number
)
select week_start, c.characteristic, coalesce(m.member, %(unknown)s), {_COUNTS}
from governance_student
cross join (select distinct characteristic from members) as c
left join members as m using (student_id, characteristic)
group by 1, 2, 3
"""  # noqa: S608
_BANDS = """
select week_start, least(score / 200, 4), count(*) from governance_student group by 1, 2
"""
_PROGRAMMES = "select distinct week_start, programme, faculty from governance_student"
_FLOWS = """
select e.figure_id, e.category, e.week_start, coalesce(r.faculty, %(unknown)s), count(*)
from governance_event as e left join governance_roster as r using (week_start, student_id)
where e.week_start = any(%(weeks)s)
group by 1, 2, 3, 4
"""
_EXEMPT = """
select w.week_start, e.exemption_type, count(distinct e.student_id)
from unnest(%(weeks)s::date[]) as w (week_start)
inner join intermediate.int_exemption as e on e.starts_on <= w.week_start + 6 and e.ends_on >= w.week_start
group by 1, 2
"""
# Declining compares with four weeks before, consistently low counts weeks in a row.
_LOOKING_BACK = """
select
    w.week_start,
    exists (select from marts.score_trend as t where t.week_start = w.week_start and t.change_4w is not null),
    exists (
        select from marts.score_trend as t
        where t.week_start = w.week_start and t.score is not null and (
            select count(*) from marts.score_trend as b
            where b.student_id = t.student_id and b.week_start <= w.week_start and b.score is not null
        ) >= p.lasting_weeks
    )
from unnest(%(weeks)s::date[]) as w (week_start) cross join ops.scoring_parameter as p
"""
_ORDER = (SCORED, "declining", "consistently_low", ATTENTION, CONCERN, FLAGGED)


@dataclass(frozen=True)
class Flow:
    """Events of one category, counted by week and faculty."""

    figure_id: str
    category: str
    atoms: dict[tuple[date, str], int]


def prepare(connection: Connection, weeks: Sequence[date]) -> None:
    """Lay out who studied what in these weeks and what happened, until the end of the transaction."""
    given = {"weeks": list(weeks), "unknown": NOT_RECORDED}
    connection.execute("set local work_mem = '128MB'")
    for name, statement in (("roster", _ROSTER), ("event", _EVENTS)):
        connection.execute(f"drop table if exists pg_temp.governance_{name}")
        connection.execute(statement, given)
        connection.execute(f"analyze governance_{name}")


def weeks_of_scores(connection: Connection, weeks: Sequence[date]) -> dict[date, Week]:
    """Count the scores of these weeks in every group; of weeks that were `prepare`d."""
    given = {"weeks": list(weeks), "unknown": NOT_RECORDED}
    connection.execute("drop table if exists pg_temp.governance_student")
    connection.execute(_STUDENTS, given)
    groups: dict[date, list[Group]] = {week: [] for week in weeks}
    for query in (_GROUPS, _CHARACTERISTICS):
        for week, dimension, member, *numbers, total in rows(connection, query, given):
            groups[week].append(Group(dimension, member, dict(zip(_ORDER, numbers, strict=True)), total))
    for week in weeks:
        if not groups[week]:
            groups[week].append(Group(ALL, ALL, dict.fromkeys(_ORDER, 0)))
    bands = {week: [0] * 5 for week in weeks}
    for week, place, number in rows(connection, _BANDS):
        bands[week][place] = number
    programmes: dict[date, set[tuple[str, str]]] = {week: set() for week in weeks}
    for week, programme, faculty in rows(connection, _PROGRAMMES):
        programmes[week].add((programme, faculty))
    ((attention, concern),) = rows(connection, "select attention_below, concern_below from ops.scoring_parameter")
    too_early = {
        week: [
            figure for figure, is_known in zip(("declining", "consistently_low"), known, strict=True) if not is_known
        ]
        for week, *known in rows(connection, _LOOKING_BACK, given)
    }
    return {
        week: Week(week, sorted(groups[week], key=lambda g: (g.dimension != ALL, g.dimension, g.member)), bands[week],
                   programmes[week], attention, concern, too_early[week])
        for week in weeks
    }  # fmt: skip


def flows(connection: Connection, weeks: Sequence[date]) -> list[Flow]:
    """Count notifications, contacts and what was asked of the CRM; of weeks that were `prepare`d."""
    found: dict[tuple[str, str], dict[tuple[date, str], int]] = {}
    given = {"weeks": list(weeks), "unknown": NOT_RECORDED}
    for figure, category, week, faculty, number in rows(connection, _FLOWS, given):
        found.setdefault((figure, category), {})[week, faculty] = number
    return [Flow(figure, category, atoms) for (figure, category), atoms in sorted(found.items())]


def exempt(connection: Connection, weeks: Sequence[date]) -> dict[tuple[date, str], int]:
    """Count who was exempt in each week, by type."""
    return {(week, kind): number for week, kind, number in rows(connection, _EXEMPT, {"weeks": list(weeks)})}


def rows(connection: Connection, query: str, given: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return connection.execute(query, given).fetchall()
