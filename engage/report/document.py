"""What a summary consists of, before it is a page or a print: tiles, sections, charts, tables. No layout, no numbers
of its own, so that the page, the PDF and the CSV files cannot say different things.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

LEFT_OUT = "[c]"
"""Stands in tables for what is left out, as statisticians of the UK mark confidential figures."""
FEW = "under 3"
"""Stands for a count of 0, which is 0, 1 or 2 people."""


@dataclass(frozen=True)
class Value:
    """A number in a table: as it reads, and as it stands in the CSV file."""

    text: str
    raw: float | int | None


Content = str | Value


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first column names the row. `name` is also that of the CSV file."""

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Content]]
    note: str = ""
    folded: bool = False
    """Opened by whoever wants to see it; on paper it is its CSV file."""


@dataclass(frozen=True)
class Drawing:
    """An SVG picture, and a version for a phone where lines and words would be too small."""

    wide: str
    narrow: str = ""


@dataclass(frozen=True)
class Chart:
    """One picture, or several small ones beside each other, with what they show in words and the numbers of them."""

    title: str
    says: str
    limits: str
    """What it cannot say."""
    drawings: Sequence[Drawing]
    table: Table | None = None
    columns: int = 1
    """Pictures beside each other on a wide page."""


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list under a heading, which may be empty."""

    title: str
    items: Sequence[str]


Block = Chart | Table | Words | Points


@dataclass(frozen=True)
class Section:
    """A chapter; its `id` is the anchor."""

    id: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Tile:
    """A question of the first screen, answered by a number and a sentence."""

    question: str
    number: str
    unit: str
    sentence: str
    section: str
    """Anchor of what it is from."""


@dataclass(frozen=True)
class Document:
    """A whole summary."""

    title: str
    facts: Sequence[tuple[str, str]]
    """As of, period, configuration, ..."""
    tiles: Sequence[Tile]
    sections: Sequence[Section]

    def tables(self) -> list[Table]:
        """Return every table, those of charts too, in the order of the page."""
        blocks = [block for section in self.sections for block in section.blocks]
        found = [block.table if isinstance(block, Chart) else block for block in blocks]
        return [table for table in found if isinstance(table, Table)]
