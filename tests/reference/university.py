"""What scores depend on, in plain Python: roster, calendar, sources, evidence, and what follows for a student and week.

Steps 1 to 3 of the weekly score and eligibility are here; comparing students with each other is in scoring.py.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache

AWAY = {"suspended", "placement", "study_abroad"}


@dataclass(frozen=True)
class Parameters:
    """Constants of the score, with the documented defaults."""

    category_weights: dict[str, float]
    peer_levels: list[tuple[str, list[str]]]
    """Finest first: name and roster attributes."""
    week_weights: list[float] = field(default_factory=lambda: [1.0, 0.5, 0.25, 0.125])
    min_complete_days: int = 5
    min_eligible_days: int = 4
    min_group_size: int = 30
    min_institution_size: int = 10
    min_category_weight: float = 0.5
    max_z: float = 3.0
    calibration: str = "normal_scores"
    missing: str = "exclude"
    max_imputed_weeks: int = 2
    degraded_weeks: int = 3
    peer_sets: dict[str, list[tuple[str, list[str]]]] = field(default_factory=dict)
    """Other levels to compare by, side by side and each by itself."""


@dataclass(frozen=True)
class Source:
    source_id: str
    record: str
    category: str
    weight: float | None = None
    enabled_from: date | None = None
    disabled_from: date | None = None

    def enabled(self, day: date) -> bool:
        return (self.enabled_from is None or self.enabled_from <= day) and (
            self.disabled_from is None or self.disabled_from > day
        )


@dataclass(frozen=True)
class Enrolment:
    """One status period of a student in one snapshot; `attributes` as in the roster, None where unknown."""

    source_id: str
    as_of: date
    student_id: str
    status: str
    status_from: date | None
    status_to: date | None
    attributes: dict[str, str | None]

    def holds(self, day: date) -> bool:
        return (self.status_from or date.min) <= day < (self.status_to or date.max)


@dataclass(frozen=True)
class Teaching:
    """A teaching row of the term calendar, both dates inclusive; None means all."""

    starts_on: date
    ends_on: date
    programme_code: str | None = None
    cohort: str | None = None


@dataclass(frozen=True)
class Activity:
    """A row of daily_activity; expected and attended of registers only."""

    student_id: str
    day: date
    source_id: str
    interactions: int
    expected: int | None = None
    attended: int | None = None


@dataclass(frozen=True)
class Exemption:
    student_id: str
    starts_on: date
    ends_on: date


@dataclass
class University:
    """Everything that scores depend on."""

    parameters: Parameters
    sources: list[Source]
    enrolments: list[Enrolment]
    calendar: list[Teaching]
    activity: list[Activity]
    complete_days: set[tuple[str, date]]
    """Source and day that a batch of sufficient quality covers."""
    exemptions: list[Exemption] = field(default_factory=list)

    def __post_init__(self) -> None:
        # One University lives as long as one call of weekly_scores, so caching on it holds nothing for long.
        self.roster = lru_cache(None)(self._roster)
        self.teaches = lru_cache(None)(self._teaches)
        self.eligible = lru_cache(None)(self._eligible)
        self.usable = lru_cache(None)(self._usable)
        self.weeks_missing = lru_cache(None)(self._weeks_missing)

    @cached_property
    def scored_sources(self) -> list[Source]:
        weights = self.parameters.category_weights
        return [
            s
            for s in self.sources
            if s.record in ("activity", "attendance") and weights.get(s.category, 0) > 0 and s.weight != 0
        ]

    @cached_property
    def snapshots(self) -> dict[str, dict[date, dict[str, list[Enrolment]]]]:
        found: dict[str, dict[date, dict[str, list[Enrolment]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for row in self.enrolments:
            found[row.source_id][row.as_of][row.student_id].append(row)
        return found

    @cached_property
    def exempt_days(self) -> set[tuple[str, date]]:
        return {
            (e.student_id, e.starts_on + timedelta(k))
            for e in self.exemptions
            for k in range((e.ends_on - e.starts_on).days + 1)
        }

    @cached_property
    def weekly(self) -> dict[tuple[str, date, str], tuple[int, int, int]]:
        """Sums of interactions, expected and attended by student, week and source."""
        sums: dict[tuple[str, date, str], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
        for a in self.activity:
            key = (a.student_id, a.day - timedelta(a.day.weekday()), a.source_id)
            before = sums[key]
            sums[key] = (
                before[0] + a.interactions,
                before[1] + (a.expected or 0),
                before[2] + (a.attended or 0),
            )
        return dict(sums)

    def _roster(self, week: date) -> dict[str, list[Enrolment]]:
        """Rows by student as known by the week's Sunday; of a source without an earlier snapshot its first."""
        rows: dict[str, list[Enrolment]] = defaultdict(list)
        for by_date in self.snapshots.values():
            known = [as_of for as_of in by_date if as_of <= sunday(week)]
            for student, periods in by_date[max(known) if known else min(by_date)].items():
                rows[student] += periods
        return rows

    def status(self, student: str, day: date, week: date) -> str:
        holding = [r for r in self.roster(week).get(student, []) if r.holds(day)]
        return max(holding, key=lambda r: r.status_from or date.min).status if holding else "not_enrolled"

    def attributes(self, student: str, week: date) -> dict[str, str | None]:
        started = [r for r in self.roster(week)[student] if (r.status_from or date.min) <= sunday(week)]
        if not started:
            return {}
        return max(started, key=lambda r: (r.holds(sunday(week)), r.status_from or date.min)).attributes

    def study(self, student: str, week: date) -> tuple[str | None, str | None]:
        attributes = self.attributes(student, week)
        return attributes.get("programme_code") or None, attributes.get("cohort") or None

    def _teaches(self, study: tuple[str | None, str | None], week: date) -> bool:
        return any(
            row.starts_on <= sunday(week)
            and row.ends_on >= week
            and (not row.programme_code or row.programme_code == study[0])
            and (not row.cohort or row.cohort == study[1])
            for row in self.calendar
        )

    def _eligible(self, week: date) -> set[str]:
        return {s for s in self.roster(week) if self._is_eligible(s, week)}

    def _is_eligible(self, student: str, week: date) -> bool:
        if self.status(student, sunday(week), week) != "active" or not self.teaches(self.study(student, week), week):
            return False
        present = [
            self.status(student, day, week) not in AWAY and (student, day) not in self.exempt_days for day in days(week)
        ]
        return sum(present) >= self.parameters.min_eligible_days

    def _usable(self, source: Source, week: date) -> bool:
        complete = sum(source.enabled(day) and (source.source_id, day) in self.complete_days for day in days(week))
        return source.enabled(sunday(week)) and complete >= self.parameters.min_complete_days

    def _weeks_missing(self, source: Source, week: date, study: tuple[str | None, str | None]) -> int:
        """Teaching weeks of this study in a row up to `week` in which the source is enabled and not usable."""
        first = min(row.starts_on for row in self.calendar)
        run = 0
        while sunday(week) >= first:
            if self.teaches(study, week):
                if not source.enabled(sunday(week)) or self.usable(source, week):
                    break
                run += 1
            week -= timedelta(7)
        return run

    def metric(self, student: str, week: date, source: Source) -> float | None:
        interactions, expected, attended = self.weekly.get((student, week, source.source_id), (0, 0, 0))
        if source.record == "attendance":
            return round((attended + 0.5) / (expected + 1), 7) if expected else None
        return round(math.log(1 + interactions), 7)

    def smoothed(self, student: str, week: date, source: Source) -> float | None:
        """Return Y of scoring.md, None where there is none."""
        if not self.usable(source, week):
            if self.parameters.missing != "impute" or not source.enabled(sunday(week)):
                return None
            if self.weeks_missing(source, week, self.study(student, week)) > self.parameters.max_imputed_weeks:
                return None
        total = weights = 0.0
        for lag, weight in enumerate(self.parameters.week_weights):
            earlier = week - timedelta(7 * lag)
            if self.usable(source, earlier) and student in self.eligible(earlier):
                metric = self.metric(student, earlier, source)
                if metric is not None:
                    total += weight * metric
                    weights += weight
        return round(total / weights, 7) if weights else None


def sunday(week: date) -> date:
    """Return the last day of the week that begins on `week`."""
    return week + timedelta(6)


def days(week: date) -> list[date]:
    """Return the seven days of the week that begins on `week`."""
    return [week + timedelta(k) for k in range(7)]
