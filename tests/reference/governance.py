"""Somebody who reads every published number about people and wants to know of the few, and the counts in plain Python.

The attacker knows the rules of rounding, what adds up to what, and nothing else; all editions are one puzzle. It shares
no code with engage.governance: each value of each small number is tried by integer programming on its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

COUNTS = ("students_scored", "declining", "consistently_low", "below_attention", "below_concern")
BANDS = {
    "0-199": (0, 199),
    "200-399": (200, 399),
    "400-599": (400, 599),
    "600-799": (600, 799),
    "800-1000": (800, 1000),
}
Cell = tuple[Any, ...]
"""Figure, Monday, dimension, member and category."""


def nearest_five(exact: float) -> int:
    """Round as HESA does: to the nearest 5, halves up."""
    below = int(Fraction(exact) // 5) * 5
    return below if Fraction(exact) - below < Fraction(5, 2) else below + 5


@dataclass(frozen=True)
class Student:
    """One scored student of a week."""

    faculty: str
    programme: str
    year_of_study: str
    mode: str
    score: int
    declining: bool = False
    consistently_low: bool = False
    is_raised: bool = False
    characteristics: Mapping[str, str] = field(default_factory=dict)

    @property
    def counted_in(self) -> list[str]:
        """The figures that count the student."""
        low, very_low = self.score < 350, self.score < 300
        says = (True, self.declining, self.consistently_low, low, very_low, low or self.is_raised)
        return [figure for figure, is_so in zip((*COUNTS, "flagged"), says, strict=True) if is_so]

    @property
    def groups(self) -> list[tuple[str, str]]:
        """The groups that the student belongs to."""
        own = [(name, getattr(self, name)) for name in ("faculty", "programme", "year_of_study", "mode")]
        return [("all", "all"), *own, *self.characteristics.items()]


def count(week: date, students: Iterable[Student]) -> dict[Cell, int]:
    """Count exactly."""
    counts: dict[Cell, int] = defaultdict(int)
    for one in students:
        for figure in one.counted_in:
            for group in one.groups:
                counts[figure, week, *group, ""] += 1
        band = next(name for name, (low, high) in BANDS.items() if low <= one.score <= high)
        counts["score_band", week, "all", "all", band] += 1
    return dict(counts)


class Attacker:
    """Reads published rows, and says which of 0, 1 and 2 a number can be."""

    def __init__(
        self,
        rows: Iterable[Any],
        groups: Iterable[tuple[str, str]],
        faculty_of: Mapping[str, str],
        periods: Sequence[tuple[date, Sequence[date], str]] = (),
    ) -> None:
        """`rows`: as governance.figure has them. No secret are the `groups` there are, and the faculty of a programme.

        `periods`: (period_start, its weeks, name) of editions that rows of periods are of, which have it as edition_id.
        """
        self.low: dict[Cell, int] = {}
        self.high: dict[Cell, float] = {}
        self.constraints: list[tuple[dict[Cell, int], float, float]] = []
        rows = list(rows)
        self._read(rows)
        for week in {cell[1] for cell in self.low if cell[0] == "students_scored"}:
            self._week(week, {("all", "all"), *groups}, faculty_of)
        self._means([row for row in rows if row.figure_id == "mean_score"])
        self._flows(rows, periods)
        self._place = {cell: n for n, cell in enumerate(self.low)}
        self._worlds: list[dict[Cell, int]] = []
        self._coefficients: Any = None

    def _cell(self, cell: Cell, low: int = 0, high: float = np.inf) -> None:
        self.low[cell] = max(low, self.low.get(cell, 0))
        self.high[cell] = min(high, self.high.get(cell, np.inf))

    def _shown(self, cell: Cell, value: float | None) -> None:
        if value is None:
            self._cell(cell)
        else:
            self._cell(cell, max(0, int(value) - 2), value + 2)

    def _read(self, rows: Sequence[Any]) -> None:
        for row in rows:
            place = (row.period_start, row.dimension, row.member)
            if row.figure_id in (*COUNTS, "score_band"):
                self._shown((row.figure_id, *place, row.category), row.value)
            if row.figure_id == "flagged_share" and row.category == "week":
                self._shown(("students_scored", *place, ""), row.base)
                numerators = [n for n in range(0, (row.base or 0) + 30, 5) if row.value == _per_cent(n, row.base)]
                low, high = (numerators[0], numerators[-1]) if row.value is not None else (0, np.inf)
                self._cell(("flagged", *place, ""), max(0, low - 2), high + 2)
            # A share says something of a part that is hidden, were it shown without it.
            elif row.figure_id[:-6] in COUNTS and row.value is not None and row.base:
                numerators = [n for n in range(0, row.base + 30, 5) if row.value == _per_cent(n, row.base)]
                self._cell((row.figure_id[:-6], *place, ""), max(0, numerators[0] - 2), numerators[-1] + 2)

    def _week(self, week: date, groups: set[tuple[str, str]], faculty_of: Mapping[str, str]) -> None:
        for figure in (*COUNTS, "flagged"):
            parts: dict[str, list[Cell]] = defaultdict(list)
            by_faculty: dict[str, list[Cell]] = defaultdict(list)
            for dimension, member in groups:
                cell = (figure, week, dimension, member, "")
                self._cell(cell)
                if dimension != "all":
                    parts[dimension].append(cell)
                    if dimension == "programme":
                        by_faculty[faculty_of[member]].append(cell)
            for cells in parts.values():
                self._sum(cells, (figure, week, "all", "all", ""))
            for faculty, cells in by_faculty.items():
                self._sum(cells, (figure, week, "faculty", faculty, ""))
        for group in groups:
            for part, whole in (
                ("below_concern", "below_attention"),
                ("consistently_low", "below_attention"),
                ("below_attention", "flagged"),
                ("below_attention", "students_scored"),
                ("flagged", "students_scored"),
                ("declining", "students_scored"),
            ):
                self.constraints.append(({(part, week, *group, ""): -1, (whole, week, *group, ""): 1}, 0, np.inf))
        bands: list[Cell] = [("score_band", week, "all", "all", band) for band in BANDS]
        self._sum(bands, ("students_scored", week, "all", "all", ""))
        low, very_low = (("below_attention", week, "all", "all", ""), ("below_concern", week, "all", "all", ""))
        self.constraints.append(({low: 1, bands[0]: -1}, 0, np.inf))
        self.constraints.append(({very_low: 1, bands[0]: -1}, 0, np.inf))
        self.constraints.append(({bands[0]: 1, bands[1]: 1, low: -1}, 0, np.inf))

    def _sum(self, parts: Sequence[Cell], whole: Cell) -> None:
        for cell in (*parts, whole):
            self._cell(cell)
        self.constraints.append(({**dict.fromkeys(parts, 1), whole: -1}, 0, 0))

    def _means(self, rows: Sequence[Any]) -> None:
        by_week: dict[date, list[Cell]] = defaultdict(list)
        for row in rows:
            place = (row.period_start, row.dimension, row.member)
            total = ("sum", *place, "")
            n, low = ("students_scored", *place, ""), ("below_attention", *place, "")
            self._cell(total)
            if row.value is not None:
                self.constraints.append(({total: 2, n: int(-2 * row.value) + 5}, 0, np.inf))
                self.constraints.append(({total: 2, n: int(-2 * row.value) - 5}, -np.inf, -1))
            self.constraints.append(({total: 1, n: -1000, low: 651}, -np.inf, 0))
            self.constraints.append(({total: 1, n: -350, low: 350}, 0, np.inf))
            if row.dimension == "all":
                bands = {("score_band", *place, band): limits for band, limits in BANDS.items()}
                self.constraints.append(({total: 1, **{b: -x[0] for b, x in bands.items()}}, 0, np.inf))
                self.constraints.append(({total: 1, **{b: -x[1] for b, x in bands.items()}}, -np.inf, 0))
            else:
                by_week[row.period_start].append(total)
        for week, totals in by_week.items():
            self._sum(totals, ("sum", week, "all", "all", ""))

    def _flows(self, rows: Sequence[Any], periods: Sequence[tuple[date, Sequence[date], str]]) -> None:
        flows = [row for row in rows if row.figure_id == "notifications"]
        faculties = {row.member for row in flows if row.dimension == "faculty"}
        weeks = {week for _, inside, _ in periods for week in inside}
        for row in flows:
            if row.dimension == "all":
                self._shown(("notifications", row.period_start, "all", "all", row.category), row.value)
        for category in {row.category for row in flows} if faculties else ():
            for week in weeks:
                atoms: list[Cell] = [("atom", week, "faculty", faculty, category) for faculty in faculties]
                self._sum(atoms, ("notifications", week, "all", "all", category))
            for start, inside, name in periods:
                for faculty in faculties:
                    whole: Cell = ("notifications", start, "faculty", faculty, category, name)
                    self._sum([("atom", week, "faculty", faculty, category) for week in inside], whole)
                    for row in flows:
                        if (row.edition_id, row.member, row.category) == (name, faculty, category):
                            self._shown(whole, row.value)

    def possible(self, cell: Cell) -> set[int]:
        """Return which of 0, 1 and 2 the number can be by all that is published."""
        found = {world[cell] for world in self._worlds} & {0, 1, 2}
        for value in {0, 1, 2} - found:
            if (world := self._solve(cell, value)) is not None:
                self._worlds.append(world)
                found.add(value)
        return found

    def _solve(self, cell: Cell, value: int) -> dict[Cell, int] | None:
        if not self.low[cell] <= value <= self.high[cell]:
            return None
        low, high = np.array(list(self.low.values()), float), np.array(list(self.high.values()), float)
        low[self._place[cell]] = high[self._place[cell]] = value
        bounds = ([one[1] for one in self.constraints], [one[2] for one in self.constraints])
        constraints = LinearConstraint(self._matrix(), *bounds)
        # Another aim each time: worlds that differ serve other cells, too. Twice: a solver may err.
        draw = np.random.default_rng(len(self._worlds)).choice((-1.0, 1.0), size=len(low))
        for aim in (np.where(high <= 2, draw, 0.0), np.zeros(len(low))):
            options = {"mip_rel_gap": 1.0, "presolve": bool(aim.any())}
            found = milp(
                aim, integrality=np.ones(len(low)), bounds=Bounds(low, high), constraints=constraints, options=options
            )
            if found.x is not None:
                return {one: round(x) for one, x in zip(self.low, found.x, strict=True)}
        return None

    def _matrix(self) -> Any:
        if self._coefficients is None:
            entries = [(n, self._place[k], w) for n, one in enumerate(self.constraints) for k, w in one[0].items()]
            rows, columns, weights = zip(*entries, strict=True)
            self._coefficients = coo_array(
                (weights, (rows, columns)), shape=(len(self.constraints), len(self.low))
            ).tocsr()
        return self._coefficients


def learnt(attacker: Attacker, exact: Mapping[Cell, int]) -> dict[Cell, set[int]]:
    """Return the numbers of two and fewer of which the attacker can rule out a value, with what is left."""
    small = [cell for cell in attacker.low if cell[0] not in ("sum", "atom") and exact.get(cell, 0) <= 2]
    return {cell: values for cell in small if (values := attacker.possible(cell)) != {0, 1, 2}}


def weeks_of(start: date, number: int) -> list[date]:
    """Return Mondays, the first of them `start`."""
    return [start + timedelta(days=7 * n) for n in range(number)]


def _per_cent(numerator: int, base: int | None) -> int | None:
    return None if not base else int(Fraction(100 * numerator, base) + Fraction(1, 2))
