"""What became of students and of what was asked: exact numbers of whole periods, asked when an edition is made.

As exact.py, which counts weeks; nothing of it is kept either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from engage.governance.exact import rows
from engage.governance.relations import ATTENTION, CONCERN
from engage.warehouse import Connection

FOLLOWED_WEEKS = 8
"""So long after a score it is looked at what became of the student."""
REQUESTS = tuple(f"{kind}:{state}" for kind in ("access", "erasure") for state in ("received", "completed", "overdue"))

_HITS = """
with newest as (select source_id, max(as_of_date) as as_of_date from raw.enrolments group by source_id),
lost as (
    select student_id, status_from as day from raw.enrolments inner join newest using (source_id, as_of_date)
    where status in ('withdrawn', 'suspended')
    union
    select student_id, trigger_date from ops.notification
    where kind = 'no_digital_activity' and raised_at is not null
),
hit as (
    select distinct w.week_start, lost.student_id
    from unnest(%(weeks)s::date[]) as w (week_start)
    inner join lost on lost.day between w.week_start + 7 and w.week_start + 6 + 7 * %(followed)s
),
judged as (
    select
        t.week_start, t.score < p.concern_below as concern, t.score < p.attention_below as attention,
        hit.student_id is not null as was_hit
    from marts.score_trend as t
    cross join ops.scoring_parameter as p
    left join hit using (week_start, student_id)
    where t.week_start = any(%(weeks)s) and t.score is not null
)
select
    week_start,
    count(*) filter (where concern), count(*) filter (where concern and was_hit),
    count(*) filter (where attention), count(*) filter (where attention and was_hit),
    count(*) filter (where not attention), count(*) filter (where not attention and was_hit)
from judged
group by week_start
"""
# Everybody once, with the first settled intervention: a rise is known after four weeks, that there is none after six.
_OUTCOMES = """
with first_ones as (
    select distinct on (o.student_id) o.*
    from marts.intervention_outcome as o cross join ops.scoring_parameter as p
    where
        (o.occurred_at at time zone p.time_zone)::date between %(since)s and %(until)s
        and o.is_settled and o.recovered is not null
    order by o.student_id, o.occurred_at, o.kind, o.source_id, o.intervention_id
)
select
    count(*), count(*) filter (where recovered),
    count(comparable_recovered_share), coalesce(sum(comparable_recovered_share), 0),
    count(c4), sum(change_4w) filter (where c4 is not null), sum(c4),
    count(c5), sum(change_5w) filter (where c5 is not null), sum(c5),
    count(c6), sum(change_6w) filter (where c6 is not null), sum(c6)
from first_ones cross join lateral (
    -- only where both are known
    select
        case when change_4w is not null then comparable_change_4w end as c4,
        case when change_5w is not null then comparable_change_5w end as c5,
        case when change_6w is not null then comparable_change_6w end as c6
) as both_known
"""
_STEPS = """
select status, count(*) from marts.contact_step group by 1
union all
select 'overdue', count(*) from marts.contact_step where is_overdue
"""
_RIGHTS = """
select 'subject_requests', kind || ':' || state, count(*)
from (
    select kind, 'received' as state, received_on as day from ops.subject_request
    union all
    select kind, 'completed', (completed_at at time zone time_zone)::date
    from ops.subject_request cross join ops.scoring_parameter
    union all
    select kind, 'overdue', coalesce(extended_to, due_on) + 1
    from ops.subject_request cross join ops.scoring_parameter
    where coalesce((completed_at at time zone time_zone)::date, 'infinity') > coalesce(extended_to, due_on)
) as r
where day between %(since)s and %(until)s
group by 1, 2
union all
select 'deletions', r.kind || ':' || d.place, sum(d.rows)
from ops.deletion as d inner join ops.deletion_run as r using (run_id) cross join ops.scoring_parameter as p
where
    -- what an erasure deleted is the file of one student in numbers
    r.kind = 'retention'
    and (d.deleted_at at time zone p.time_zone)::date between %(since)s and %(until)s
group by 1, 2
"""


@dataclass(frozen=True)
class Hits:
    """Of one week's students below a score, or not: how many there were, and of how many worse became known."""

    base: int
    hits: int


@dataclass(frozen=True)
class Outcomes:
    """What became of students who were contacted and whose six weeks are over, beside comparable ones."""

    people: int
    recovered: int
    compared: int
    comparable_recovered: float
    changes: dict[str, tuple[int, float, float]]
    """After 4w, 5w, 6w: of how many, the sum of their changes, and that of the mean changes of comparable students."""


def hits(connection: Connection, weeks: Sequence[date]) -> dict[date, dict[str, Hits]]:
    """Count of these weeks' students who has since withdrawn, been suspended or gone silent, by how low they were."""
    found = rows(connection, _HITS, {"weeks": list(weeks), "followed": FOLLOWED_WEEKS})
    return {
        week: {CONCERN: Hits(*numbers[0:2]), ATTENTION: Hits(*numbers[2:4]), "others": Hits(*numbers[4:6])}
        for week, *numbers in found
    }


def outcomes(connection: Connection, since: date, until: date) -> Outcomes:
    """Count what became of students first contacted from one day to another, both included."""
    ((people, recovered, compared, theirs, *rest),) = rows(connection, _OUTCOMES, {"since": since, "until": until})
    changes = {f"{4 + n}w": (rest[3 * n], rest[3 * n + 1] or 0, rest[3 * n + 2] or 0) for n in range(3)}
    return Outcomes(people, recovered, compared, theirs, changes)


def steps(connection: Connection) -> dict[str, int]:
    """Count the steps of contact ladders by status."""
    return dict(rows(connection, _STEPS))


def rights(connection: Connection, since: date, until: date) -> dict[str, dict[str, int]]:
    """Count requests, and deletions whose time had come, of these days by figure and category."""
    found: dict[str, dict[str, int]] = {"subject_requests": dict.fromkeys(REQUESTS, 0), "deletions": {}}
    for figure, category, n in rows(connection, _RIGHTS, {"since": since, "until": until}):
        found[figure][category] = int(n)
    return found
