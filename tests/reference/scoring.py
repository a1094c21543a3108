"""The weekly score in plain Python, written from the published definitions and not from the SQL: short and checkable.

Takes a University of plain records and returns scores (steps 4 to 8); knows no database. Whoever changes a definition
changes it here first.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import NormalDist, fmean, pstdev

from tests.reference.university import (
    Activity,
    Enrolment,
    Exemption,
    Parameters,
    Source,
    Teaching,
    University,
    sunday,
)

__all__ = [
    "Activity",
    "Enrolment",
    "Exemption",
    "Parameters",
    "Part",
    "Score",
    "Source",
    "Teaching",
    "University",
    "peer_set_scores",
    "weekly_scores",
]


@dataclass(frozen=True)
class Part:
    metric: float
    z: float
    weight: float
    contribution: float


@dataclass(frozen=True)
class Score:
    status: str
    score: int | None
    composite: float | None
    peer_level: str | None
    peer_group: str | None
    peer_n: int | None
    marks: list[str]
    parts: dict[str, Part]


def weekly_scores(university: University, weeks: Iterable[date]) -> dict[tuple[str, date], Score]:
    """Return the score of every eligible student in every week (named by its Monday)."""
    return {(student, week): score for week in weeks for student, score in _scores(university, week).items()}


def peer_set_scores(university: University, weeks: Iterable[date]) -> dict[str, dict[tuple[str, date], Score]]:
    """Return by name of each other peer set what `weekly_scores` would be if scores were published by that set."""
    by_set = {
        name: replace(university.parameters, peer_levels=s) for name, s in university.parameters.peer_sets.items()
    }
    return {name: weekly_scores(replace(university, parameters=p), weeks) for name, p in by_set.items()}


def _scores(university: University, week: date) -> dict[str, Score]:
    parameters = university.parameters
    eligible = sorted(university.eligible(week))
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    keys: dict[str, dict[int, str]] = {}
    for student in eligible:
        keys[student] = group_keys(university.attributes(student, week), parameters.peer_levels)
        for level, key in keys[student].items():
            groups[level, key].append(student)

    metrics = {
        s: {x.source_id: y for x in university.scored_sources if (y := university.smoothed(s, week, x)) is not None}
        for s in eligible
    }
    missing = [s for s in university.scored_sources if s.enabled(sunday(week)) and not university.usable(s, week)]
    calibrated: dict[tuple[int, str], dict[str, tuple[int, float, dict[str, Part], bool]]] = {}
    scores: dict[str, Score] = {}
    coarsest = len(parameters.peer_levels) - 1
    for student in eligible:
        runs = [university.weeks_missing(s, week, university.study(student, week)) for s in missing]
        marks = {"degraded"} if any(run >= parameters.degraded_weeks for run in runs) else set()
        large = [v for v, key in sorted(keys[student].items()) if len(groups[v, key]) >= parameters.min_group_size]
        level = large[0] if large else coarsest
        group = keys[student].get(level)
        if group is None:
            scores[student] = Score("insufficient_peers", None, None, None, None, None, sorted(marks), {})
            continue
        n = len(groups[level, group])
        place = (parameters.peer_levels[level][0], group, n)
        if not large and n < parameters.min_institution_size:
            scores[student] = Score("insufficient_peers", None, None, *place, sorted(marks), {})
            continue
        if (level, group) not in calibrated:
            calibrated[level, group] = _group_scores(university, {s: metrics[s] for s in groups[level, group]})
        results = calibrated[level, group]
        if student not in results:
            scores[student] = Score("insufficient_data", None, None, *place, sorted(marks), {})
            continue
        score, composite, parts, no_variation = results[student]
        if no_variation:
            marks.add("no_variation")
        if any(source.source_id in parts for source in missing):
            marks.add("imputed")
        scores[student] = Score("scored", score, composite, *place, sorted(marks), parts)
    return scores


def group_keys(attributes: dict[str, str | None], levels: Sequence[tuple[str, list[str]]]) -> dict[int, str]:
    """Return the student's group at each level, finest 0; levels with an unknown attribute are left out."""
    found = {}
    for place, (_, names) in enumerate(levels):
        values = [attributes.get(name) for name in names]
        if all(values):
            found[place] = " / ".join(str(v) for v in values) if values else "institution"
    return found


def _group_scores(
    university: University, metrics: dict[str, dict[str, float]]
) -> dict[str, tuple[int, float, dict[str, Part], bool]]:
    """Return score, composite, parts and no_variation of those members for whom enough weight remains."""
    parameters = university.parameters
    values = {
        source.source_id: [y[source.source_id] for y in metrics.values() if source.source_id in y]
        for source in university.scored_sources
    }
    with_data = [s for s in university.scored_sources if values[s.source_id]]
    moments = {s.source_id: (fmean(values[s.source_id]), pstdev(values[s.source_id])) for s in with_data}
    counting = [s for s in with_data if moments[s.source_id][1] >= 1e-9]
    basis = counting or with_data
    weights = {}
    for source in basis:
        own = 1.0 if source.weight is None else source.weight
        siblings = sum(1.0 if s.weight is None else s.weight for s in basis if s.category == source.category)
        weights[source.source_id] = parameters.category_weights[source.category] * own / siblings

    parts: dict[str, dict[str, Part]] = {}
    composites: dict[str, float] = {}
    for student, ys in metrics.items():
        remaining = sum(weight for source, weight in weights.items() if source in ys)
        if not remaining or remaining < parameters.min_category_weight - 1e-12:
            continue
        parts[student] = {}
        for source in counting:
            if source.source_id in ys:
                mean, sd = moments[source.source_id]
                z = max(-parameters.max_z, min(parameters.max_z, (ys[source.source_id] - mean) / sd))
                weight = weights[source.source_id] / remaining
                parts[student][source.source_id] = Part(ys[source.source_id], z, weight, weight * z)
        composites[student] = round(sum(p.contribution for p in parts[student].values()), 9)
    ts = calibrate(composites, parameters.calibration)
    no_variation = len(set(composites.values())) == 1
    return {s: (final_score(ts[s]), composites[s], parts[s], no_variation) for s in composites}


def calibrate(composites: dict[str, float], calibration: str) -> dict[str, float]:
    """Return t of each student; all equal gives 0."""
    values = sorted(composites.values())
    if len(set(values)) <= 1:
        return dict.fromkeys(composites, 0.0)
    if calibration == "zscore":
        mean, sd = fmean(values), pstdev(values)
        return {s: (c - mean) / sd for s, c in composites.items()}
    places: dict[float, list[int]] = defaultdict(list)
    for place, value in enumerate(values, start=1):
        places[value].append(place)
    t = {c: NormalDist().inv_cdf((fmean(ranks) - 0.5) / len(values)) for c, ranks in places.items()}
    mean = fmean(t[c] for c in values)
    return {s: t[c] - mean for s, c in composites.items()}


def final_score(t: float) -> int:
    """Return the score of 0 to 1000 that t stands for."""
    return min(1000, max(0, math.floor(500 + 100 * t + 0.5)))
