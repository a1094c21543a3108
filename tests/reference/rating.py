"""Windows and daily rating in plain Python, from the published definitions: what the daily marts must hold.

Takes a University as the score does, with the days that each source covers; knows no database, and is not quick.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from tests.reference.scoring import group_keys
from tests.reference.university import Enrolment, Source, University

LABELS = ["Inactive", "Very Low", "Low", "Active", "High", "Very High"]
Covered = set[tuple[str, date]]


@dataclass(frozen=True)
class Window:
    interactions: tuple[int, int, int]
    covered: tuple[int, int, int]
    days_since_last: int | None


@dataclass(frozen=True)
class Rating:
    rating: int
    engagement: float
    relative: float
    window_days: int
    covered_days: int
    fully_covered_days: int
    peer_group: str


def enrolled(university: University, day: date) -> dict[str, Enrolment]:
    """Return whose enrolment is active on a day, by the newest roster as of it or else the first."""
    found: dict[str, list[Enrolment]] = defaultdict(list)
    for by_date in university.snapshots.values():
        known = [as_of for as_of in by_date if as_of <= day]
        for student, periods in by_date[max(known) if known else min(by_date)].items():
            found[student] += [p for p in periods if p.holds(day)]
    speaking = {s: max(ps, key=lambda p: p.status_from or date.min) for s, ps in found.items() if ps}
    return {s: p for s, p in speaking.items() if p.status == "active"}


def source_days(university: University, covered: Covered, until: date) -> dict[date, list[Source]]:
    """Return the sources of each day: from the first that they cover, until the last day or their last."""
    days: dict[date, list[Source]] = defaultdict(list)
    for source in university.sources:
        own = [day for name, day in covered if name == source.source_id]
        for day in span(min(own, default=until + timedelta(1)), until):
            if source.disabled_from is None or day < source.disabled_from:
                days[day].append(source)
    return days


def activity_windows(university: University, covered: Covered, until: date) -> dict[tuple[str, date, str], Window]:
    """Return the windows of every enrolled student, day and source."""
    done = {(a.student_id, a.source_id, a.day): a.interactions for a in university.activity if a.interactions}
    seen: dict[tuple[str, str], list[date]] = defaultdict(list)
    for student, name, day in done:
        seen[student, name].append(day)
    found = {}
    for day, sources in source_days(university, covered, until).items():
        for student in enrolled(university, day):
            for source in sources:
                name = source.source_id
                last = max((d for d in seen[student, name] if d <= day), default=None)
                lengths = [span(day - timedelta(n - 1), day) for n in (7, 14, 21)]
                a, b, c = (sum(done.get((student, name, d), 0) for d in days) for days in lengths)
                e, f, g = (sum((name, d) in covered for d in days) for days in lengths)
                since = (day - last).days if last else None
                found[student, day, name] = Window((a, b, c), (e, f, g), since)
    return found


def daily_rating(
    university: University,
    covered: Covered,
    until: date,
    lengths: tuple[int, int] = (7, 21),
    cuts: tuple[float, ...] = (0.25, 0.6, 1.4, 2.2),
) -> dict[tuple[str, date], Rating]:
    """Return the rating of every enrolled student on every day with a covered day in the window."""
    scored = {s.source_id for s in university.scored_sources}
    by_day = {
        day: [s for s in sources if s.source_id in scored and s.enabled(day)]
        for day, sources in source_days(university, covered, until).items()
    }
    weights = {
        (s.source_id, day): university.parameters.category_weights[s.category]
        * own(s)
        / sum(own(t) for t in sources if t.category == s.category)
        for day, sources in by_day.items()
        for s in sources
    }
    some = {day for day, sources in by_day.items() if any((s.source_id, day) in covered for s in sources)}
    every = {day for day in some if all((s.source_id, day) in covered for s in by_day[day])}
    listed = source_days(university, covered, until)
    seen = {
        (a.student_id, a.day)
        for a in university.activity
        if a.interactions and a.source_id in {s.source_id for s in listed[a.day]}
    }
    e: dict[tuple[str, date], float] = defaultdict(float)
    for a in university.activity:
        e[a.student_id, a.day] += weights.get((a.source_id, a.day), 0) * math.log(1 + a.interactions)
    found = {}
    for day in by_day:
        total, facts, groups, inactive = {}, {}, defaultdict(list), set()
        for student, period in enrolled(university, day).items():
            length = lengths[period.attributes.get("mode") == "PT"]
            days = span(day - timedelta(length - 1), day)
            if not any((student, d) in seen for d in days):
                inactive.add(student)
            if window := [d for d in days if d in some]:
                by = {d: length - (day - d).days for d in window}
                total[student] = sum(by[d] * e[student, d] for d in window) / sum(by.values())
                keys = group_keys(period.attributes, university.parameters.peer_levels)
                facts[student] = (length, len(window), len(every & set(window)), {**keys, 99: "institution"})
                for level, group in facts[student][3].items():
                    groups[level, group].append(student)
        for student, (length, n, fully, keys) in facts.items():
            level, group = next(
                (v, g)
                for v, g in sorted(keys.items())
                if v == 99 or len(groups[v, g]) >= university.parameters.min_group_size
            )
            engagement = round(total[student], 9)
            others = [round(total[s], 9) for s in groups[level, group] if total[s] > 0]
            relative = round(engagement / median(others), 9) if engagement else 0.0
            rating = 0 if student in inactive else 1 + sum(relative >= cut for cut in cuts)
            found[student, day] = Rating(rating, engagement, relative, length, n, fully, group)
    return found


def own(source: Source) -> float:
    """Return the weight of a source within its category."""
    return 1.0 if source.weight is None else source.weight


def span(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`, both included."""
    return [first + timedelta(k) for k in range((last - first).days + 1)]
