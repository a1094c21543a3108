"""In which weeks, and for which notifications, a rule fires: the same for a preview as for the real thing.

Nothing is remembered: a rule fires in the first of the published weeks in which its condition holds, and again after
every `repeat_weeks` of still being so. What follows from it is decided in rules.py.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from psycopg import sql

from engage.contact import rule_conditions
from engage.contact.rules_file import Rule
from engage.warehouse import Connection

IN_CONTACT_DAYS = 14
"""Whoever was contacted within so many days is in contact, in a preview."""
# Ordered, so that the planner goes by the index on the week however long the history is.
_WEEKS = """
select p.week_start, facts.revision
from (select distinct week_start from ops.publication where state = 'published') as p
cross join lateral (
    select case when f.week_start = p.week_start then f.revision end as revision
    from intermediate.int_rule_fact as f
    where f.week_start >= p.week_start
    order by f.week_start
    limit 1
) as facts
where facts.revision is not null
order by p.week_start
"""
# first_week to last_week count as one: an island of weeks in which it holds, or repeat_weeks of it. It is raised in the
# first week without a cohort event: whoever is low after that is so for a reason of their own.
_FIRING = """
create temporary table firing on commit drop as
with weeks as (
    select week_start, row_number() over (order by week_start) as place from unnest({weeks}::date[]) as w (week_start)
),
met as (
    select f.*, weeks.place
    from intermediate.int_rule_fact as f
    inner join weeks using (week_start)
    where f.week_start = any({weeks}::date[]) and {condition}
),
islands as (
    select *, place - row_number() over (partition by student_id order by place) as island from met
),
segments as (
    select
        *,
        (row_number() over (partition by student_id, island order by place) - 1) / {repeat} as segment
    from islands
),
judged as (
    select
        *,
        min(week_start) over one as first_week,
        max(week_start) over one as last_week,
        min(week_start) filter (where not cohort_event) over one as clear_week
    from segments
    window one as (partition by student_id, island, segment)
)
select
    f.student_id, f.week_start, f.first_week, f.last_week, f.clear_week,
    case
        when f.week_start = f.clear_week then 'raised'
        when f.week_start <> f.first_week then null
        when f.clear_week - f.week_start <= p.hold_days then 'dropped'
        else 'held'
    end as status,
    case when f.week_start in (f.clear_week, f.first_week) then jsonb_build_object(
        'because', to_jsonb({met}),
        'week_start', f.week_start,
        'score', f.score,
        'change_1w', f.change_1w,
        'change_4w', f.change_4w,
        'recent_scores', to_jsonb(f.recent_scores),
        'weeks_below_350', f.weeks_below_350,
        'attendance_4w', round(f.attendance_4w::numeric, 1),
        'peer_level', f.peer_level,
        'peer_group', f.peer_group,
        'cohort_event', f.cohort_event,
        'days_since_contact', f.on_date - f.last_contact_date,
        'open_case', f.open_case,
        'revision', f.revision,
        'config_version', f.config_version
    ) end as evidence,
    coalesce(f.open_case or f.last_contact_date >= f.on_date - {contact_days}, false) as in_contact
from judged as f
cross join ops.scoring_parameter as p
"""
FOREVER = 1_000_000
"""Weeks; no island is as long."""


def published_weeks(connection: Connection) -> dict[date, int]:
    """Return the weeks that rules can be asked of, the oldest first, with the revision that their facts are of."""
    if not stands(connection, "intermediate.int_rule_fact"):
        return {}
    return dict(cast(list[tuple[date, int]], connection.execute(_WEEKS).fetchall()))


def stands(connection: Connection, relation: str) -> bool:
    """Say whether dbt has built this relation."""
    return connection.execute("select to_regclass(%s) is not null", [relation]).fetchone() == (True,)


def fire(connection: Connection, rule: Rule, weeks: Mapping[date, int]) -> None:
    """Write to the temporary table `firing` a row for each student and week of `weeks` in which the condition holds.

    `status` is null in weeks in which the rule does not fire; held and dropped are what a cohort event makes of it.
    """
    connection.execute("drop table if exists pg_temp.firing")
    connection.execute(
        statement(
            _FIRING,
            weeks=list(weeks),
            condition=rule_conditions.condition(rule),
            repeat=rule.repeat_weeks or FOREVER,
            met=rule_conditions.met(rule),
            contact_days=IN_CONTACT_DAYS,
        )
    )
    connection.execute("create index on pg_temp.firing (student_id, week_start)")
    connection.execute("analyze pg_temp.firing")


def statement(text: str, **values: Any) -> sql.Composed:
    """Return a statement with values as literals; it is executed without parameters, for a text of it may hold a %."""
    parts = {name: one if isinstance(one, sql.Composable) else sql.Literal(one) for name, one in values.items()}
    return sql.SQL(cast(Any, text)).format(**parts)
