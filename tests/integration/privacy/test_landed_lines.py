"""The landing store, searched for one student and rewritten without: what stays is what the gate makes of it again."""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.privacy import landed
from engage.privacy.own_lines import OwnLines
from engage.privacy.references import Reference
from engage.sources import Source
from tests.integration.gate.kit import ATTENDANCE, BASE, EVENTS, NOW, Gate

HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended"
ROWS = [
    "e1,S1,01/10/2026 09:00,Lecture,Y,Y",
    'e2,"S2",01/10/2026 09:00,"Lecture, big",Y,Y',
    "e3,S10,01/10/2026 09:00,Lecture,Y,Y",
    "e4,S2,01/10/2026 10:00,Seminar with S1,Y,maybe",
    "e5,S1,31/02/2026 10:00,Seminar,Y,N",
    "e6,S3,01/10/2026 10:00,Seminar,Y,N",
]
MINE, THEIRS = [ROWS[0], ROWS[4]], [ROWS[1], ROWS[2], ROWS[3], ROWS[5]]
S1 = [Reference("student_id", "S1"), Reference("username", "mm1")]


@pytest.fixture
def gate(database_url: str, tmp_path: Path) -> Gate:
    return Gate(database_url, tmp_path / "landing")


def zipped(method: int) -> Callable[[bytes], bytes]:
    def pack(content: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("Export.csv", content)
        return out.getvalue()

    return pack


def plain(content: bytes) -> bytes:
    return content


def unpacked(content: bytes) -> bytes:
    if content[:2] == b"\x1f\x8b":
        return gzip.decompress(content)
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return content


@pytest.mark.parametrize(
    "pack", [plain, gzip.compress, zipped(zipfile.ZIP_DEFLATED), zipped(zipfile.ZIP_BZIP2), zipped(zipfile.ZIP_LZMA)]
)
@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8-sig", "\n"), ("utf-16", "\r\n"), ("latin-1", "\r\n"), ("utf-8", "\r")]
)
def test_finds_and_takes_out_the_lines_of_one_student(
    gate: Gate, encoding: str, end: str, pack: Callable[[bytes], bytes]
) -> None:
    source = gate.source(ATTENDANCE | {"format": {"kind": "csv", "encoding": encoding, "footer": "^Total"}})
    lines = [HEADING, *ROWS, "Total: 6"]
    gate.deliver(source, pack(end.join([*lines, ""]).encode(encoding)))
    (delivery,) = landed.deliveries(gate.connection)
    (found,) = landed.find(str(gate.store), [delivery], {source.id: source}, S1)
    assert found.lines == MINE
    assert found.heading == HEADING

    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, S1, NOW) == 2
    left = unpacked((gate.store / delivery.landed_path).read_bytes())
    expected = end.join([*("" if line in MINE else line for line in lines), ""])
    assert left == expected.encode(encoding), "nothing else is another"
    assert list(landed.find(str(gate.store), [delivery], {source.id: source}, S1)) == []
    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, S1, NOW) == 0
    assert gate.execute("select redacted_at, content_hash from ops.delivery") == [(NOW, delivery.content_hash)]


def test_keeps_only_the_lines_of_one_student_with_heading_and_closing_line(gate: Gate) -> None:
    source = gate.source(ATTENDANCE | {"format": {"kind": "csv", "footer": "^Total"}})
    gate.deliver(source, "\n".join([HEADING, *ROWS, "Total: 6"]).encode())
    (delivery,) = landed.deliveries(gate.connection)
    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, S1, NOW, only=True) == 4
    left = (gate.store / delivery.landed_path).read_text().split("\n")
    assert left == [HEADING, ROWS[0], "", "", "", ROWS[4], "", "Total: 6"]


def test_a_row_whose_quoted_field_has_line_ends_is_one(gate: Gate) -> None:
    source = gate.source(ATTENDANCE)
    torn = 'e7,S1,01/10/2026 10:00,"a talk\nin\nthree lines",Y,N'
    late = '"e8\nand on",S1,01/10/2026 10:00,x,Y,N'
    gate.deliver(source, "\n".join([HEADING, ROWS[1], torn, ROWS[2], late, ROWS[5], ""]).encode())
    (delivery,) = landed.deliveries(gate.connection)
    (found,) = landed.find(str(gate.store), [delivery], {source.id: source}, S1)
    assert found.lines == [*torn.split("\n"), *late.split("\n")]
    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, S1, NOW) == 5
    assert (gate.store / delivery.landed_path).read_text().split("\n") == [
        *(HEADING, ROWS[1], "", "", "", ROWS[2], "", "", ROWS[5], "")
    ]


@pytest.mark.parametrize(
    "broken", ["e9,S1,01/10/2026", 'e9,"S1,01/10/2026 10:00,x,Y,N', "e9;S1;01/10/2026 10:00;x;Y;N", "S1"]
)
def test_a_line_that_is_no_row_is_theirs_by_a_whole_word(gate: Gate, broken: str) -> None:
    source = gate.source(ATTENDANCE)
    other = broken.replace("S1", "S10")
    gate.deliver(source, "\n".join([HEADING, other, broken, ""]).encode())
    (delivery,) = landed.deliveries(gate.connection)
    (found,) = landed.find(str(gate.store), [delivery], {source.id: source}, S1)
    assert found.lines == [broken]


def test_a_badge_handed_on_names_its_holder_of_the_day(gate: Gate) -> None:
    content: dict[str, Any] = ATTENDANCE | {"identified_by": "badge"}
    source = gate.source(content)
    rows = ["e1,0042,01/10/2026 09:00,x,Y,Y", "e2,0042,03/10/2026 09:00,x,Y,Y"]
    gate.deliver(source, "\n".join([HEADING, *rows]).encode(), day=date(2026, 10, 1), last_day=date(2026, 10, 4))
    gate.deliver(source, "\n".join([HEADING, rows[1]]).encode(), name="later", day=date(2026, 10, 3))
    first = [Reference("badge", "0042", valid_to=date(2026, 10, 2))]
    then = [Reference("badge", "0042", valid_from=date(2026, 10, 2))]
    files = landed.deliveries(gate.connection)
    found = {
        d: [f.lines for f in landed.find(str(gate.store), files, {source.id: source}, r)]
        for d, r in [(1, first), (2, then)]
    }
    assert found == {1: [[rows[0]]], 2: [[rows[1]], [rows[1]]]}


def test_items_of_an_api_are_told_by_their_path_in_any_case(gate: Gate) -> None:
    source = gate.source(EVENTS)
    items = [
        {"id": "1", "user": {"username": "MM1"}, "time": "2026-10-01T09:00:00Z", "component": "forum"},
        {"id": "2", "user": {"username": "mm10"}, "time": "2026-10-01T09:00:00Z", "component": "mm1"},
        {"id": "3", "user": {"username": " mm1 "}, "time": "2026-10-01T09:00:00Z", "component": "é"},
    ]
    lines = [json.dumps(item) for item in items]
    gate.deliver(source, gzip.compress("\n".join([*lines, '{"cut": "mm1', ""]).encode()))
    (delivery,) = landed.deliveries(gate.connection)
    (found,) = landed.find(str(gate.store), [delivery], {source.id: source}, S1)
    assert found.lines == [lines[0], lines[2], '{"cut": "mm1']


def test_a_file_that_cannot_be_read_is_told_of_and_deleted(gate: Gate) -> None:
    source = gate.source(ATTENDANCE)
    gate.deliver(source, gzip.compress("\n".join([HEADING, *ROWS]).encode())[:-9])
    gate.deliver(source, b"PK\x03\x04 no archive", name="other")
    gate.deliver(source, bz2.compress(b"nothing"), name="third")
    files = landed.deliveries(gate.connection)
    found = list(landed.find(str(gate.store), files, {source.id: source}, S1))
    assert [one.is_unreadable for one in found] == [True, True]
    for delivery in files:
        landed.rewrite(str(gate.store), gate.connection, delivery, source, S1, NOW)
    assert gate.execute("select deleted_at is not null from ops.delivery order by 1") == [(False,), (True,), (True,)]
    assert sorted(p.name for p in gate.store.rglob("*") if p.is_file()) == [files[2].content_hash]


def test_a_source_that_is_in_no_file_any_more_is_read_as_text(gate: Gate) -> None:
    source = gate.source(BASE | ATTENDANCE)
    gate.deliver(source, "\n".join([HEADING, *ROWS]).encode())
    (delivery,) = landed.deliveries(gate.connection)
    (found,) = landed.find(str(gate.store), [delivery], {}, S1)
    assert found.lines == [ROWS[0], ROWS[3], ROWS[4]], "also the line in which another's row mentions them"


CELL = st.text(st.sampled_from('abS12",;é '), max_size=4)


@given(
    rows=st.lists(st.tuples(CELL, st.sampled_from(["S1", "S2", "S12", " S1 ", "é1"]), CELL), max_size=12),
    block=st.integers(1, 60),
)
def test_any_rows_are_divided_as_the_gate_reads_them(rows: list[tuple[str, str, str]], block: int) -> None:
    import csv

    names = ["Event Id", "Student Number", "Session Start", "Attended"]
    source = Source.model_validate(
        ATTENDANCE | {"columns": {k: v for k, v in ATTENDANCE["columns"].items() if v["name"] in names}}
    )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for first, ref, last in rows:
        writer.writerow([first, ref, last, "Y"])
    lines = out.getvalue().encode().splitlines(keepends=True)
    for refs in (["S1"], ["é1"], ["S2", "é1"]):
        own = OwnLines(source, [Reference("student_id", ref) for ref in refs], "utf-8")
        found = []
        for n in range(0, len(lines), block):
            piece = b"".join(lines[n : n + block])
            found += [piece[b:e].decode() for b, e in own.of(piece, is_first=n == 0)]
        expected = [
            line.decode().rstrip("\n") for line, (_, ref, _) in zip(lines[1:], rows, strict=True) if ref.strip() in refs
        ]
        assert found == expected
