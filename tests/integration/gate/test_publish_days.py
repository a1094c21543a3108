"""A source that is complete for the days it names: what is published, replaced and left alone."""

import base64
import gzip
import random
import time
from datetime import UTC, date, datetime

import pytest
from psycopg.rows import dict_row

from engage import health
from engage.batches import BatchError
from engage.commands.batches import SHOW
from tests.integration.gate.kit import ATTENDANCE, EVENTS, Gate

HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\r\n"


def register(*rows: str) -> bytes:
    return (HEADING + "".join(row + "\r\n" for row in rows)).encode()


def test_good_rows_are_published_and_bad_ones_kept_with_their_reason(gate: Gate) -> None:
    gate.know("0012345", "0012346")
    source = gate.source(ATTENDANCE)
    gate.deliver(
        source,
        register(
            "e1,0012345,01/10/2026 10:00,lecture,Yes,Yes",
            "e2,0012346,01/10/2026 10:00,lecture,No,No",
            *(f"f{n},0012345,01/10/2026 1{n}:30,lecture,Yes,Yes" for n in range(10)),
            "e3,0012346,31/02/2026 10:00,lecture,No,No",
            "e4,9999999,01/10/2026 10:00,lecture,No,No",
            "e5,0012345,02/10/2026 10:00,lecture,No,No",
        ),
    )
    (outcome,) = gate.process(source)
    assert outcome.state == "published", outcome.problem
    assert (outcome.rows_read, outcome.rows_accepted, outcome.rows_quarantined) == (15, 12, 3)
    assert gate.execute(
        "select event_id, student_id, activity_date, starts_at from raw.attendance where event_id like 'e%' order by 1"
    ) == [
        ("e1", "s-0012345", date(2026, 10, 1), datetime(2026, 10, 1, 9, tzinfo=UTC)),
        ("e2", "s-0012346", date(2026, 10, 1), datetime(2026, 10, 1, 9, tzinfo=UTC)),
    ]
    assert gate.execute("select row_number, rule_id, field, reason from quarantine.row order by 1, 2") == [
        (14, "readable", "starts_at", "starts_at: not a time in any declared format"),
        (15, "known_student", "unknown_student", "Every row names a known student"),
        (16, "named_day", "unnamed_day", "Every row lies on a day that the file names"),
    ]
    assert gate.execute("select day, quality_score is not null, is_complete from ops.coverage") == [
        (date(2026, 10, 1), True, outcome.quality_score >= 80)
    ]
    assert gate.execute("select source_id, day from ops.touched_day") == [("attendance", date(2026, 10, 1))]
    assert gate.process(source) == []


def test_of_rows_with_one_event_id_the_last_good_one_counts(gate: Gate) -> None:
    gate.know("0012345", *(f"{n}" for n in range(8)))
    source = gate.source(ATTENDANCE)
    others = [f"f{n},{n},01/10/2026 10:00,lecture,Yes,Yes" for n in range(8)]
    row = "{},0012345,01/10/2026 10:00,lecture,Yes,{}"
    twice = [row.format("e1", "Yes"), row.format("e1", "No"), row.format("e1", "unreadable")]
    gate.deliver(source, register(*others, *twice, row.format("", "Yes"), row.format("", "Yes")))
    (outcome,) = gate.process(source)
    assert outcome.state == "published", outcome.problem
    assert (outcome.rows_read, outcome.rows_dropped, outcome.rows_accepted, outcome.rows_quarantined) == (13, 1, 11, 1)
    assert outcome.notes == ("1 duplicate rows: the last with an event id counts",)
    (told,) = health.batches(gate.connection, [outcome.batch_id])
    assert list(told.notes) == list(outcome.notes), "what the UI's table of batches shows"
    shown = gate.connection.cursor(row_factory=dict_row).execute(SHOW, [outcome.batch_id]).fetchone()
    assert shown is not None
    assert shown["notes"] == list(outcome.notes), "what `engage batch show` shows"
    found = gate.execute("select event_id, is_attended from raw.attendance where event_id is null or event_id = 'e1'")
    assert sorted(found, key=repr) == [("e1", False), (None, True), (None, True)]


def test_a_delivery_that_cannot_be_processed_does_not_keep_the_others_waiting(gate: Gate) -> None:
    gate.know("1")
    source = gate.source(ATTENDANCE)
    days = [date(2026, 10, n) for n in (1, 2, 3)]
    for day in days:
        gate.deliver(source, register(f"e,1,{day:%d/%m/%Y} 10:00,lecture,Yes,Yes"), f"{day}.csv", day)
    gone = gate.execute("select landed_path from ops.delivery order by first_day limit 2")
    kept = {path: (gate.store / path).read_bytes() for (path,) in gone}
    for path in kept:
        (gate.store / path).unlink()
    with pytest.raises(BatchError) as caught:
        gate.process(source)
    said = "its bytes are not in the landing store any more"
    assert str(caught.value) == f"2026-10-01.csv: {said}; 2026-10-02.csv: {said}"
    assert gate.execute("select activity_date from raw.attendance") == [(days[2],)]
    # A connection that is closed leaves its locks a moment later.
    until = time.monotonic() + 20
    while (held := gate.execute("select count(*) from pg_locks where locktype = 'advisory'")) != [(0,)]:
        assert time.monotonic() < until, held
    for path, content in kept.items():
        (gate.store / path).write_bytes(content)
    assert [o.state for o in gate.process(source)] == ["published", "published"]


def test_an_unforeseen_fault_is_told_by_the_name_of_the_file_and_stops_no_other(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    # More than an entry of an index can hold, however well it is compressed.
    long = base64.b64encode(random.Random(1).randbytes(9000)).decode()
    item = '{{"id": "{}", "time": "2026-10-0{}T10:00:00Z", "user": {{"username": "ab1"}}}}\n'
    for day, event_id in ((1, long), (2, "e2")):
        gate.deliver(source, item.format(event_id, day).encode(), f"{day}.jsonl", date(2026, 10, day))
    with pytest.raises(BatchError) as caught:
        gate.process(source)
    assert str(caught.value) == "1.jsonl: the database refuses it, SQLSTATE 54000"
    assert gate.execute("select event_id from raw.activity") == [("e2",)]


def test_a_file_that_breaks_off_while_it_is_read_does_not_spoil_the_next(gate: Gate) -> None:
    gate.know("1")
    source = gate.source(ATTENDANCE)
    wide = gzip.compress(b"A,B," + register(*(f"e{n},1,01/10/2026 10:00,lecture,Yes,Yes" for n in range(900))))[:-20]
    gate.deliver(source, register("e1,1,01/10/2026 10:00,lecture,Yes,Yes"), "1", date(2026, 10, 1))
    gate.deliver(source, wide, "2", date(2026, 10, 1))
    gate.deliver(source, b"A,B," + register("a,b,e2,1,02/10/2026 10:00,lecture,Yes,Yes"), "3", date(2026, 10, 2))
    assert [o.state for o in gate.process(source)] == ["published", "held", "published"]


@pytest.mark.parametrize(
    ("first", "last", "delivered", "problem"),
    [
        (date(2026, 10, 1), date(2026, 10, 1), datetime(2026, 9, 30, 22, 59, tzinfo=UTC), "a day that had not come"),
        (date(2026, 10, 1), date(2026, 10, 1), datetime(2026, 9, 30, 23, 0, tzinfo=UTC), None),
        (date(2026, 10, 1), date(2027, 11, 5), datetime(2026, 11, 1, tzinfo=UTC), "names more than 400 days"),
        (date(2026, 10, 1), date(2027, 11, 4), datetime(2026, 11, 1, tzinfo=UTC), None),
        (date(2026, 10, 1), date(9999, 12, 31), datetime(2026, 11, 1, tzinfo=UTC), "names more than 400 days"),
    ],
)
def test_days_that_cannot_be_meant_hold_the_file(
    gate: Gate, first: date, last: date, delivered: datetime, problem: str | None
) -> None:
    source = gate.source(ATTENDANCE)
    gate.deliver(source, register(), "typo", first, delivered, last_day=last)
    (outcome,) = gate.process(source)
    assert outcome.state == ("held" if problem else "published")
    assert problem is None or problem in (outcome.problem or "")
    assert problem is None or gate.execute("select * from ops.coverage") == []
