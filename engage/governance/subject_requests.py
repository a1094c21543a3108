"""Requests of data subjects in the governance summary: each is counted once, from one termly edition to the next.

Shorter periods, or ones that overlap, would tell by their differences what rounding hides: two requests in each of four
weeks by the month. What else hangs together (nothing is completed that was not received) is judged by disclosure.py.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from engage.governance import aftermath, disclosure
from engage.governance.disclosure import Count, Key, Relation, rounded
from engage.governance.exact import rows
from engage.governance.periods import Kind, Period
from engage.governance.relations import ALL
from engage.governance.rows import Row
from engage.warehouse import Connection

FIGURE = "subject_requests"
Shown = Mapping[str, float | None]
"""What is published of a stretch of days by category; None: left out."""
_SHOWN = """
select e.period_end, e.kind = 'termly', f.category, f.value
from governance.figure as f inner join governance.edition as e using (edition_id)
where f.figure_id = %(figure)s
order by e.period_end, e.made_at, e.edition_id
"""


def of_edition(connection: Connection, kind: Kind, period: Period) -> list[Row]:
    """Return what a termly edition shows of the days since the one before it; of other kinds nothing.

    Made again it shows the same; one that ends before a day that has been counted shows nothing.
    """
    if kind != "termly":
        return []
    before: dict[tuple[date, bool], dict[str, float | None]] = {}
    for end, is_of_a_term, category, value in rows(connection, _SHOWN, {"figure": FIGURE}):
        before.setdefault((end, is_of_a_term), {})[category] = value
    # Editions made before there was this module counted shorter periods: nothing of them is counted again.
    ends = sorted({end for end, _ in before})
    if ends and ends[-1] >= period.end:
        return _rows(period, before.get((period.end, True), {}))
    stretches = [*zip([date.min, *(end + timedelta(days=1) for end in ends)], [*ends, period.end], strict=True)]
    exact = [aftermath.rights(connection, *stretch)[FIGURE] for stretch in stretches]
    shown = [before.get((end, True), {}) for end in ends]
    hidden = left_out(exact, shown)
    return _rows(period, {one: None if one in hidden else float(rounded(n)) for one, n in exact[-1].items()})


def left_out(exact: Sequence[Mapping[str, int]], shown: Sequence[Shown]) -> set[str]:
    """Return which categories of the newest stretch must not be shown.

    `exact`: of each stretch, the oldest first; `shown`: of all but the newest.
    """
    counts: dict[Key, Count] = {}
    for n, found in enumerate(exact):
        for category, number in found.items():
            counts[n, category] = _published(number, shown[n].get(category)) if n < len(shown) else Count(number)
    kinds = {category.partition(":")[0] for category in exact[-1]}
    relations = [one for kind in sorted(kinds) for n in range(len(exact)) for one in _known(kind, n)]
    hidden = disclosure.to_hide(counts, relations)
    return {category for category in exact[-1] if (len(shown), category) in hidden}


def _known(kind: str, last: int) -> list[Relation]:
    """Return what everybody knows of the requests of a kind up to a stretch."""
    received, completed, overdue = (
        [(n, f"{kind}:{state}") for n in range(last + 1)] for state in ("received", "completed", "overdue")
    )
    return [
        Relation({**dict.fromkeys(received, 1), **dict.fromkeys(completed, -1)}, 0, None),
        Relation({**dict.fromkeys(received, 1), **dict.fromkeys(overdue, -1)}, 0, None),
        # A term is longer than an answer may take.
        Relation({**dict.fromkeys([*completed, *overdue], 1), **dict.fromkeys(received[:-1], -1)}, 0, None),
    ]


def _published(number: int, value: float | None) -> Count:
    """Return a count as an edition shows it; one that has been corrected since has nothing to do with it."""
    return Count(number, is_shown=value == rounded(number), is_locked=True)


def _rows(period: Period, found: Shown) -> list[Row]:
    return [
        Row(FIGURE, period.start, ALL, ALL, category, value, None, "secondary" if value is None else None)
        for category, value in sorted(found.items())
    ]
