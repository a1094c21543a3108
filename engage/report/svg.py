"""A small writer of SVG: shapes and words with classes for colours, a title and a description for who cannot see it.

What the classes look like is said in colours.py; which shapes make a chart in charts.py.
"""

from collections.abc import Sequence
from html import escape

SMALL, NORMAL = 11, 12.5
"""Sizes of words, in pixels of the page."""
_SMALL_LETTER, _CAPITAL = 0.58, 0.76
"""Mean width of letters in parts of their size; a little more than true, so that words end before the edge."""


class Picture:
    """One SVG under way. `name` is unique on the page; coordinates are pixels from the top left."""

    def __init__(self, name: str, width: float, height: float, title: str, describes: str) -> None:
        self.width, self.height = width, height
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
            f'height="{_n(height)}" role="img" aria-labelledby="{name}-t {name}-d">'
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(describes)}</desc>'
        ]

    def words(
        self, x: float, y: float, text: str, look: str = "ink", anchor: str = "start", size: float = NORMAL
    ) -> None:
        """Write words with their baseline at y."""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(
            f'<text class="{look}" x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{at}>{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, look: str, round_: float = 0) -> None:
        """Draw a rectangle."""
        corner = f' rx="{_n(round_)}"' if round_ else ""
        self._parts.append(
            f'<rect class="{look}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" height="{_n(max(height, 0))}"'
            f"{corner}/>"
        )

    def line(self, points: Sequence[tuple[float, float]], look: str) -> None:
        """Draw a line through points."""
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._parts.append(f'<path class="{look}" d="M{path}"/>')

    def marker(self, x: float, y: float, shape: str, look: str, size: float = 3.5) -> None:
        """Draw a circle, square, diamond or cross around a point."""
        if shape == "circle":
            self._parts.append(f'<circle class="{look}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}"/>')
        elif shape == "square":
            self.box(x - size, y - size, 2 * size, 2 * size, look)
        elif shape == "diamond":
            r = size * 1.35
            self._parts.append(
                f'<path class="{look}" d="M{_n(x)} {_n(y - r)}l{_n(r)} {_n(r)}l{_n(-r)} {_n(r)}l{_n(-r)} {_n(-r)}z"/>'
            )
        else:
            self._parts.append(
                f'<path class="gap" d="M{_n(x - size)} {_n(y - size)}l{_n(2 * size)} {_n(2 * size)}'
                f'm0 {_n(-2 * size)}l{_n(-2 * size)} {_n(2 * size)}"/>'
            )

    def done(self) -> str:
        """Return the picture."""
        return "".join([*self._parts, "</svg>"])


def width_of(text: str, size: float = NORMAL) -> float:
    """Return about how wide words are, in pixels."""
    capitals = sum(letter.isupper() for letter in text)
    return size * (capitals * _CAPITAL + (len(text) - capitals) * _SMALL_LETTER)


def fitted(text: str, width: float, size: float = NORMAL) -> str:
    """Return words cut to a width, with an ellipsis."""
    if width_of(text, size) <= width:
        return text
    while len(text) > 1 and width_of(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _n(value: float) -> str:
    """Return a number as short as can be, so that a page stays small and the same on every machine."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
