"""Alert rules in plain Python, written from docs/rules.md and not from the SQL: what holds, and when it fires.

Unknown is None, and travels through all, any and not as in Kleene's logic. Facts come as plain records.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Asked = dict[str, Any]
"""A condition as the file has it."""


@dataclass(frozen=True)
class Fact:
    """What is known of a student in a week."""

    student_id: str
    week_start: date
    score: int | None = None
    recent_scores: tuple[int, ...] = ()
    lowest_before: int | None = None
    change_1w: int | None = None
    declining: bool | None = None
    consistently_low: bool | None = None
    attendance_4w: float | None = None
    cohort_event: bool = False
    mode: str | None = None
    programme_code: str | None = None
    faculty_code: str | None = None
    year_of_study: str | None = None
    campus_residence: str | None = None
    exemption_types: tuple[str, ...] = ()
    open_case: bool = False
    last_contact_date: date | None = None

    @property
    def on_date(self) -> date:
        return self.week_start + timedelta(7)


_COLUMNS = {
    "mode": "mode",
    "programme": "programme_code",
    "faculty": "faculty_code",
    "year_of_study": "year_of_study",
    "residence": "campus_residence",
}


def holds(asked: Asked, fact: Fact) -> bool | None:
    """Say whether a condition holds; None: nobody knows."""
    (key, value), *more = asked.items()
    if key == "all":
        found = [holds(one, fact) for one in value]
        return False if False in found else None if None in found else True
    if key == "any":
        found = [holds(one, fact) for one in value]
        return True if True in found else None if None in found else False
    if key == "not":
        inner = holds(value, fact)
        return None if inner is None else not inner
    if key == "score_below":
        return _score(value, dict(more), fact)
    if key == "drop_over":
        return None if fact.change_1w is None else fact.change_1w < -value
    if key in ("declining", "consistently_low", "open_case"):
        known = getattr(fact, key)
        return None if known is None else bool(known == value)
    if key == "attendance_below":
        return None if fact.attendance_4w is None else fact.attendance_4w < value
    if key == "attendance_at_least":
        return None if fact.attendance_4w is None else fact.attendance_4w >= value
    if key == "exempt":
        if isinstance(value, list):
            return bool(set(value) & set(fact.exemption_types))
        return bool(bool(fact.exemption_types) == value)
    if key == "contacted_within":
        return fact.last_contact_date is not None and (fact.on_date - fact.last_contact_date).days <= value
    known = getattr(fact, _COLUMNS[key])
    return None if known is None else bool(known in value)


def _score(limit: int, more: Asked, fact: Fact) -> bool | None:
    if more.get("first_time"):
        if fact.lowest_before is not None and fact.lowest_before < limit:
            return False
        return None if fact.score is None else fact.score < limit
    if weeks := more.get("weeks"):
        if any(score >= limit for score in fact.recent_scores[:weeks]):
            return False
        return True if len(fact.recent_scores) >= weeks else None
    return None if fact.score is None else fact.score < limit


def meets(rule: Asked, fact: Fact) -> bool:
    """Say whether a rule is met: only what is true, and of exempt students only where the rule speaks of them."""
    return holds(rule["when"], fact) is True and (_speaks_of_exemptions(rule["when"]) or not fact.exemption_types)


def _speaks_of_exemptions(asked: Asked) -> bool:
    (key, value), *_ = asked.items()
    if key == "exempt":
        return True
    inner = value if key in ("all", "any") else [value] if key == "not" else []
    return any(_speaks_of_exemptions(one) for one in inner)


def firings(rule: Asked, facts: Iterable[Fact], weeks: list[date]) -> dict[tuple[str, date], str]:
    """Return (student, week) -> raised, held or dropped, walking week by week as a person would."""
    repeat = rule.get("repeat_weeks") or 10**6
    by_key = {(fact.student_id, fact.week_start): fact for fact in facts}
    fired: dict[tuple[str, date], str] = {}
    for student in sorted({student for student, _ in by_key}):
        lasts, is_open, held_on = 0, False, None
        for week in sorted(weeks):
            fact = by_key.get((student, week))
            if fact is None or not meets(rule, fact):
                lasts, is_open, held_on = 0, False, None
                continue
            if lasts % repeat == 0:
                is_open, held_on = True, None
            lasts += 1
            if not is_open:
                continue
            if not fact.cohort_event:
                fired[student, week] = "raised"
                if held_on is not None and (week - held_on).days <= 14:
                    fired[student, held_on] = "dropped"
                is_open = False
            elif held_on is None:
                held_on = week
                fired[student, week] = "held"
    return fired
