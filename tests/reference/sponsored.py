"""Contact points of sponsored students, day by day in plain Python: what the mart of them is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

DAY = timedelta(1)
COUNTED_IN = ("teaching", "reading", "assessment")


@dataclass(frozen=True)
class Feed:
    """A source of contact points."""

    source_id: str
    title: str
    covered: Mapping[date, bool]
    """The days covered, and whether by enough quality."""
    enabled_from: date | None = None
    disabled_from: date | None = None
    quiet_weekdays: tuple[str, ...] = ()

    def lacks(self, day: date) -> bool:
        """Say whether a contact on this day may not have come."""
        starts = self.enabled_from or min(self.covered, default=date.min)
        if day < starts or (self.disabled_from and day >= self.disabled_from):
            return False
        if day not in self.covered and f"{day:%a}" in self.quiet_weekdays:
            return False
        return not self.covered.get(day, False)


@dataclass(frozen=True)
class Term:
    kind: str
    starts_on: date
    ends_on: date
    programme_code: str | None = None


@dataclass(frozen=True)
class Student:
    student_id: str
    programme_code: str | None
    is_sponsored: bool
    periods: Sequence[tuple[str, date | None, date | None]]
    """Status, first day, first day after it; the order is that of the list."""
    exemptions: Sequence[tuple[str, date, date]] = ()
    contacts: Mapping[date, Mapping[str, int]] = field(default_factory=dict)
    """Contact points by day and title of the source."""


@dataclass(frozen=True)
class Row:
    """What the mart says of a student and a day."""

    contact_points: int
    kinds: str | None
    last_contact_date: date | None
    days_since_last_contact_point: int
    counted_days: int
    certain_days: int
    is_complete: bool
    incomplete_days: int
    days_left: int
    status: str
    not_counted_because: str | None


@dataclass(frozen=True)
class World:
    last_day: date
    feeds: Sequence[Feed]
    calendar: Sequence[Term]
    students: Sequence[Student]
    contacts_listed_on: date
    """Date of the newest list of contacts."""
    exemption_types: Sequence[str]
    limit_days: int = 60
    warn_from: int = 30


def rows(world: World) -> dict[tuple[str, date], Row]:
    """Return all rows of the mart."""
    first = max(min(day for feed in world.feeds for day in feed.covered), world.last_day - 364 * DAY)
    days = [first + n * DAY for n in range((world.last_day - first).days + 1)]

    lacking = {day for day in days if any(feed.lacks(day) for feed in world.feeds) or day >= world.contacts_listed_on}
    return {
        (student.student_id, day): row
        for student in world.students
        if student.is_sponsored
        for day, row in _of(student, world, days, lacking)
    }


def _of(student: Student, world: World, days: Sequence[date], lacking: set[date]) -> list[tuple[date, Row]]:
    begins = min((start or date.min for _, start, _ in student.periods), default=date.min)
    own = [day for day in days if day >= begins]
    found = []
    surest: dict[date | None, int] = {}
    for day in own:
        before = [on for on in student.contacts if on <= day]
        last = max(before, default=None)
        since = [one for one in own if (last is None or one > last) and one <= day]
        sure = [one for one in since if not any(gap >= one for gap in lacking if gap <= day)]
        because = _reason(student, world, day)
        counted = sum(_reason(student, world, one) is None for one in since)
        certain = sum(_reason(student, world, one) is None for one in sure)
        surest[last] = max(certain, surest.get(last, 0))
        points = student.contacts.get(day, {})
        row = Row(
            sum(points.values()),
            ", ".join(sorted(points)) or None,
            last,
            (day - last).days if last else len(since),
            counted,
            certain,
            day not in lacking,
            sum(one in lacking for one in since),
            world.limit_days - counted,
            _status(because, counted, surest[last], world),
            because,
        )
        found.append((day, row))
    return found


def _status(because: str | None, counted: int, certain: int, world: World) -> str:
    """Judge by the most that was ever certain since the last contact: what broke later takes nothing back."""
    if because:
        return "not_counted"
    if certain > world.limit_days:
        return "over_limit"
    if counted > world.limit_days:
        return "undetermined"
    if certain >= world.warn_from:
        return "warning"
    return "undetermined" if counted >= world.warn_from else "within"


def _reason(student: Student, world: World, day: date) -> str | None:
    held = [
        (start or date.min, -place, status)
        for place, (status, start, end) in enumerate(student.periods)
        if (start or date.min) <= day < (end or date.max)
    ]
    if held and (status := max(held)[2]) != "active":
        return status.replace("_", " ")
    if day >= max((end or date.max for _, _, end in student.periods), default=date.min):
        return "not enrolled"
    exempt = [kind for kind, start, end in student.exemptions if kind in world.exemption_types and start <= day <= end]
    if exempt:
        return f"exempt: {min(exempt)}"
    in_term = any(
        term.kind in COUNTED_IN
        and term.starts_on <= day <= term.ends_on
        and term.programme_code in (None, student.programme_code)
        for term in world.calendar
    )
    return None if in_term or not world.calendar else "outside term"
