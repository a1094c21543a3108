"""Why a score is what it is, read from the marts: the score, what each source gave, what was left out, where it goes.

Reads only; what it returns is of one student, and whoever calls it answers for who may see it. No number is made here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from psycopg.rows import dict_row

from engage.warehouse import Connection

Row = dict[str, Any]

_STANDING = "select to_regclass('marts.score_trend') is not null and to_regclass('marts.score_explanation') is not null"
_NEWEST = "select max(week_start) as week_start from marts.weekly_score where student_id = %(student)s"
_SCORE = """
select
    week_start, score, status, peer_level, peer_group, peer_n, composite, marks, config_version, data_as_of, revision,
    published_at, reason
from marts.weekly_score_revision
where
    student_id = %(student)s and week_start = %(week)s
    and revision = coalesce(
        %(revision)s, (select max(revision) from ops.publication where week_start = %(week)s and state = 'published')
    )
"""
_PARTS = """
select
    e.source_id as source, e.category, e.is_counted, e.reason, s.record, e.metric, e.group_mean, e.z, e.weight,
    e.contribution, e.is_imputed, e.complete_days, e.incomplete_days, e.weeks_missing
from marts.score_explanation as e
left join ops.source as s using (source_id)
where e.student_id = %(student)s and e.week_start = %(week)s and e.revision = %(revision)s
order by e.is_counted desc, abs(e.contribution) desc, e.source_id
"""
# As it was decided then: what is in force may be another.
_DECIDED = """
select
    coalesce((c.content -> 'scoring' ->> 'min_complete_days')::integer, p.min_complete_days),
    coalesce((c.content -> 'scoring' ->> 'attention_below')::integer, p.attention_below)
from ops.scoring_parameter as p left join ops.config_version as c on c.config_version = %s
"""
_TREND = """
select
    change_1w, change_4w, declining, weeks_below_350, weeks_below_300, consistently_low, weeks_falling, recovering,
    attendance_4w, falling_together, quiet_decline, cohort_event
from marts.score_trend
where student_id = %(student)s and week_start = %(week)s and revision = %(revision)s
"""
_WHY_NOT = """
select
    (select string_agg(distinct state, ',') from ops.publication where week_start = %(week)s) as states,
    array(
        select revision from ops.publication where week_start = %(week)s and state = 'published' order by 1
    ) as revisions,
    (select status from marts.student where student_id = %(student)s) as status,
    exists (
        select from intermediate.int_exemption
        where student_id = %(student)s and starts_on <= %(week)s + 6 and ends_on >= %(week)s
    ) as is_exempt
"""


class NoScoreError(Exception):
    """There is no row of this student, week and revision; the message says why, as far as is known."""


@dataclass(frozen=True)
class Explanation:
    """All that is known of one score."""

    score: Row
    parts: list[Row]
    """Sources, those that counted first."""
    trend: Row | None
    """None of a revision that is not the current one."""
    min_complete_days: int
    """That a source needed to count."""
    attention_below: int


def explain(connection: Connection, student: str, week: date | None, revision: int | None) -> Explanation:
    """Return why this student's score of a week (without one the newest) is what it is. Raises NoScoreError."""
    cursor = connection.cursor(row_factory=dict_row)
    if not connection.execute(_STANDING).fetchall()[0][0]:
        raise NoScoreError("no week has been scored yet")
    given: Row = {"student": student, "week": week, "revision": revision}
    if week is None:
        given["week"] = cursor.execute(_NEWEST, given).fetchall()[0]["week_start"]
    if given["week"] is None:
        known = cursor.execute("select from marts.student where student_id = %(student)s", given).fetchone()
        raise NoScoreError(
            "no score yet: never eligible in a scored week" if known else "no such student on the roster"
        )
    if (score := cursor.execute(_SCORE, given).fetchone()) is None:
        raise NoScoreError(_why_not(given, cursor.execute(_WHY_NOT, given).fetchall()[0]))
    given["revision"] = score["revision"]
    parts = cursor.execute(_PARTS, given).fetchall()
    days, points = connection.execute(_DECIDED, [score["config_version"]]).fetchall()[0]
    trend = cursor.execute(_TREND, given).fetchone()
    return Explanation(score, parts, trend, cast(int, days), cast(int, points))


def _why_not(given: Row, known: Row) -> str:
    week, revision = given["week"], given["revision"]
    if "published" not in (known["states"] or ""):
        if known["states"]:
            return f"{week}: not published yet"
        return f"{week}: not published (`engage week list` shows the weeks that are)"
    if revision is not None and revision not in known["revisions"]:
        return f"{week}: there is no revision {revision}; the newest is {known['revisions'][-1]}"
    if known["status"] is None:
        return f"{week}: no score: not on the roster"
    if known["is_exempt"]:
        return f"{week}: no score: exempt in that week"
    if known["status"] != "active":
        return f"{week}: no score: not active (on the newest roster: {known['status']})"
    return f"{week}: no score: not enrolled, away, or not taught in that week"


def metric_in_words(record: str | None, metric: float) -> str:
    """Return a smoothed metric and about what it stands for: a share of sessions, or interactions a week."""
    if record == "attendance":
        return f"{metric:.2f} (about {100 * metric:.0f} % of sessions)"
    return f"{metric:.2f} (about {math.expm1(metric):,.0f} a week)"


def left_out(parts: Sequence[Row], min_complete_days: int) -> list[str]:
    """Return in sentences why sources did not count, those of the same reason together."""
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(_reason(part, min_complete_days), []).append(part["source"])
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def _reason(part: Row, min_complete_days: int) -> str:
    days = ", ".join(f"{day:%a}" for day in part["incomplete_days"])
    reasons = {
        "not_enabled": "left out for everybody: not enabled at the end of the week",
        "no_weight": "left out for everybody: it, or its category, has no weight",
        "no_peers": "left out: too few students to compare with",
        "missing": f"left out for everybody: complete on {part['complete_days']} of 7 days, {min_complete_days} are "
        f"needed (not on {days})"
        + (f"; missing for {part['weeks_missing']} teaching weeks in a row" if part["weeks_missing"] > 1 else ""),
        "no_data": "left out for the group: nothing was expected of anybody in it",
        "no_variation": "left out for the group: all are equal in it",
        "no_metric": "left out for this student: nothing was expected of them",
        "not_scored": "would have counted, but what there is of this student weighs too little for a score",
    }
    return reasons[cast(str, part["reason"])]


def trend_in_words(trend: Row, attention_below: int) -> str:
    """Return a line on where the score is going."""
    change = [
        f"{trend[f'change_{n}w']:+d} in {n} week{'s' * (n > 1)}" for n in (1, 4) if trend[f"change_{n}w"] is not None
    ]
    marks = ["declining", "consistently_low", "recovering", "falling_together", "quiet_decline", "cohort_event"]
    runs = [
        f"{trend[name]} weeks in a row {words}"
        for name, words in (("weeks_below_350", f"below {attention_below}"), ("weeks_falling", "falling"))
        if trend[name] > 1
    ]
    attendance = (
        [f"attendance {trend['attendance_4w']:.0f} % over 4 weeks"] if trend["attendance_4w"] is not None else []
    )
    said = [*change, *runs, *attendance, *(name.replace("_", " ") for name in marks if trend[name])]
    return "; ".join(said) or "nothing to compare with yet"
