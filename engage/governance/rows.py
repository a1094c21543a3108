"""From exact numbers to what is published: rounded, and left out where it must be. Pure; the only makers of such rows.

Scores of a week are judged together, so are all weeks and periods of a kind of notification (relations.py). What is
made here of numbers that are published anyway (shares, ratios, means over weeks) tells nothing that they do not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from engage.governance import disclosure
from engage.governance.aftermath import Hits, Outcomes
from engage.governance.disclosure import Count, Key, rounded
from engage.governance.exact import Flow
from engage.governance.relations import (
    ALL,
    ATTENTION,
    BANDS,
    CONCERN,
    DIMENSIONS,
    FLAGGED,
    SCORED,
    TRENDS,
    Week,
    flow_relations,
    week_counts,
    week_relations,
    with_means,
)  # fmt: skip

SHARES = {
    "declining": "declining_share",
    "consistently_low": "consistently_low_share",
    ATTENTION: "below_attention_share",
}
WEEK = "week"
"""Category of a flagged share that is of a week; that of the period has none."""
Suppressed = Literal["small", "secondary"]


@dataclass(frozen=True, order=True)
class Row:
    """A line of `governance.figure` without its edition."""

    figure_id: str
    period_start: date
    dimension: str
    member: str
    category: str = ""
    value: float | None = None
    base: int | None = None
    suppressed: Suppressed | None = None

    @property
    def key(self) -> tuple[str, date, str, str, str]:
        """What it is of."""
        return self.figure_id, self.period_start, self.dimension, self.member, self.category


@dataclass(frozen=True)
class Published:
    """What an earlier edition shows of the period of a flow by faculty."""

    name: str
    weeks: frozenset[date]
    values: Mapping[tuple[str, str], float | None]
    """By category and faculty."""


def of_scores(week: Week, listed: Collection[tuple[str, str]]) -> list[Row]:
    """Return the rows of a week's scores; groups that are not `listed` are too small to be named at all."""
    counts = week_counts(week, listed)
    relations = week_relations(week)
    for key in disclosure.to_hide(counts, relations):
        counts[key] = replace(counts[key], is_shown=False)
    means, which = _means(week, counts)
    if not disclosure.is_safe(*with_means(week, counts, relations, which)):
        means, which = means, []
    rows = []
    for group in week.groups:
        place = (group.dimension, group.member)
        if group.dimension != ALL and place not in listed:
            continue
        base = counts[SCORED, *place]
        if group.dimension in (ALL, *DIMENSIONS):
            for figure in (one for one in TRENDS if one not in week.too_early):
                rows.append(_count(figure, week.week_start, *place, "", counts[figure, *place]))
                if figure in SHARES:
                    rows.append(_share(SHARES[figure], week.week_start, *place, "", counts[figure, *place], base))
        if place in means:
            shown, small = means[place], group.counts[SCORED] <= disclosure.MIN_AVERAGE_BASE
            hidden: Suppressed | None = "small" if small else None if place in which else "secondary"
            row = Row("mean_score", week.week_start, *place, "", None if hidden else shown, _shown(base), hidden)
            rows.append(row)
        if group.dimension != "programme":
            rows.append(_share("flagged_share", week.week_start, *place, WEEK, counts[FLAGGED, *place], base))
    rows += [_count("score_band", week.week_start, ALL, ALL, b, counts["score_band", ALL, b]) for b in BANDS]
    return rows


def _means(week: Week, counts: Mapping[Key, Count]) -> tuple[dict[tuple[str, str], int | None], list[tuple[str, str]]]:
    """Return the means of all and of faculties, and which of them may be shown: with one too small not that of all."""
    groups = {(g.dimension, g.member): g for g in week.groups if g.dimension in (ALL, "faculty")}
    means = {place: disclosure.average(g.score_sum, g.counts[SCORED]) for place, g in groups.items()}
    is_open = [place for place, mean in means.items() if mean is not None and counts[SCORED, *place].is_shown]
    return means, is_open if len(is_open) == len(means) else [place for place in is_open if place[0] != ALL]


def of_period(week_rows: Iterable[Row], start: date, weeks: Collection[date]) -> list[Row]:
    """Return flagged shares in an average week of a period, and their ratios, from the published ones of its weeks."""
    by_group: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(week_rows):
        if row.figure_id == "flagged_share" and row.category == WEEK and row.period_start in weeks:
            by_group.setdefault((row.dimension, row.member), []).append(row)
    rows, shares = [], {}
    for place, ours in by_group.items():
        known = [(row.value, row.base) for row in ours if row.value is not None and row.base]
        base = sum(base for _, base in known)
        if not known:
            rows.append(Row("flagged_share", start, *place, "", None, ours[-1].base, ours[-1].suppressed))
            continue
        shares[place] = sum(value * base for value, base in known) / base
        rows.append(Row("flagged_share", start, *place, "", int(shares[place] + 0.5), rounded(base / len(known))))
    everybody = shares.get((ALL, ALL))
    for row in list(rows):
        mine = shares.get((row.dimension, row.member))
        if row.dimension != ALL:
            ratio = round(mine / everybody, 2) if mine is not None and everybody else None
            missing = None if ratio is not None else row.suppressed or "small"
            rows.append(Row("fairness_ratio", start, row.dimension, row.member, "", ratio, row.base, missing))
    return rows


def of_hits(week_rows: Iterable[Row], found: Mapping[date, Mapping[str, Hits]]) -> list[Row]:
    """Return what became of low scores; of how many, is what the week's own rows say."""
    shown = {(r.period_start, r.figure_id): r.value for r in week_rows if r.dimension == ALL and not r.category}
    rows = []
    for week, groups in sorted(found.items()):
        scored, low = shown.get((week, SCORED)), shown.get((week, ATTENTION))
        others = None if scored is None or low is None else scored - low
        for category, base in ((CONCERN, shown.get((week, CONCERN))), (ATTENTION, low), ("others", others)):
            if base is None:
                rows.append(Row("score_hit_share", week, ALL, ALL, category, None, None, "secondary"))
                continue
            value = disclosure.share(groups[category].hits, int(base))
            missing: Suppressed | None = "small" if value is None else None
            rows.append(Row("score_hit_share", week, ALL, ALL, category, value, int(base), missing))
    return rows


def of_notifications(
    flows: Sequence[Flow], categories: Sequence[str], weeks: Sequence[date], faculties: Sequence[str], *,
    listed: Collection[str], start: date, period: Collection[date], week_rows: Mapping[tuple[date, str], float | None],
    archive: Sequence[Published],
) -> list[Row]:  # fmt: skip
    """Return notifications of every week that has none in `week_rows` yet, and by faculty of the whole period.

    `weeks`: all that have to do with the period, also by way of earlier editions (`archive`).
    """
    atoms = {flow.category: flow.atoms for flow in flows if flow.figure_id == "notifications"}
    periods = {**{one.name: one.weeks for one in archive}, "": frozenset(period)}
    rows = []
    for category in categories:
        exact = {(w, f): atoms.get(category, {}).get((w, f), 0) for w in weeks for f in faculties}
        counts: dict[Key, Count] = {("atom", *atom): Count(n, is_shown=False) for atom, n in exact.items()}
        for week in weeks:
            total = sum(exact[week, f] for f in faculties)
            known = (week, category) in week_rows
            counts["week", week] = _archived(total, week_rows[week, category]) if known else Count(total, cost=10.0)
        for one in archive:
            for f in faculties:
                total = sum(exact[w, f] for w in one.weeks)
                counts["period", one.name, f] = _archived(total, one.values.get((category, f)))
        for f in faculties:
            total = sum(exact[w, f] for w in period)
            counts["period", "", f] = Count(total, is_shown=f in listed, cost=3.0 + min(total, 10_000) / 1e5)
        for key in disclosure.to_hide(counts, flow_relations(list(exact), periods)):
            counts[key] = replace(counts[key], is_shown=False)
        for week in weeks:
            if (week, category) not in week_rows:
                rows.append(_count("notifications", week, ALL, ALL, category, counts["week", week]))
        for f in sorted(listed):
            rows.append(_count("notifications", start, "faculty", f, category, counts["period", "", f]))
    return rows


def _archived(exact: int, shown: float | None) -> Count:
    """Return a count as an earlier edition shows it; one that has been corrected since has nothing to do with it."""
    return Count(exact, is_shown=shown is not None and shown == rounded(exact), is_locked=True)


def of_events(figure_id: str, week: date, found: Mapping[str, int], categories: Iterable[str]) -> list[Row]:
    """Return a week's counts by category, of which nothing else is published that they add up to."""
    return [_count(figure_id, week, ALL, ALL, one, Count(found.get(one, 0))) for one in categories]


def of_outcomes(found: Outcomes, start: date) -> list[Row]:
    """Return what became of students who were contacted, beside comparable ones."""
    pairs = (("contacted", found.recovered, found.people), ("comparable", found.comparable_recovered, found.compared))
    rows = []
    for category, number, base in pairs:
        value = disclosure.share(number, base)
        missing: Suppressed | None = "small" if value is None else None
        rows.append(_count("outcome_people", start, ALL, ALL, category, Count(base)))
        rows.append(Row("outcome_recovered_share", start, ALL, ALL, category, value, rounded(base), missing))
    for weeks, (base, ours, theirs) in found.changes.items():
        for category, total in (("contacted", ours), ("comparable", theirs)):
            mean = disclosure.average(total, base)
            missing = "small" if mean is None else None
            rows.append(Row("outcome_change", start, ALL, ALL, f"{category}:{weeks}", mean, rounded(base), missing))
    return rows


def of_totals(figure_id: str, start: date, found: Mapping[str, int]) -> list[Row]:
    """Return counts of the period by category; one of a very few is not named."""
    named = {category: n for category, n in found.items() if n > disclosure.UNSEEN}
    return [_count(figure_id, start, ALL, ALL, category, Count(n)) for category, n in sorted(named.items())]


def _count(figure_id: str, start: date, dimension: str, member: str, category: str, count: Count) -> Row:
    if not count.is_shown:
        return Row(figure_id, start, dimension, member, category, None, None, "secondary")
    return Row(figure_id, start, dimension, member, category, rounded(count.exact))


def _share(
    figure_id: str, start: date, dimension: str, member: str, category: str, part: Count, whole: Count
) -> Row:  # fmt: skip
    value = disclosure.share(part.exact, whole.exact)
    if value is None:
        return Row(figure_id, start, dimension, member, category, None, _shown(whole), "small")
    if not (part.is_shown and whole.is_shown):
        return Row(figure_id, start, dimension, member, category, None, _shown(whole), "secondary")
    return Row(figure_id, start, dimension, member, category, value, _shown(whole))


def _shown(count: Count) -> int | None:
    return rounded(count.exact) if count.is_shown else None
