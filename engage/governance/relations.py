"""How the published numbers hang together: what anybody may add up, subtract and compare. Judged by disclosure.py.

Members of a dimension add up to all, programmes to their faculties, bands to all who are scored; a part is never more
than its whole; means tie sums of scores to numbers of people; weeks add up to periods. Nothing is published by two
dimensions at once, so that this is all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from engage.governance.disclosure import Count, Key, Relation, average

ALL = "all"
SCORED, FLAGGED, ATTENTION, CONCERN = "students_scored", "flagged", "below_attention", "below_concern"
TRENDS = (SCORED, "declining", "consistently_low", ATTENTION, CONCERN)
PARTS = (
    (CONCERN, ATTENTION),
    ("consistently_low", ATTENTION),
    (ATTENTION, FLAGGED),
    (ATTENTION, SCORED),
    (FLAGGED, SCORED),
    ("declining", SCORED),
)
"""Each a part of the other, in every group."""
BANDS = ("0-199", "200-399", "400-599", "600-799", "800-1000")
TOP = 1000
DIMENSIONS = ("faculty", "programme", "year_of_study", "mode")
_COSTS = {ALL: 20.0, "faculty": 6.0, "programme": 1.0}


@dataclass(frozen=True)
class Group:
    """The students of one group in one week, counted exactly."""

    dimension: str
    member: str
    counts: Mapping[str, int]
    """Of SCORED, FLAGGED and the other TRENDS."""
    score_sum: int = 0
    """Of all their scores, in points."""


@dataclass(frozen=True)
class Week:
    """All that is known exactly of one week's scores."""

    week_start: date
    groups: Sequence[Group]
    bands: Sequence[int]
    """Students in each of BANDS."""
    programmes: Collection[tuple[str, str]] = field(default_factory=tuple)
    """Every programme with each faculty that it has students in."""
    attention_below: int = 350
    concern_below: int = 300
    too_early: Collection[str] = ()
    """Of TRENDS: those that look back beyond the first scores, so that nobody can be counted and nothing is shown."""


def figures_of(dimension: str) -> tuple[str, ...]:
    """Return which counts are published by a dimension; those of characteristics only as base and share."""
    if dimension == "programme":
        return TRENDS
    return (*TRENDS, FLAGGED) if dimension in (ALL, *DIMENSIONS) else (SCORED, FLAGGED)


def week_counts(week: Week, listed: Collection[tuple[str, str]]) -> dict[Key, Count]:
    """Return the counts of a week by (figure, dimension, member); shown are those of `listed` groups alone."""
    counts: dict[Key, Count] = {}
    for group in week.groups:
        is_shown = group.dimension == ALL or (group.dimension, group.member) in listed
        for figure in figures_of(group.dimension):
            exact = group.counts[figure]
            # Of two that would do the smaller goes; without their base, shares go, too.
            cost = _COSTS.get(group.dimension, 3.0) * (2 if figure == SCORED else 1) + min(exact, 10_000) / 1e5
            counts[figure, group.dimension, group.member] = Count(exact, is_shown, cost=cost)
    for band, exact in zip(BANDS, week.bands, strict=True):
        counts["score_band", ALL, band] = Count(exact, cost=10.0 + min(exact, 10_000) / 1e5)
    return counts


def week_relations(week: Week) -> list[Relation]:
    """Return what everybody knows of the counts of `week_counts`."""
    members: dict[str, list[str]] = {}
    for group in week.groups:
        members.setdefault(group.dimension, []).append(group.member)
    relations = []
    for dimension, names in members.items():
        for figure in figures_of(dimension):
            if dimension != ALL:
                relations.append(_adds_up([(figure, dimension, name) for name in names], [(figure, ALL, ALL)]))
        for name in names:
            for part, whole in PARTS:
                if {part, whole} <= set(figures_of(dimension)):
                    relations.append(_at_most((part, dimension, name), (whole, dimension, name)))
    for programmes, faculties in _joined(week.programmes):
        for figure in TRENDS:
            ours = [(figure, "programme", name) for name in programmes]
            relations.append(_adds_up(ours, [(figure, "faculty", name) for name in faculties]))
    bands = [("score_band", ALL, band) for band in BANDS]
    relations.append(_adds_up(bands, [(SCORED, ALL, ALL)]))
    for figure, below in ((ATTENTION, week.attention_below), (CONCERN, week.concern_below)):
        inside = [key for place, key in enumerate(bands) if 200 * (place + 1) <= below]
        touched = [key for place, key in enumerate(bands) if 200 * place < below]
        relations.append(Relation({**dict.fromkeys(inside, -1), (figure, ALL, ALL): 1}, 0, None))
        relations.append(Relation({**dict.fromkeys(touched, 1), (figure, ALL, ALL): -1}, 0, None))
    return relations


def with_means(
    week: Week, counts: Mapping[Key, Count], relations: Sequence[Relation], shown: Iterable[tuple[str, str]]
) -> tuple[dict[Key, Count], list[Relation]]:
    """Return counts and relations with what the means of the `shown` groups (all, faculties) tell besides."""
    sums: dict[Key, Count] = {}
    more: list[Relation] = []
    groups = {(g.dimension, g.member): g for g in week.groups if g.dimension in (ALL, "faculty")}
    for place, group in groups.items():
        total, n = ("sum", *place), (SCORED, *place)
        a, c = (ATTENTION, *place), (CONCERN, *place)
        sums[total] = Count(group.score_sum, is_shown=False, is_sensitive=False)
        above, below = week.attention_below, week.concern_below
        more += [
            Relation({total: 1, n: -TOP, a: TOP - above + 1, c: above - below}, None, 0),
            Relation({total: 1, n: -above, a: above - below, c: below}, 0, None),
        ]
    for place in shown:
        mean = average(groups[place].score_sum, groups[place].counts[SCORED])
        if mean is not None:
            total, n = ("sum", *place), (SCORED, *place)
            more.append(Relation({total: 2, n: 5 - 2 * mean}, 0, None))
            more.append(Relation({total: 2, n: -5 - 2 * mean}, None, -1))
    faculties: list[Key] = [("sum", *place) for place in groups if place[0] == "faculty"]
    if faculties:
        more.append(_adds_up(faculties, [("sum", ALL, ALL)]))
    bands: list[Key] = [("score_band", ALL, band) for band in BANDS]
    least = {band: -200 * place for place, band in enumerate(bands)}
    most = {band: -min(200 * place + 199, TOP) - (place == 4) for place, band in enumerate(bands)}
    more.append(Relation({("sum", ALL, ALL): 1, **least}, 0, None))
    more.append(Relation({("sum", ALL, ALL): 1, **most}, None, 0))
    return {**counts, **sums}, [*relations, *more]


def flow_relations(atoms: Collection[tuple[date, str]], periods: Mapping[str, Collection[date]]) -> list[Relation]:
    """Return what everybody knows of a flow that is published by week, and by faculty for whole periods.

    `atoms`: weeks with the faculties counted in them, keys of what is not published. `periods`: the weeks of each.
    Keys of the others: ("week", Monday) and ("period", its name, faculty).
    """
    relations = []
    for monday in {monday for monday, _ in atoms}:
        parts: list[Key] = [("atom", *atom) for atom in atoms if atom[0] == monday]
        relations.append(_adds_up(parts, [("week", monday)]))
    for name, mondays in periods.items():
        for faculty in {faculty for _, faculty in atoms}:
            parts = [("atom", *atom) for atom in atoms if atom[1] == faculty and atom[0] in mondays]
            relations.append(_adds_up(parts, [("period", name, faculty)]))
    return relations


def _adds_up(parts: Sequence[Key], wholes: Sequence[Key]) -> Relation:
    return Relation({**dict.fromkeys(parts, 1), **dict.fromkeys(wholes, -1)})


def _at_most(part: Key, whole: Key) -> Relation:
    return Relation({part: -1, whole: 1}, 0, None)


def _joined(pairs: Collection[tuple[str, str]]) -> list[tuple[set[str], set[str]]]:
    """Return programmes with faculties that share no programme with others: mostly one faculty each."""
    joined: list[tuple[set[str], set[str]]] = []
    for programme, faculty in sorted(pairs):
        touching = [one for one in joined if programme in one[0] or faculty in one[1]]
        rest = [one for one in joined if one not in touching]
        programmes = {programme}.union(*(one[0] for one in touching))
        joined = [*rest, (programmes, {faculty}.union(*(one[1] for one in touching)))]
    return joined
