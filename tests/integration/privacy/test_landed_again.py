"""A file that was rewritten without a student is processed again: the same warehouse less the student."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from engage.decisions import Choice, decide
from engage.privacy import landed
from engage.privacy.references import Reference
from engage.sources import Source
from tests.integration.gate.kit import ATTENDANCE, EVENTS, NOW, Gate

HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended"
ROWS = [
    "e0,S1,01/10/2026 09:00,Lecture,Y,Y",
    "e1,S2,01/10/2026 09:00,Lecture,Y,N",
    "e2,S1,31/02/2026 09:00,Lecture,Y,Y",
    "e3,S3,31/02/2026 10:00,Lecture,Y,Y",
    "e4,S4,not a time,Lecture,Y,Y",
    'e5,S1,01/10/2026 09:00,"torn',
    "e6,S2,01/10/2026 10:00,Seminar,Y,Y",
    "e7,S1,01/10/2026 11:00,Seminar,Y,Y",
]
MORE = [f"f{n},S2,01/10/2026 12:00,Lecture,Y,Y" for n in range(40)]
SEEN = (
    "select row_number, event_id, student_id, starts_at, is_attended from raw.attendance order by 1",
    "select row_number, event_id, student_id, occurred_at from raw.activity order by 1",
    "select row_number, rule_id, reason, student_ref, record, state from quarantine.row order by 1, 2",
    "select source_id, day, is_covered, is_current from ops.batch_day order by 2",
)


@pytest.fixture
def gate(database_url: str, tmp_path: Path) -> Gate:
    return Gate(database_url, tmp_path / "landing")


def seen(gate: Gate, without: str = "") -> list[str]:
    rows = [str(row) for query in SEEN for row in gate.execute(query)]
    return [row for row in rows if not without or without not in row]


def again(gate: Gate, source: Source) -> None:
    gate.execute("update ops.batch set is_stale = true")
    gate.process(source)


@pytest.mark.parametrize("decided", [False, True])
def test_rows_of_a_file_keep_their_numbers_and_what_was_decided_about_them(gate: Gate, decided: bool) -> None:
    source = gate.source(ATTENDANCE)
    gate.know("S1", "S2", "S3", "S4")
    gate.deliver(source, "\n".join([HEADING, *ROWS, *MORE, ""]).encode())
    (outcome,) = gate.process(source)
    if decided:
        choice = Choice("reject", outcome.batch_id, "nobody knows when that was", "ada", ("readable",), (6, 7))
        decide(gate.connection, choice, NOW)
        again(gate, source)
    before = seen(gate, without="S1")
    assert len(before) == 42 + 2 + 1
    assert sum("rejected" in row for row in before) == decided
    (delivery,) = landed.deliveries(gate.connection)
    refs = [Reference("student_id", "S1")]
    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, refs, NOW) == 4
    again(gate, source)
    assert seen(gate) == before
    assert seen(gate, without="S1") == before


def test_an_api_window_without_a_student_is_processed_again(gate: Gate) -> None:
    source = gate.source(EVENTS)
    gate.know("mm1", "mm2", kind="username")
    items = [
        {"id": str(n), "user": {"username": f"mm{1 + n % 2}"}, "time": f"2026-10-01T09:0{n}:00Z", "component": "forum"}
        for n in range(6)
    ]
    start = datetime(2026, 10, 1, tzinfo=UTC)
    gate.deliver(
        source,
        gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()),
        day=date(2026, 10, 1),
        window=(start, start.replace(day=2)),
    )
    gate.process(source)
    before = seen(gate, without="s-mm1")
    (delivery,) = landed.deliveries(gate.connection)
    refs = [Reference("username", "mm1")]
    assert landed.rewrite(str(gate.store), gate.connection, delivery, source, refs, NOW) == 3
    again(gate, source)
    assert seen(gate) == before
    assert len(before) == 3 + 2
