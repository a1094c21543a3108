"""The figures of an edition as sections ask for them: by name, group and week, and as they read.

No section, no layout; what a figure is stands in engage/governance/figures.yaml.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from engage.governance.exact import NOT_RECORDED
from engage.governance.figures import Figure
from engage.report.document import FEW, LEFT_OUT, Content, Table, Value
from engage.report.stored import Cell, Stored

DIMENSIONS = {
    "all": "the whole university",
    "faculty": "faculty",
    "programme": "programme",
    "year_of_study": "year of study",
    "mode": "mode of study",
}
CATEGORIES = ("attendance", "vle", "library_access", "other")
"""Of sources that tell what students did; the others are lists."""
_UNITS = {"percent": "\N{NO-BREAK SPACE}%"}
_EXACT = ("rows", "points")
"""Units whose 0 is a 0; any other count is to the nearest 5."""
_Key = tuple[str, str, str, str]


class Numbers:
    """The cells of one edition."""

    def __init__(self, stored: Stored, catalogue: Mapping[str, Figure]) -> None:
        self.stored, self.catalogue = stored, catalogue
        self._cells: dict[tuple[_Key, date], Cell] = {}
        self._weeks: dict[str, set[date]] = defaultdict(set)
        self._members: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._categories: dict[str, set[str]] = defaultdict(set)
        for cell in stored.cells:
            key = (cell.figure_id, cell.dimension, cell.member, cell.category)
            self._cells[key, cell.period_start] = cell
            self._weeks[cell.figure_id].add(cell.period_start)
            self._members[cell.figure_id, cell.dimension].add(cell.member)
            self._categories[cell.figure_id].add(cell.category)

    def weeks(self, figure_id: str) -> list[date]:
        """Return the Mondays that a figure is there for, the oldest first; of one without weeks the period's first."""
        return sorted(self._weeks[figure_id])

    def members(self, figure_id: str, dimension: str) -> list[str]:
        """Return the groups of a dimension; none where nothing is recorded of anybody."""
        found = self._members[figure_id, dimension]
        return sorted(found, key=_in_order) if found != {NOT_RECORDED} else []

    def dimensions(self, figure_id: str) -> list[str]:
        """Return the dimensions of a figure: those of the studies first, then characteristics by name."""
        known = list(DIMENSIONS)
        found = {dimension for one, dimension in self._members if one == figure_id and self.members(one, dimension)}
        return sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))

    def categories(self, figure_id: str) -> list[str]:
        """Return the categories of a figure."""
        return sorted(self._categories[figure_id], key=_in_order)

    def cell(
        self, figure_id: str, dimension: str = "all", member: str = "all", category: str = "", week: date | None = None
    ) -> Cell | None:
        """Return a number; without `week` the newest that the figure is there for."""
        key = (figure_id, dimension, member, category)
        if week is None:
            there = [one for one in self._weeks[figure_id] if (key, one) in self._cells]
            week = max(there, default=date.min)
        return self._cells.get((key, week))

    def of_period(self, figure_id: str, dimension: str = "all", member: str = "all", category: str = "") -> Cell | None:
        """Return a number of the whole period."""
        return self.cell(figure_id, dimension, member, category, self.stored.edition.period_start)

    def owes_days(self, source_id: str) -> bool:
        """Whether a source tells of each day, as scores need it; a list of people or modules does not."""
        kinds = {one.source_id: one.category for one in self.stored.register}
        return kinds.get(source_id) in CATEGORIES

    def newest(self) -> dict[_Key, Cell]:
        """Return the newest number of everything."""
        found: dict[_Key, Cell] = {}
        for (key, _), cell in sorted(self._cells.items(), key=lambda item: item[0][1]):
            found[key] = cell
        return found

    def row(
        self, figure_id: str, weeks: Sequence[date], dimension: str = "all", member: str = "all", category: str = ""
    ) -> list[float | None]:
        """Return numbers by week; None where one is left out."""
        cells = [self.cell(figure_id, dimension, member, category, week) for week in weeks]
        return [cell.value if cell else None for cell in cells]

    def show(self, cell: Cell | None) -> Value:
        """Return a number as it reads."""
        if cell is None:
            return Value("–", None)
        if cell.value is None:
            return Value(LEFT_OUT, None)
        unit = self.catalogue[cell.figure_id].unit
        return shown(cell.value, unit)

    def table(self, name: str, caption: str, figure_ids: Sequence[str], dimension: str) -> Table:
        """Return figures of every group of a dimension, a column per week."""
        weeks = sorted({week for figure_id in figure_ids for week in self.weeks(figure_id)})
        rows: list[list[Content]] = [
            [
                said(dimension, member),
                self.catalogue[figure_id].title,
                *(self.show(self.cell(figure_id, dimension, member, week=week)) for week in weeks),
            ]
            for member in self.members(figure_ids[0], dimension)
            for figure_id in figure_ids
            if self.members(figure_id, dimension)
        ]
        return Table(name, caption, ["Group", "Figure", *map(day, weeks)], rows)

    def by_category(self, name: str, figure_id: str) -> Table:
        """Return a figure of everybody, a row per category and a column per week."""
        weeks = self.weeks(figure_id)
        rows: list[list[Content]] = [
            [category_words(one), *(self.show(self.cell(figure_id, category=one, week=week)) for week in weeks)]
            for one in self.categories(figure_id)
        ]
        figure = self.catalogue[figure_id]
        head = [figure.unit.capitalize(), *(map(day, weeks) if figure.span != "period" else ["In the period"])]
        return Table(name, figure.title, head, rows)


def shown(value: float, unit: str) -> Value:
    """Return a value of a unit as it reads; a count of people that is 0 is 0, 1 or 2."""
    if unit == "ratio":
        return Value(f"{value:.2f}", round(value, 4))
    if value == 0 and unit not in (*_EXACT, *_UNITS):
        return Value(FEW, 0)
    number = (f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}").replace("-", "−")
    return Value(number + _UNITS.get(unit, ""), int(value) if float(value).is_integer() else value)


def said(dimension: str, member: str) -> str:
    """Return the name of a group as a reader says it: `Year 1`, `Full time`; codes stay as they are."""
    if dimension == "all":
        return "All students"
    if dimension == "year_of_study":
        return f"Year {member}"
    return plain(member)


def plain(code: str) -> str:
    """Return `part_time` as `Part time`; what is written in capitals is a code and stays."""
    text = code.replace("_", " ")
    return text[:1].upper() + text[1:]


def category_words(category: str) -> str:
    """Return `no_digital_activity:raised` as `No digital activity, raised`."""
    words = [re.sub(r"^(\d+)w$", r"after \1 weeks", part) for part in category.split(":")]
    return ", ".join(plain(part) if n == 0 else plain(part).lower() for n, part in enumerate(words))


def day(value: date) -> str:
    """Return a day as it stands on an axis or above a column."""
    return f"{value.day} {value:%b}"


def spelled(value: date) -> str:
    """Return a day in full: 16 November 2026."""
    return f"{value.day} {value:%B %Y}"


def _in_order(text: str) -> tuple[int, str]:
    """Sort numbers as numbers."""
    digits = text.partition("-")[0].partition(":")[0]
    return (int(digits), text) if digits.isdigit() else (1_000_000, text)
