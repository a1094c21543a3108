"""No Digital Activity and Low Activity in plain Python, from the published definitions: what must have been triggered.

Takes a History of plain records, walks back from every day, and knows no database. Whoever changes a definition changes
it here first.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from tests.reference.university import Enrolment

IN_TERM = {"teaching", "reading", "assessment"}
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
SILENCE, LOW = "no_digital_activity", "low_activity"

Gaps = tuple[tuple[date, str], ...]
"""Day and source of what was not complete."""


@dataclass(frozen=True)
class Feed:
    """A source whose silence is evidence: digital, or a register."""

    source_id: str
    is_digital: bool = True
    record: str = "activity"
    category: str = "vle"
    enabled_from: date | None = None
    disabled_from: date | None = None
    quiet_weekdays: tuple[str, ...] = ()
    quiet_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """A row of the calendar, both dates inclusive; None means all."""

    kind: str
    starts_on: date
    ends_on: date
    programme_code: str | None = None
    cohort: str | None = None

    def holds(self, day: date, study: tuple[str | None, str | None]) -> bool:
        return (
            self.starts_on <= day <= self.ends_on
            and self.programme_code in (None, study[0])
            and self.cohort in (None, study[1])
        )


@dataclass(frozen=True)
class Exempt:
    """An exemption and the local day on which somebody entered it; both dates inclusive."""

    student_id: str
    starts_on: date
    ends_on: date
    created_on: date


@dataclass(frozen=True)
class Trigger:
    kind: str
    student_id: str
    trigger_date: date


@dataclass
class History:
    """All that is known at a moment."""

    feeds: list[Feed]
    enrolments: list[Enrolment]
    calendar: list[Term]
    activity: dict[tuple[str, date, str], int]
    """Interactions by student, day and source; no zeros."""
    covered: dict[tuple[str, date], bool]
    """Whether the source is complete, of those days that it covers."""
    exemptions: list[Exempt] = field(default_factory=list)
    silent_days: int = 7
    low_days: int = 14
    low_at_most: int = 2

    @cached_property
    def lists(self) -> dict[str, dict[date, dict[str, list[Enrolment]]]]:
        found: dict[str, dict[date, dict[str, list[Enrolment]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for row in self.enrolments:
            found[row.source_id][row.as_of][row.student_id].append(row)
        return found

    @cached_property
    def acted(self) -> set[tuple[str, date]]:
        digital = {f.source_id for f in self.feeds if f.is_digital}
        return {(student, day) for student, day, source in self.activity if source in digital}

    @cached_property
    def exempt(self) -> set[tuple[str, date]]:
        return {
            (e.student_id, day)
            for e in self.exemptions
            for day in span(max(e.starts_on, e.created_on + timedelta(1)), e.ends_on)
        }

    @cached_property
    def first_covered(self) -> dict[str, date]:
        return {f.source_id: min(d for s, d in self.covered if s == f.source_id) for f in self.feeds if self._came(f)}

    def _came(self, feed: Feed) -> bool:
        return any(source == feed.source_id for source, _ in self.covered)

    def witnesses(self, day: date, with_registers: bool = False) -> Iterator[Feed]:
        """Yield what could tell of the day: from its start, or else from the first day that it ever covered."""
        for feed in self.feeds:
            begins = feed.enabled_from or self.first_covered.get(feed.source_id, date.min)
            if begins <= day < (feed.disabled_from or date.max) and (feed.is_digital or with_registers):
                yield feed

    def is_complete(self, feed: Feed, day: date) -> bool:
        if (feed.source_id, day) in self.covered:
            return self.covered[feed.source_id, day]
        kinds = {t.kind for t in self.calendar if not t.programme_code and not t.cohort and t.holds(day, (None, None))}
        return WEEKDAYS[day.weekday()] in feed.quiet_weekdays or bool(kinds & {"closure", *feed.quiet_in})

    def in_term(self, day: date, study: tuple[str | None, str | None]) -> bool:
        kinds = {t.kind for t in self.calendar if t.holds(day, study)}
        return bool(kinds & IN_TERM) and "vacation" not in kinds

    def periods(self, student: str, as_of: date) -> list[Enrolment]:
        """Return what the lists in force on a day say: the newest as of it, of each source, or else its first."""
        found = []
        for by_date in self.lists.values():
            known = [day for day in by_date if day <= as_of]
            found += by_date[max(known) if known else min(by_date)].get(student, [])
        return found


def inactivity(history: History, until: date) -> dict[Trigger, Gaps]:
    """Return all that triggered up to the day `until`, the last that is over, and what evidence is missing."""
    return {
        trigger: gaps
        for student in sorted({e.student_id for e in history.enrolments})
        for trigger, gaps in _of_student(history, student, until)
    }


def _of_student(history: History, student: str, until: date) -> Iterator[tuple[Trigger, Gaps]]:
    first = min(
        (d for s, d in history.covered if s in {f.source_id for f in history.feeds if f.is_digital}), default=None
    )
    last_low = date.min
    for day in span(first, until) if first else []:
        silent, eligible = _counts(history, student, day, first or day)
        following = day + timedelta(1)
        if (student, following) in history.exempt:
            continue
        if silent and silent % history.silent_days == 0 and not _was_away(history, student, day, history.silent_days):
            yield Trigger(SILENCE, student, following), _gaps(history, day, history.silent_days, with_registers=False)
        length = history.low_days
        done = sum(history.activity.get((student, d, f.source_id), 0) for d in last(day, length) for f in history.feeds)
        if (
            eligible >= length
            and done <= history.low_at_most
            and not _was_away(history, student, day, length)
            and (following - last_low).days >= length
        ):
            last_low = following
            yield Trigger(LOW, student, following), _gaps(history, day, length, with_registers=True)


def _counts(history: History, student: str, day: date, first: date) -> tuple[int, int]:
    """Return for how many days up to this one the student was silent, and for how many the silence would count."""
    periods = history.periods(student, day)
    now = _speaking(periods, day)
    if now is None:
        return 0, 0
    study = now.attributes.get("programme_code"), now.attributes.get("cohort")
    silent, eligible, counting = 0, 0, True
    while day >= first:
        period = _speaking(periods, day)
        if (
            period is None
            or period.status != "active"
            or not history.in_term(day, study)
            or (student, day) in history.exempt
            or not any(history.witnesses(day))
        ):
            break
        counting = counting and (student, day) not in history.acted
        silent, eligible = silent + counting, eligible + 1
        day -= timedelta(1)
    return silent, eligible


def _was_away(history: History, student: str, day: date, length: int) -> bool:
    """Say whether the newest list tells that the student was not active on one of the days, whatever was known then."""
    spoken = (_speaking(history.periods(student, date.max), d) for d in last(day, length))
    return any(period is not None and period.status != "active" for period in spoken)


def _speaking(periods: Iterable[Enrolment], day: date) -> Enrolment | None:
    return max((p for p in periods if p.holds(day)), key=lambda p: p.status_from or date.min, default=None)


def _gaps(history: History, day: date, length: int, with_registers: bool) -> Gaps:
    return tuple(
        sorted(
            (d, feed.source_id)
            for d in last(day, length)
            for feed in history.witnesses(d, with_registers)
            if not history.is_complete(feed, d)
        )
    )


def last(day: date, length: int) -> list[date]:
    """Return so many days up to this one."""
    return span(day - timedelta(length - 1), day)


def span(first: date, until: date) -> list[date]:
    """Return the days from `first` to `until`, both included."""
    return [first + timedelta(k) for k in range((until - first).days + 1)]
