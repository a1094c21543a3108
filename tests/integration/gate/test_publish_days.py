"""A source that is complete for the days it names: what is published, replaced and left alone."""

from datetime import UTC, date, datetime

from tests.integration.gate.kit import ATTENDANCE, Gate

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
