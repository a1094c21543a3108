"""Charts of numbers side by side: bars, and ratios on an axis whose middle is 1. Weeks are drawn by charts.py.

Pure functions from numbers to SVG. What a chart says, and its table, is the business of who asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engage.report.charts import NARROW, WIDE, step_of
from engage.report.svg import SMALL, Picture, fitted, width_of


@dataclass(frozen=True)
class Bar:
    """A row of bars or ratios; `text` is the number as it reads, or the mark of what is left out."""

    label: str
    value: float | None
    text: str


def bars(
    name: str, title: str, rows: Sequence[Bar], describes: str, width: float = WIDE, line: Bar | None = None
) -> str:
    """Draw a bar per row with its number at its end; `line` is a number to compare all with."""
    beside = width > NARROW
    left = min(max((width_of(row.label) for row in rows), default=0) + 12, width * 0.4) if beside else 0
    step, head = (24, 20 if line else 4) if beside else (38, 20 if line else 4)
    picture = Picture(name, width, head + step * len(rows) + 4, title, describes)
    top = max([*(row.value or 0 for row in rows), (line.value or 0) if line else 0, 1e-9])
    room = width - left - max([width_of(row.text) for row in rows] or [0]) - 12
    if line and line.value is not None:
        x = left + room * line.value / top
        picture.line([(x, head - 2), (x, head + step * len(rows))], "compare")
        near_end = x + width_of(line.label, SMALL) / 2 > width
        picture.words(x, 13, line.label, "ink", "end" if near_end else "start", SMALL)
    for n, row in enumerate(rows):
        y = head + step * n + (0 if beside else 17)
        if beside:
            picture.words(left - 8, y + 15, fitted(row.label, left - 8), "ink", "end")
        else:
            picture.words(0, y - 4, fitted(row.label, width), "ink")
        if row.value is None:
            picture.marker(left + 5, y + 10, "cross", "gap", 3.2)
            picture.words(left + 14, y + 15, row.text, "faint")
            continue
        long = max(room * row.value / top, 1.5)
        picture.box(left, y + 3, long, 14, "fill s1", 2)
        picture.words(left + long + 6, y + 15, row.text, "ink halo")
    picture.line([(left, head), (left, head + step * len(rows))], "axis")
    return picture.done()


def ratios(
    name: str,
    title: str,
    rows: Sequence[Bar | str],
    describes: str,
    bounds: tuple[float, float],
    width: float = WIDE,
) -> str:
    """Draw a point per row on an axis from 0 to 2 with the band between `bounds` shaded; a text is a heading.

    Within the band a circle, outside it a diamond.
    """
    beside = width > NARROW
    labels = [row.label for row in rows if isinstance(row, Bar)]
    left = min(max((width_of(label) for label in labels), default=0) + 16, width * 0.42) if beside else 6
    right, head = 56.0, 34
    step = 23 if beside else 38
    end = max([2.0, *(step_of(row.value) for row in rows if isinstance(row, Bar) and row.value)])
    bottom = head + sum(30 if isinstance(row, str) else step for row in rows) + 2
    picture = Picture(name, width, bottom + 4, title, describes)

    def at(value: float) -> float:
        return left + (width - left - right) * value / end

    low, high = bounds
    picture.box(at(low), head - 4, at(high) - at(low), bottom - head + 4, "allowed")
    for value in (0, low, 1, high, end):
        picture.line([(at(value), head - 4), (at(value), bottom)], "compare" if value == 1 else "grid")
    for value, text in ((low, f"{low:g}"), (high, f"{high:g}")):
        picture.words(at(value), head - 9, text, "faint", "end" if value == low else "start", SMALL)
    picture.words(at(1), 11, "1 = as everybody", "ink", "middle", SMALL)
    y = head
    for row in rows:
        if isinstance(row, str):
            picture.words(0, y + 21, row, "ink bold")
            y += 30
            continue
        middle = y + (12 if beside else 28)
        if beside:
            picture.words(left - 12, y + 16, fitted(row.label, left - 12), "ink", "end")
        else:
            picture.words(0, y + 15, fitted(row.label, width), "ink")
        if row.value is None:
            picture.marker(at(0) + 6, middle, "cross", "gap", 3.2)
            picture.words(width - right + 10, middle + 4, row.text, "faint")
        else:
            outside = not low <= row.value <= high
            picture.line([(at(1), middle), (at(row.value), middle)], "reach")
            picture.marker(
                at(row.value), middle, "diamond" if outside else "circle", f"fill s{2 if outside else 1}", 4.5
            )
            picture.words(width - right + 10, middle + 4, row.text, "ink bold" if outside else "ink")
        y += step
    return picture.done()
