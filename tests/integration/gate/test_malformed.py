"""Every way in which a text feed has been seen to be malformed: what is said, what gets in, what is kept out and why.

Columns of a case: the file, then the outcome (good rows in, lines kept out with the start of the reason, a part of the
message when the file as a whole is held, a part of what is noted).
"""

import gzip
import io
import zipfile
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.gate.kit import ATTENDANCE, EVENTS, Gate

HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended"
ROW = "e{0},00{0},01/10/2026 10:00,lecture,Yes,Yes"
ROWS = [ROW.format(n) for n in range(1, 10)]
GOOD = "\n".join([HEADING, *ROWS]) + "\n"
"""Nine good rows of the students 001 to 009, on lines 2 to 10."""


def with_line(line: str | bytes, encoding: str = "utf-8") -> bytes:
    """The good file with one more line, line 11."""
    return GOOD.encode(encoding) + (line if isinstance(line, bytes) else line.encode(encoding)) + "\n".encode(encoding)


def zipped(*names: str, method: int = zipfile.ZIP_STORED, content: str = GOOD) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def damaged_zip(method: int) -> bytes:
    whole = bytearray(zipped("file.csv", method=method, content=GOOD * 200))
    whole[60:90] = bytes(byte ^ 0x5A for byte in whole[60:90])
    return bytes(whole)


def widened(tail: str) -> bytes:
    return "\n".join(line + tail for line in [HEADING, *ROWS]).encode()


@dataclass(frozen=True)
class Case:
    name: str
    content: bytes
    good: int = 9
    """Rows published; all are of students 001 to 009."""
    bad: dict[int, str] = field(default_factory=dict)
    """Line of the file -> start of the reason."""
    held: str | None = None
    notes: str | None = None
    form: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("plain", GOOD.encode()),
    Case("UTF-8 with BOM", GOOD.encode("utf-8-sig")),
    Case("UTF-8 with BOM, declared Latin-1", GOOD.encode("utf-8-sig"), form={"encoding": "latin-1"}),
    Case("UTF-16", GOOD.encode("utf-16"), form={"encoding": "utf-16"}),
    Case("UTF-16 with BOM, declared UTF-8", GOOD.encode("utf-16")),
    Case(
        "UTF-16 without BOM, declared UTF-8",
        GOOD.encode("utf-16-le"),
        good=0,
        held="NUL bytes in its heading; is it UTF-16?",
    ),
    Case(
        "UTF-16 without BOM, declared so",
        GOOD.encode("utf-16-le"),
        form={"encoding": "utf-16"},
        good=0,
        held="file.csv: does not begin with the byte order mark",
    ),
    Case(
        "UTF-8, declared UTF-16",
        GOOD.encode(),
        form={"encoding": "utf-16"},
        good=0,
        held="file.csv: does not begin with the byte order mark",
    ),
    Case(
        "UTF-16 cut in a character",
        GOOD.encode("utf-16")[:-3],
        form={"encoding": "utf-16"},
        good=0,
        held="file.csv: ends in the middle of line 10 (the line has bytes that are not utf-16)",
    ),
    Case(
        "Latin-1", with_line("e10,001,01/10/2026 10:00,café,Yes,Yes", "latin-1"), good=10, form={"encoding": "latin-1"}
    ),
    Case(
        "Latin-1, declared UTF-8",
        with_line("e10,001,01/10/2026 10:00,café,Yes,Yes", "latin-1"),
        bad={11: "the line has bytes that are not utf-8"},
    ),
    Case("CRLF", GOOD.replace("\n", "\r\n").encode()),
    Case("mixed line ends", GOOD.replace("\n", "\r\n", 4).encode()),
    Case("no line end at the end", GOOD.rstrip("\n").encode()),
    Case("blank lines", GOOD.replace("\n", "\n\n", 3).encode() + b"\n  \n"),
    Case("blank lines before the heading", b"\n\n" + GOOD.encode()),
    Case("quotes in quotes", with_line('e10,001,01/10/2026 10:00,"a ""quoted"", word",Yes,Yes'), good=10),
    Case("quotes within a field", with_line('e10,001,01/10/2026 10:00,5"x3" room,Yes,Yes'), good=10),
    Case(
        "quotes around a part of a field",
        with_line('e10,001,01/10/2026 10:00,"lec"ture,Yes,Yes'),
        bad={11: "the line has an unbalanced quote"},
    ),
    Case(
        "unbalanced quote",
        with_line('e10,001,01/10/2026 10:00,"lecture,Yes,Yes'),
        bad={11: "the line has an unbalanced quote"},
    ),
    Case(
        "unbalanced quote in the middle",
        GOOD.replace("e4,", '"e4,').encode(),
        good=8,
        bad={5: "the line has an unbalanced quote"},
    ),
    Case(
        "line end within quotes",
        with_line('e10,001,01/10/2026 10:00,"two\nlines",Yes,Yes'),
        bad={11: "the line has an unbalanced quote", 12: "the line has"},
    ),
    Case("semicolons", GOOD.replace(",", ";").encode(), form={"delimiter": ";"}),
    Case(
        "semicolons, declared commas",
        GOOD.replace(",", ";").encode(),
        good=0,
        held="'Student Number', 'Session Start', 'Attended' are missing",
    ),
    Case("too few fields", with_line("e10,001"), bad={11: "the line has 2 fields instead of 6"}),
    Case("too many fields", with_line(ROW.format(1) + ",x"), bad={11: "the line has 7 fields instead of 6"}),
    Case(
        "cut off in a row",
        GOOD.encode()[:-20],
        good=0,
        held="file.csv: ends in the middle of line 10 (the line has 3 fields instead of 6): it was probably cut off",
    ),
    Case("new column", "\n".join([HEADING + ",Room", *[r + ",B1" for r in ROWS]]).encode(), notes="new column 'Room'"),
    Case(
        "missing column that is not required",
        GOOD.replace(",Mandatory", "").replace(",Yes,Yes", ",Yes").encode(),
        notes="column 'Mandatory' is missing",
    ),
    Case(
        "missing column that is required",
        GOOD.replace(",Attended", "").replace(",Yes,Yes", ",Yes").encode(),
        good=0,
        held="column 'Attended' is missing",
    ),
    Case(
        "renamed column",
        GOOD.replace("Attended", "Present").encode(),
        good=0,
        held="file.csv: column 'Attended' is missing; new 'Present' found: renamed?",
    ),
    Case(
        "heading joined to the first row",
        GOOD.replace("Attended\n", "Attended", 1).encode(),
        good=0,
        held="file.csv: column 'Attended' is missing; 6 new found: renamed, or no line end after the heading?",
    ),
    Case("2,000 columns", widened("," * 2000), good=0, held="file.csv: has more in a row (2,006 columns)"),
    Case("900 wide columns", widened(("," + "x" * 80) * 900), good=0, held="file.csv: has more in a row (906 columns)"),
    Case(
        "heading in other letters",
        GOOD.replace("Attended", " attended ").encode(),
        notes="column 'Attended' is written in other letters",
    ),
    Case(
        "reordered columns",
        "\n".join(",".join(reversed(line.split(","))) for line in [HEADING, *ROWS]).encode(),
    ),
    Case(
        "duplicate heading",
        GOOD.replace("Session Type", "Attended").encode(),
        good=0,
        held="column 'Attended' is there 2 times",
    ),
    Case("unbalanced quote in the heading", b'"' + GOOD.encode(), good=0, held="heading with an unbalanced quote"),
    Case("no heading", "\n".join(ROWS).encode(), good=0, held="the first line has 0 of the 6 headings"),
    Case("footer", GOOD.encode() + b"TOTAL,9\n", form={"footer": r"^TOTAL,\d+$"}),
    Case(
        "footer without line end, CRLF",
        GOOD.replace("\n", "\r\n").encode() + b"TOTAL,9,,,,",
        form={"footer": r"^TOTAL,\d+"},
    ),
    Case("footer and blank lines", GOOD.encode() + b"TOTAL,9,,,,\n\n\n", form={"footer": r"^TOTAL,\d+"}),
    Case(
        "declared footer is not there",
        GOOD.encode()[:-60],
        form={"footer": r"^TOTAL,\d+"},
        good=0,
        held="file.csv: has no closing line",
    ),
    Case(
        "footer in the middle is a row",
        GOOD.replace("e4,004", "TOTAL,9").encode() + b"TOTAL,9,,,,",
        form={"footer": r"^TOTAL,\d+"},
        good=8,
        bad={5: "Every row names a known student"},
    ),
    Case("NUL bytes", with_line(b"e10,0\x0001,01/10/2026 10:00,lecture,Yes,Yes"), bad={11: "the line has NUL bytes"}),
    Case("end-of-data mark of COPY", with_line("\\."), bad={11: "the line has 1 fields instead of 6"}),
    Case(
        "a line of 50 MB",
        GOOD.encode() + b"x" * 50_000_000 + b"\n" + ROW.format(1).replace("e1,", "e10,").encode(),
        good=10,
        bad={11: "the line is longer than"},
    ),
    Case(
        "a field of 200 kB",
        with_line(ROW.format(1).replace("lecture", "x" * 200_000)),
        bad={11: "the line is longer than"},
    ),
    Case("leading zeros and blanks", with_line("e10, 001\u00a0,01/10/2026 10:00,lecture,Yes,Yes"), good=10),
    Case(
        "zeros lost", with_line("e10,1,01/10/2026 10:00,lecture,Yes,Yes"), bad={11: "Every row names a known student"}
    ),
    Case("one-digit day and hour", with_line("e10,001,1/10/2026 9:00,lecture,Yes,Yes"), good=10),
    Case(
        "no such day",
        with_line("e10,001,31/09/2026 10:00,lecture,Yes,Yes"),
        bad={11: "starts_at: not a time in any declared format"},
    ),
    Case(
        "American day",
        with_line("e10,001,10/13/2026 10:00,lecture,Yes,Yes"),
        bad={11: "starts_at: not a time in any declared format"},
    ),
    Case("no time", with_line("e10,001,,lecture,Yes,Yes"), bad={11: "starts_at: is empty"}),
    Case("no student", with_line("e10,,01/10/2026 10:00,lecture,Yes,Yes"), bad={11: "student_ref: is empty"}),
    Case(
        "unknown mark",
        with_line("e10,001,01/10/2026 10:00,lecture,Yes,perhaps"),
        bad={11: "attended: not one of the known true or false words"},
    ),
    Case(
        "time in the future",
        with_line("e10,001,01/12/2026 10:00,lecture,Yes,Yes"),
        bad={11: "No row lies in the future"},
    ),
    Case(
        "clocks go forward: a time that does not exist",
        with_line("e10,001,29/03/2026 01:30,lecture,Yes,Yes"),
        bad={11: "starts_at: a local time that the change of the clocks leaves out"},
    ),
    Case("clocks go back: a time that exists twice", with_line("e10,001,25/10/2026 01:30,lecture,Yes,Yes"), good=10),
    Case(
        "epoch seconds",
        (HEADING + "\n" + "\n".join(f"e{n},00{n},{1790845200 + n},lecture,1,0" for n in range(1, 10))).encode(),
        columns={"starts_at": {"name": "Session Start", "formats": ["%d/%m/%Y %H:%M", "epoch_s"]}},
    ),
    Case(
        "two formats in one file",
        with_line("e10,001,2026-10-01T10:00:00Z,lecture,Yes,Yes"),
        good=10,
        columns={"starts_at": {"name": "Session Start", "formats": ["%d/%m/%Y %H:%M", "iso8601"]}},
    ),
    Case("empty", b"", good=0, held="file.csv: is empty: not even a heading"),
    Case("heading only", HEADING.encode(), good=0),
    Case("gzip", gzip.compress(GOOD.encode())),
    Case("truncated gzip", gzip.compress(GOOD.encode() * 500)[:-20], good=0, held="is a broken gzip or zip file"),
    Case("damaged gzip", b"\x1f\x8b" + b"\x00" * 50, good=0, held="is a broken gzip or zip file"),
    Case("zip", zipped("file.csv")),
    Case("zip of two files", zipped("a.csv", "b.csv"), good=0, held="is a zip archive of 2 files"),
    Case("truncated zip", zipped("file.csv")[:-30], good=0, held="is a broken gzip or zip file"),
    Case("zip by LZMA", zipped("file.csv", method=zipfile.ZIP_LZMA)),
    Case("damaged zip by LZMA", damaged_zip(zipfile.ZIP_LZMA), good=0, held="is a broken gzip or zip file"),
    Case("damaged zip by bzip2", damaged_zip(zipfile.ZIP_BZIP2), good=0, held="is a broken gzip or zip file"),
    Case("not text at all", bytes(range(256)) * 40, good=0, held="in its heading"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_malformed_csv(gate: Gate, case: Case) -> None:
    gate.know(*(f"00{n}" for n in range(1, 10)))
    columns = ATTENDANCE["columns"] | case.columns
    source = gate.source(ATTENDANCE | {"format": {"kind": "csv", **case.form}, "columns": columns})
    gate.deliver(source, case.content, day=None)
    suite = gate.suite(source, FUTURE)
    (outcome,) = gate.process(source, suite)
    found = gate.execute("select row_number, reason, record from quarantine.row order by row_number")
    assert {number: reason for number, reason, _ in found} == {
        number: next((r for n, r, _ in found if n == number and r.startswith(start)), start)
        for number, start in case.bad.items()
    }
    assert outcome.rows_quarantined == len(case.bad)
    assert all(record for _, _, record in found)
    assert all(len(str(record)) < 9000 for _, _, record in found)
    assert gate.execute("select count(*) from raw.attendance") == [(case.good,)]
    if case.held is None:
        assert outcome.state == "published", outcome.problem
        assert outcome.rows_read == case.good + len(case.bad)
        assert outcome.rows_accepted == case.good
    else:
        assert outcome.state == "held"
        assert case.held in (outcome.problem or "")
        assert gate.execute("select day from ops.coverage") == []
    assert case.notes is None or any(case.notes in note for note in outcome.notes), outcome.notes
    assert case.notes or not outcome.notes or case.held


FUTURE = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "seconds_ahead", "max_value": 3600},
    "meta": {"id": "not_in_the_future", "title": "No row lies in the future"},
}

ITEM = '{{"id": {0}, "time": "2026-10-01T10:00:00Z", "user": {{"username": "AB{0}"}}, "real_user": null}}'
ITEMS = "".join(ITEM.format(n) + "\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": 10, "time"', "the line is not JSON"),
        ('{"id": 10, "x": NaN}', "the line is not JSON"),
        ('{"id": 10, "x": 1e999}', "the line is not JSON"),
        ("[1, 2]", "the line is not a JSON object"),
        ('{"id": 10, "x": "\\u0000"}', "the line has NUL characters"),
        ('{"id": 10, "x": "\\ud800"}', "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ('{"id": 10, "user": {"username": "ab1"}}', "occurred_at: is empty"),
        ('{"id": 10, "user": {"username": "ab1"}, "time": "2026-10-01T25:00:00Z"}', "occurred_at: not a time"),
        ('{"id": 10, "user": null, "time": "2026-10-01T10:00:00Z"}', "student_ref: is empty"),
    ],
)
def test_malformed_json_lines(gate: Gate, line: str, reason: str) -> None:
    gate.know(*(f"ab{n}" for n in range(1, 10)), kind="username")
    source = gate.source(EVENTS)
    dropped = ITEM.format(11).replace("null", '{"username": "admin"}')
    gate.deliver(source, gzip.compress(f"{ITEMS}\n{line}\n{dropped}\n".encode()), name="window")
    (outcome,) = gate.process(source)
    assert outcome.state == "published", outcome.problem
    assert (outcome.rows_read, outcome.rows_dropped, outcome.rows_accepted, outcome.rows_quarantined) == (11, 1, 9, 1)
    ((number, found),) = gate.execute("select row_number, reason from quarantine.row")
    assert number == 11
    assert found.startswith(reason)


def test_an_empty_window_is_a_valid_delivery_and_covers_its_day(gate: Gate) -> None:
    source = gate.source(EVENTS)
    gate.deliver(source, b"", name="window")
    (outcome,) = gate.process(source)
    assert (outcome.state, outcome.quality_score, outcome.days_touched) == ("published", 100.0, 0)
    assert gate.execute("select is_complete from ops.coverage") == [(True,)]
