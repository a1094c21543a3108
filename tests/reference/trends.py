"""Trends of the weekly score in plain Python, written from scoring.md's table and not from the SQL.

Takes published scores, calendars and registers as plain records; how scores come about is in scoring.py.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from statistics import median

BANDS = ["0-199", "200-399", "400-599", "600-799", "800-1000"]


@dataclass(frozen=True)
class Published:
    """What was published of a student in a week, and what was known of that week then."""

    score: int | None
    peer_group: str
    programme: str
    expected: int = 0
    attended: int = 0


@dataclass(frozen=True)
class GroupSource:
    """What one source says of one group in one week."""

    is_usable: bool
    interactions: int


@dataclass(frozen=True)
class Limits:
    attention_below: int = 350
    concern_below: int = 300
    decline_over: int = 100
    lasting_weeks: int = 3
    recovery_from: int = 50
    good_attendance_pct: int = 80
    attendance_fall_pct: int = 10
    cohort_share: Fraction = Fraction(4, 10)
    cohort_fall_over: int = 100
    cohort_activity_share: Fraction = Fraction(1, 2)


@dataclass(frozen=True)
class Trend:
    change_1w: int | None
    change_4w: int | None
    declining: bool
    weeks_below_350: int
    weeks_below_300: int
    consistently_low: bool
    weeks_falling: int
    recovering: bool
    attendance_4w: float | None
    falling_together: bool
    quiet_decline: bool
    cohort_event: bool


class Trends:
    """Trends of all that was published; `calendar` has the weeks taught to all under "", a programme has more."""

    def __init__(
        self,
        published: dict[tuple[str, date], Published],
        calendar: dict[str, set[date]],
        groups: dict[tuple[str, date], dict[str, GroupSource]],
        limits: Limits,
    ) -> None:
        self.published, self.calendar, self.groups, self.limits = published, calendar, groups, limits

    def all(self) -> dict[tuple[str, date], Trend]:
        """Return the trend of every published row."""
        events = {
            (p.peer_group, week): self.cohort_event(p.peer_group, week) for (_, week), p in self.published.items()
        }
        return {
            (student, week): self.trend(student, week, events[p.peer_group, week])
            for (student, week), p in self.published.items()
        }

    def before(self, student: str, week: date) -> list[date]:
        """Return the teaching weeks before, newest first."""
        taught = self.calendar.get("", set()) | self.calendar.get(self.published[student, week].programme, set())
        return sorted((w for w in taught if week - timedelta(182) <= w < week), reverse=True)

    def score(self, student: str, week: date, ago: int) -> int | None:
        """Return the score of `ago` teaching weeks before."""
        weeks = [week, *self.before(student, week)]
        row = self.published.get((student, weeks[ago])) if ago < len(weeks) else None
        return row.score if row else None

    def change(self, student: str, week: date, ago: int) -> int | None:
        now, then = self.score(student, week, 0), self.score(student, week, ago)
        return None if now is None or then is None else now - then

    def run(self, student: str, week: date, limit: int | None) -> int:
        """Return how many teaching weeks in a row were below the limit; without one, how many fell."""
        if (student, week) not in self.published:
            return 0
        score, change = self.score(student, week, 0), self.change(student, week, 1)
        goes_on = (change is not None and change < 0) if limit is None else (score is not None and score < limit)
        if not goes_on:
            return 0
        earlier = self.before(student, week)[:1]
        return 1 + (self.run(student, earlier[0], limit) if earlier else 0)

    def attendance(self, student: str, week: date) -> Fraction | None:
        weeks = [week, *self.before(student, week)[:3]]
        rows = [row for w in weeks if (row := self.published.get((student, w)))]
        expected = sum(row.expected for row in rows)
        return Fraction(100 * sum(row.attended for row in rows), expected) if expected else None

    def trend(self, student: str, week: date, cohort_event: bool) -> Trend:
        limits = self.limits
        four, two = self.change(student, week, 4), self.change(student, week, 2)
        declining = four is not None and four < -limits.decline_over
        below_350 = self.run(student, week, limits.attention_below)
        attendance, weeks = self.attendance(student, week), self.before(student, week)
        has_earlier = len(weeks) >= 4 and (student, weeks[3]) in self.published
        earlier = self.attendance(student, weeks[3]) if has_earlier else None
        return Trend(
            self.change(student, week, 1),
            four,
            declining,
            below_350,
            self.run(student, week, limits.concern_below),
            below_350 >= limits.lasting_weeks,
            self.run(student, week, None),
            two is not None and two >= limits.recovery_from,
            None if attendance is None else float(attendance),
            declining
            and attendance is not None
            and earlier is not None
            and earlier - attendance >= limits.attendance_fall_pct,
            declining and attendance is not None and attendance >= limits.good_attendance_pct,
            cohort_event,
        )

    def cohort_event(self, group: str, week: date) -> bool:
        members = [student for (student, w), p in self.published.items() if w == week and p.peer_group == group]
        changes = [c for s in members if (c := self.change(s, week, 1)) is not None]
        fallen = sum(c < -self.limits.cohort_fall_over for c in changes)
        if fallen > self.limits.cohort_share * len(changes):
            return True
        earlier = sorted((w for g, w in self.groups if g == group and w < week), reverse=True)[:4]
        if len(earlier) < 4 or week - earlier[-1] > timedelta(84):
            return False
        compared = [week, *earlier]
        usable = [s for s in self.groups[group, week] if all(self.is_usable(group, w, s) for w in compared)]
        if not usable:
            return False
        each = [self.interactions_each(group, w, usable) for w in compared]
        return each[0] < self.limits.cohort_activity_share * median(each[1:])

    def is_usable(self, group: str, week: date, source: str) -> bool:
        found = self.groups[group, week].get(source)
        return found is not None and found.is_usable

    def interactions_each(self, group: str, week: date, sources: Iterable[str]) -> Fraction:
        members = sum(w == week and p.peer_group == group for (_, w), p in self.published.items())
        return Fraction(sum(self.groups[group, week][s].interactions for s in sources), members)


def distribution(published: dict[tuple[str, date], Published]) -> dict[tuple[date, str, str], int]:
    """Return the students of each week, group and band; every band of a group is there."""
    scores = Counter(
        (week, p.peer_group, BANDS[min(4, p.score // 200)]) for (_, week), p in published.items() if p.score is not None
    )
    groups = {(week, p.peer_group) for (_, week), p in published.items()}
    return {(week, group, band): scores[week, group, band] for week, group in groups for band in BANDS}
