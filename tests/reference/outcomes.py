"""Outcomes of interventions in plain Python: the score before and four to six teaching weeks later, also of others."""

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean


@dataclass(frozen=True)
class Scored:
    score: int | None
    group: str


@dataclass(frozen=True)
class Intervention:
    student: str
    day: date


@dataclass(frozen=True)
class Outcome:
    week_before: date | None
    scores: tuple[int | None, ...]
    """Before, and after four, five and six weeks."""
    recovered: bool | None
    comparable_students: int | None
    comparable_changes: tuple[float | None, ...]
    comparable_recovered_share: float | None


Scores = dict[tuple[str, date], Scored]


def outcome(of: Intervention, scores: Scores, weeks: list[date], all_of_them: list[Intervention]) -> Outcome:
    """Return what became of one; `weeks` are the teaching weeks, in order."""
    ended = [w for (s, w) in scores if s == of.student and w <= of.day - timedelta(7) and w >= of.day - timedelta(182)]
    week = max(ended, default=None)
    if week is None or scores[of.student, week].score is None:
        return Outcome(None, (None,) * 4, None, None, (None,) * 3, None)
    mine = _course(of.student, week, scores, weeks)
    group, score = scores[of.student, week].group, mine[0]
    cared_for = {one.student for one in all_of_them if of.day - timedelta(14) <= one.day <= of.day + timedelta(42)}
    others = [
        _course(s, w, scores, weeks)
        for (s, w), there in scores.items()
        if w == week and there.group == group and there.score is not None and score is not None
        if s != of.student and s not in cared_for and abs(there.score - score) <= 50
    ]
    known = [[c[k] - c[0] for c in others if c[k] is not None] for k in (1, 2, 3)]  # type: ignore[operator]
    ends = [found for c in others if (found := _recovered(c)) is not None]
    return Outcome(
        week,
        mine[:4],
        _recovered(mine),
        len(others),
        tuple(fmean(changes) if len(changes) >= 5 else None for changes in known),
        fmean(ends) if len(ends) >= 5 else None,
    )


def _course(student: str, week: date, scores: Scores, weeks: list[date]) -> tuple[int | None, ...]:
    """Return the score of a week, those four, five and six weeks later, and 1 where the sixth is over."""
    start = place = weeks.index(week)
    later: dict[int, int | None] = {}
    for k in range(start + 1, len(weeks)):
        if (there := scores.get((student, weeks[k]))) is not None:
            if k - place > 4:
                return (scores[student, week].score, *map(later.get, (4, 5, 6)), 1)
            place = k
            later[k - start] = there.score
    return (scores[student, week].score, *map(later.get, (4, 5, 6)), int(max(later, default=0) >= 6))


def _recovered(course: tuple[int | None, ...]) -> bool | None:
    before, *after, is_over = course
    known = [score - before for score in after if score is not None and before is not None]
    if known and max(known) >= 50:
        return True
    return False if is_over and known else None
