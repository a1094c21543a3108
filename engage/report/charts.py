"""Charts over weeks: lines, stacked columns, a heat strip. Shapes and labels tell as much as colours do; what is left
out is a cross, never a zero. Numbers side by side are drawn by bars.py.

Pure functions from numbers to SVG. What a chart says, and its table, is the business of who asks for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from engage.report.numbers import day
from engage.report.svg import SMALL, Picture, fitted, width_of

WIDE, NARROW = 680, 342
SHAPES = ("circle", "square", "diamond")
Numbers = Sequence[float | None]
"""One per week; None is left out."""


@dataclass(frozen=True)
class Series:
    """A line or a layer: its label, its numbers by week, and the newest of them as text."""

    label: str
    numbers: Numbers
    newest: str = ""
    unknown: Collection[int] = ()
    """Places of weeks for which there can be no number yet: nothing is left out there."""


def step_of(highest: float) -> float:
    """Return the top of an axis: the next round number whose half is round, too; 2 at least."""
    scale = 1
    while True:
        for top in (2, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100, 120, 160):
            if highest <= top * scale:
                return float(top * scale)
        scale *= 100


def lines(
    name: str,
    title: str,
    weeks: Sequence[date],
    series: Sequence[Series],
    behind: Sequence[Series],
    top: float,
    unit: str,
    width: float = 218,
) -> str:
    """Draw a small picture of lines over weeks on an axis from 0 to `top`; `behind` are faint lines to compare with.

    Its heading and the newest number of each line stand above it.
    """
    gaps = sorted({weeks[n] for one in series for n in _left_out(one)})
    said = "; ".join(f"{one.label}: {_told(weeks, one, unit)}" for one in series)
    left_out = f" Left out: {', '.join(day(week) for week in gaps)}." if gaps else ""
    beside = width > NARROW
    key = 16 * (1 if beside else len(series))
    height, left, right = (200 if beside else 118) + key, 38, 8
    picture = Picture(name, width, height, title, f"{said}.{left_out}")
    picture.words(0, 12, fitted(title, width), "ink bold")
    x, y = 0.0, 14.0
    for n, one in enumerate(series):
        label = f"{one.label} {one.newest}".strip()
        y += 0 if beside and n else 16
        picture.marker(x + 4, y - 4, SHAPES[n], f"fill s{n + 1}")
        picture.words(x + 12, y, label, "ink", size=SMALL)
        x += (width_of(label, SMALL) + 26) * beside
    begin, bottom = y + 14, height - 18.0
    span = max(len(weeks) - 1, 1)

    def at(n: int, value: float) -> tuple[float, float]:
        return left + (width - left - right) * n / span, bottom - (bottom - begin) * min(value / top, 1)

    for value in (0, top / 2, top):
        y = at(0, value)[1]
        picture.line([(left, y), (width - right, y)], "axis" if value == 0 else "grid")
        picture.words(left - 5, y + 4, f"{value:g}{unit}", "faint", "end", SMALL)
    for one in behind:
        for part in _runs(one.numbers):
            picture.line([at(n, v) for n, v in part], "behind")
    for n, one in enumerate(series):
        for part in _runs(one.numbers):
            if len(part) > 1:
                picture.line([at(k, v) for k, v in part], f"line s{n + 1} d{n + 1}")
            last = part[-1][0] == len(one.numbers) - 1
            for k, v in part:
                # A mark for each week, so that a week alone between two gaps is seen; the newest is larger.
                is_newest = last and k == part[-1][0]
                picture.marker(*at(k, v), SHAPES[n], f"fill s{n + 1}", 3.6 if is_newest else 1.9)
        for k in _left_out(one):
            picture.marker(at(k, 0)[0], bottom - 6 - 9 * n, "cross", "gap", 2.6)
    if weeks:
        picture.words(left, height - 3, day(weeks[0]), "faint", size=SMALL)
        picture.words(width - right, height - 3, day(weeks[-1]), "faint", "end", SMALL)
    return picture.done()


def columns(
    name: str,
    title: str,
    weeks: Sequence[date],
    layers: Sequence[Series],
    looks: Sequence[str],
    describes: str,
    width: float = WIDE,
    height: float = 300,
    heading: bool = False,
) -> str:
    """Draw columns of layers, the first at the bottom, one column per week; layers are named beside the last one."""
    picture = Picture(name, width, height, title, describes)
    if heading:
        picture.words(0, 13, title, "ink bold")
    totals = [sum(one.numbers[n] or 0 for one in layers) for n in range(len(weeks))]
    top = step_of(max([*totals, 1]))
    label = max((width_of(f"{one.label}  {one.newest}", SMALL) for one in layers), default=0) + 22
    left, right, begin, bottom = (
        8 + width_of(f"{top:,.0f}", SMALL),
        min(label, width * 0.42),
        12.0 + 22 * heading,
        height - 20.0,
    )
    slot = (width - left - right) / max(len(weeks), 1)
    for value in (0, top / 2, top):
        y = bottom - (bottom - begin) * value / top
        picture.line([(left, y), (width - right, y)], "axis" if value == 0 else "grid")
        picture.words(left - 5, y + 4, f"{value:,.0f}", "faint", "end", SMALL)
    ends: list[tuple[float, int]] = []
    every = -(-38 // max(int(slot), 1))
    for n, week in enumerate(weeks):
        y, x = bottom, left + slot * (n + 0.12)
        for k, one in enumerate(layers):
            tall = (bottom - begin) * (one.numbers[n] or 0) / top
            if tall:
                picture.box(x, y - tall, slot * 0.76, tall, f"layer {looks[k]}")
            if n == len(weeks) - 1:
                ends.append((y - tall / 2, k))
            y -= tall
        if any(one.numbers[n] is None for one in layers):
            picture.marker(x + slot * 0.38, y - 7, "cross", "gap", 3)
        if (len(weeks) - 1 - n) % every == 0:
            picture.words(x + slot * 0.38, height - 4, day(week), "faint", "middle", SMALL)
    for y, k in apart(ends, 15, begin + 4, bottom - 2):
        x = width - right + 6
        picture.box(x, y - 5, 10, 10, f"layer {looks[k]}", 2)
        picture.words(x + 15, y + 4, f"{layers[k].label}  {layers[k].newest}".rstrip(), "ink", size=SMALL)
    return picture.done()


@dataclass(frozen=True)
class Square:
    """A week of a source: how well it went (0 worst, 3 best; None: nothing was expected), and its mark."""

    grade: int | None
    mark: str


def strip(
    name: str, title: str, weeks: Sequence[date], rows: Sequence[tuple[str, Sequence[Square]]], describes: str,
    width: float = WIDE,
) -> str:  # fmt: skip
    """Draw a row per source and a square per week; a square that is not whole carries its mark."""
    beside = width > NARROW
    left = min(max((width_of(label) for label, _ in rows), default=0) + 12, width * 0.36) if beside else 0
    step, head = (24, 22) if beside else (44, 22)
    picture = Picture(name, width, head + step * len(rows) + 2, title, describes)
    slot = min((width - left) / max(len(weeks), 1), 44)
    every = -(-42 // max(int(slot), 1))
    for n, week in enumerate(weeks):
        if (len(weeks) - 1 - n) % every == 0:
            anchor = "end" if not beside and n == len(weeks) - 1 else "start" if n == 0 else "middle"
            x = left + slot * (n + {"end": 1, "start": 0, "middle": 0.5}[anchor])
            picture.words(x, 13, day(week), "faint", anchor, SMALL)
    for k, (label, squares) in enumerate(rows):
        y = head + step * k + (0 if beside else 18)
        if beside:
            picture.words(left - 8, y + 15, fitted(label, left - 8), "ink", "end")
        else:
            picture.words(0, y - 4, fitted(label, width), "ink")
        for n, square in enumerate(squares):
            look = "none" if square.grade is None else f"grade{square.grade}"
            picture.box(left + slot * n + 1, y + 1, slot - 2, 20, f"cell {look}", 3)
            if square.mark:
                at = left + slot * (n + 0.5)
                picture.words(at, y + 15, square.mark, "ink", "middle", SMALL)
    return picture.done()


def _told(weeks: Sequence[date], one: Series, unit: str) -> str:
    shown = [(week, value) for week, value in zip(weeks, one.numbers, strict=True) if value is not None]
    if not shown:
        return "every week is left out" if _left_out(one) else "not known yet"
    (first, begin), (last, end) = shown[0], shown[-1]
    return f"{begin:g}{unit} in the week of {day(first)}, {end:g}{unit} in the week of {day(last)}"


def _left_out(one: Series) -> list[int]:
    return [n for n, value in enumerate(one.numbers) if value is None and n not in one.unknown]


def _runs(numbers: Numbers) -> list[list[tuple[int, float]]]:
    """Return the stretches of weeks that have a number."""
    found: list[list[tuple[int, float]]] = []
    before = -2
    for n, value in enumerate(numbers):
        if value is None:
            continue
        if n != before + 1:
            found.append([])
        found[-1].append((n, value))
        before = n
    return found


def apart(places: Sequence[tuple[float, int]], least: float, top: float, bottom: float) -> list[tuple[float, int]]:
    """Return labels moved so far apart that none covers another."""
    placed: list[tuple[float, int]] = []
    for y, k in sorted(places, reverse=True):
        placed.append((min(y, placed[-1][0] - least if placed else bottom), k))
    # What ran out at the top comes down again.
    for n in range(len(placed) - 1, -1, -1):
        floor = top if n == len(placed) - 1 else placed[n + 1][0] + least
        placed[n] = (max(placed[n][0], floor), placed[n][1])
    return placed
