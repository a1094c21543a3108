"""The PDF as a reader, and a machine that reads it aloud, find it: tagged, numbered, complete, nothing cut."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from engage.report.document import Chart, Document, Points, Table, Value, Words
from engage.report.pdf import pdf as made


@pytest.fixture
def pdf(folder: Path) -> PdfReader:
    return PdfReader(folder / "summary.pdf")


def flat(text: str) -> str:
    """Without spaces, soft hyphens and line ends: where a line breaks is the printer's business."""
    text = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff").replace("ﬃ", "ffi")
    return re.sub(r"[\s\u00ad\u2010-]+", "", text)


def test_it_is_tagged_and_says_what_it_is(pdf: PdfReader, document: Document) -> None:
    root: Any = pdf.trailer["/Root"]
    assert bool(root["/MarkInfo"]["/Marked"].value)
    assert root["/Lang"] == "en-GB"
    assert pdf.metadata is not None and pdf.metadata.title == document.title
    assert b"pdfuaid:part" in root["/Metadata"].get_object().get_data()
    assert len(pdf.outline) > 0


def test_it_is_made_at_any_instant_to_the_second(document: Document) -> None:
    instants = [datetime(2026, 11, 23, 14, 0, 7, micros, UTC) for micros in (0, 1, 999_999)]
    assert len({made(document, one) for one in instants}) == 1


def test_it_says_all_that_the_page_says(pdf: PdfReader, document: Document) -> None:
    text = flat("".join(page.extract_text() for page in pdf.pages))
    text = re.sub(re.escape(flat(document.title)) + r"Page\d+of\d+", "", text)
    for tile in document.tiles:
        assert flat(tile.sentence) in text
    for section in document.sections:
        assert flat(section.title) in text
        for block in section.blocks:
            if isinstance(block, Words):
                assert flat(block.text) in text
            elif isinstance(block, Points):
                assert all(flat(item) in text for item in block.items)
            elif isinstance(block, Chart):
                assert flat(block.title) in text and flat(block.says) in text
                assert block.table is None or flat(f"{block.table.name}.csv") in text
            elif isinstance(block, Table) and len(block.head) <= 8 and len(block.rows) <= 40:
                cells = [cell.text if isinstance(cell, Value) else cell for row in block.rows for cell in row]
                assert [cell for cell in cells if flat(cell)[:40] not in text] == []


def test_every_page_has_its_number_and_every_word_lies_within_the_margins(pdf: PdfReader) -> None:
    many = len(pdf.pages)
    for number, page in enumerate(pdf.pages, 1):
        assert f"Page {number} of {many}" in page.extract_text()
        width, height = float(page.mediabox.width), float(page.mediabox.height)
        places: list[tuple[float, float]] = []

        def visit(text: str, matrix: Any, at: Any, *_: Any, found: list[tuple[float, float]] = places) -> None:
            if text.strip():
                found.append((at[4] * matrix[0] + matrix[4], at[5] * matrix[3] + matrix[5]))

        page.extract_text(visitor_text=visit)
        assert places
        assert all(40 < x < width - 40 and 20 < y < height - 40 for x, y in places)


def test_every_picture_has_words_for_who_cannot_see_it(pdf: PdfReader, document: Document) -> None:
    pictures = sum(len(b.drawings) for s in document.sections for b in s.blocks if isinstance(b, Chart))
    alts = [one["/Alt"] for one in elements(pdf) if one.get("/S") == "/Figure"]
    assert len(alts) == pictures
    assert all(len(alt) > 20 for alt in alts)
    headings = [one["/S"] for one in elements(pdf) if re.fullmatch(r"/H\d", str(one.get("/S")))]
    assert headings[0] == "/H1" and "/H2" in headings
    assert sum(one.get("/S") == "/TH" for one in elements(pdf)) > 10


def elements(pdf: PdfReader) -> list[Any]:
    """Every element of the structure tree."""
    found: list[Any] = []
    root: Any = pdf.trailer["/Root"]
    waiting = [root["/StructTreeRoot"]]
    while waiting:
        one = waiting.pop().get_object()
        if isinstance(one, list):
            waiting += reversed(one)
        elif isinstance(one, DictionaryObject):
            if "/S" in one:
                found.append(one)
            if "/K" in one:
                waiting.append(one["/K"])
    return found
