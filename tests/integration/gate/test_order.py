"""Corrections, late deliveries, changing identities: the end is the same whatever came first."""

import os
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engage.landing import land
from engage.sources import Source
from tests.integration.gate.kit import ATTENDANCE, BASE, EVENTS, PAST, STUDENTS, Gate

DAY = date(2026, 10, 1)
HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\n"


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def register(*rows: tuple[str, date], attended: str = "Yes") -> bytes:
    return (HEADING + "".join(f"{r}{d},{r},{d:%d/%m/%Y} 10:00,lecture,Yes,{attended}\n" for r, d in rows)).encode()


def attended(gate: Gate) -> list[tuple[Any, ...]]:
    return gate.execute("select student_id, activity_date, is_attended from raw.attendance order by 2, 1")


def states(gate: Gate) -> dict[str, str]:
    return dict(gate.execute("select d.name, state from ops.batch inner join ops.delivery as d using (delivery_id)"))


def touched(gate: Gate) -> list[date]:
    """The touched days of what students did, which are then forgotten as dbt does."""
    found = gate.execute("delete from ops.touched_day returning source_id, day")
    return sorted(day for source_id, day in found if source_id != STUDENTS["id"])


def test_a_correction_replaces_exactly_the_days_it_names(gate: Gate) -> None:
    gate.know("1", "2")
    source, other_day = gate.source(ATTENDANCE), DAY + timedelta(days=1)
    gate.deliver(source, register(("1", DAY), ("2", DAY), ("1", other_day)), "both", DAY, at(1), last_day=other_day)
    gate.process(source)
    assert touched(gate) == [DAY, other_day]
    gate.deliver(source, register(("2", DAY), attended="No"), "correction", DAY, at(2))
    (outcome,) = gate.process(source)
    assert attended(gate) == [("s-2", DAY, False), ("s-1", other_day, True)]
    assert (touched(gate), outcome.days_touched) == ([DAY], 1)
    assert states(gate) == {"both": "published", "correction": "published"}
    assert gate.execute("select is_current from ops.batch_day order by batch_id, day") == [(False,), (True,), (True,)]
    gate.deliver(source, register(), "emptied", other_day, at(3))
    gate.process(source)
    assert attended(gate) == [("s-2", DAY, False)]
    assert touched(gate) == [other_day]
    assert states(gate) == {"both": "superseded", "correction": "published", "emptied": "published"}
    assert gate.execute("select day, is_complete from ops.coverage order by 1") == [(DAY, True), (other_day, True)]


def test_a_file_put_back_after_it_was_overwritten_speaks_again(gate: Gate, tmp_path: Path) -> None:
    gate.know("1")
    folder = tmp_path / "drop"
    folder.mkdir()
    transport = {"kind": "file_drop", "folder": str(folder), "pattern": r"register_(?P<day>\d{8})\.csv"}
    source = gate.source(ATTENDANCE | {"transport": transport})
    for hour, said in ((1, "Yes"), (2, "No"), (3, "Yes"), (4, "Yes")):
        path = folder / f"register_{DAY:%Y%m%d}.csv"
        path.write_bytes(register(("1", DAY), attended=said))
        os.utime(path, (at(1, hour).timestamp(),) * 2)
        for seconds in (0, 10):
            land(gate.connection, source, str(gate.store), at(1, hour) + timedelta(seconds=seconds))
        gate.process(source)
        assert attended(gate) == [("s-1", DAY, said == "Yes")]
    assert gate.execute("select state, count(*) from ops.batch group by 1 order by 1") == [
        ("published", 1),
        ("superseded", 1),
    ]


def test_an_older_version_that_arrives_late_changes_nothing(gate: Gate) -> None:
    gate.know("1")
    source = gate.source(ATTENDANCE)
    gate.deliver(source, register(("1", DAY), attended="No"), "newer", DAY, at(2))
    gate.process(source)
    touched(gate)
    gate.deliver(source, register(("1", DAY), ("9", DAY)), "older", DAY, at(1))
    (outcome,) = gate.process(source)
    assert (outcome.state, outcome.days_touched) == ("superseded", 0)
    assert attended(gate) == [("s-1", DAY, False)]
    assert touched(gate) == []
    assert gate.execute("select state from quarantine.row") == [("superseded",)]


def test_a_newer_batch_that_is_held_leaves_what_is_published(gate: Gate) -> None:
    gate.know("1")
    source = gate.source(ATTENDANCE)
    gate.deliver(source, register(("1", DAY)), "good", DAY, at(1))
    gate.deliver(source, register(("8", DAY), ("9", DAY)), "bad", DAY, at(2))
    gate.process(source)
    assert states(gate) == {"good": "published", "bad": "held"}
    assert attended(gate) == [("s-1", DAY, True)]
    assert gate.execute("select is_complete from ops.coverage") == [(True,)]
    ((accepted, quarantined),) = gate.execute(
        "select rows_accepted, rows_quarantined from ops.batch where state = 'held'"
    )
    assert (accepted, quarantined) == (0, 2)


@pytest.mark.parametrize("order", [["bad", "correction"], ["correction", "bad"]])
def test_a_correction_closes_the_matter_of_a_held_batch(gate: Gate, order: list[str]) -> None:
    gate.know("1")
    source = gate.source(ATTENDANCE)
    files = {
        "bad": (register(("8", DAY), ("9", DAY)), "bad", DAY, at(1)),
        "correction": (register(("1", DAY)), "correction", DAY, at(2)),
    }
    for name in order:
        gate.deliver(source, *files[name])
        gate.process(source)
    assert states(gate) == {"bad": "superseded", "correction": "published"}
    assert attended(gate) == [("s-1", DAY, True)]
    assert set(gate.execute("select state from quarantine.row")) == {("superseded",)}


def test_a_file_that_does_not_name_its_days_is_complete_for_those_in_it(gate: Gate) -> None:
    gate.know("1", "2")
    source, other_day = gate.source(ATTENDANCE), DAY + timedelta(days=1)
    gate.deliver(source, register(("1", DAY), ("1", other_day)), "first", None, at(1))
    gate.deliver(source, register(("2", DAY)), "second", None, at(2))
    gate.process(source)
    assert attended(gate) == [("s-2", DAY, True), ("s-1", other_day, True)]


def event(number: int, ref: str, moment: str, component: str = "quiz") -> str:
    return f'{{"id": {number}, "user": {{"username": "{ref}"}}, "time": "{moment}", "component": "{component}"}}\n'


def window(first: int, last: int | None = None) -> dict[str, Any]:
    """Arguments of `deliver` for the local days first..last of October 2026, asked as one window."""
    start, end = datetime(2026, 9, 30, 23, tzinfo=UTC) + timedelta(days=first - 1), last or first
    days = date(2026, 10, first), date(2026, 10, end)
    return {"day": days[0], "last_day": days[1], "window": (start, start + timedelta(days=end - first + 1))}


def test_an_event_read_again_replaces_its_older_version_also_on_another_day(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    items = event(1, "ab1", "2026-10-01T10:00:00Z") + event(2, "ab1", "2026-10-01T11:00:00Z", "old")
    gate.deliver(source, items.encode(), "first", version_at=at(1), **window(1))
    gate.process(source)
    touched(gate)
    moved = event(2, "ab1", "2026-10-02T11:00:00Z", "twice") + event(2, "AB1 ", "2026-10-02T12:00:00Z", "new")
    gate.deliver(source, moved.encode(), "second", version_at=at(2), **window(2))
    gate.process(source)
    assert gate.execute("select event_id, activity_date, resource_type from raw.activity order by 1") == [
        ("1", DAY, "quiz"),
        ("2", date(2026, 10, 2), "new"),
    ]
    assert touched(gate) == [DAY, date(2026, 10, 2)]
    gate.deliver(
        source, event(1, "ab1", "2026-10-01T15:00:00Z", "stale").encode(), "late", version_at=at(1, -0), **window(3)
    )
    gate.execute("update ops.delivery set version_at = %s where name = 'late'", [at(1) - timedelta(days=5)])
    gate.process(source)
    assert gate.execute("select resource_type from raw.activity where event_id = '1'") == [("quiz",)]
    assert touched(gate) == []


def test_a_window_covers_the_days_that_end_in_it_and_touches_others(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    item = event(1, "ab1", "2026-10-02T10:00:00Z").encode()
    half = (datetime(2026, 10, 1, 11, tzinfo=UTC), datetime(2026, 10, 2, 11, tzinfo=UTC))
    gate.deliver(source, item, "half", DAY, at(1), half)
    gate.process(source)
    assert gate.execute("select day, is_covered from ops.batch_day order by 1") == [
        (DAY, True),
        (date(2026, 10, 2), False),
    ]
    assert gate.execute("select day from ops.coverage") == [(DAY,)]


def test_an_event_after_the_end_of_its_window_is_ahead_though_it_was_read_later(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    item = '{{"id": {}, "time": "2026-10-0{}", "user": {{"username": "ab1"}}}}\n'
    times = ["1T10:00:00Z", "1T11:00:00Z", "1T12:00:00Z", "2T00:00:00Z", "5T10:00:00Z"]
    content = "".join(item.format(n, time) for n, time in enumerate(times))
    window = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC))
    gate.deliver(source, content.encode(), name="window", window=window)
    until_the_end = PAST | {"kwargs": {"column": "seconds_ahead", "max_value": 0}}
    (outcome,) = gate.process(source, gate.suite(source, until_the_end))
    assert outcome.state == "published", outcome.problem
    assert gate.execute("select row_number, rule_id from quarantine.row") == [(5, "not_in_the_future")]


def test_a_held_window_leaves_its_days_incomplete_until_it_is_read_again(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    gate.deliver(source, event(1, "zz1", "2026-10-01T10:00:00Z").encode(), "bad", version_at=at(1), **window(1))
    overlapping = (datetime(2026, 9, 30, 11, tzinfo=UTC), datetime(2026, 10, 2, 11, tzinfo=UTC))
    gate.process(source)
    assert states(gate) == {"bad": "held"}
    gate.deliver(source, event(2, "ab1", "2026-10-02T01:00:00Z").encode(), "part", version_at=at(2), **window(2))
    gate.process(source)
    assert states(gate) == {"bad": "held", "part": "published"}
    gate.deliver(source, b"", "again", DAY, at(3), overlapping)
    gate.process(source)
    assert states(gate) == {"bad": "superseded", "part": "published", "again": "published"}
    assert gate.execute("select day, is_complete from ops.coverage order by 1") == [
        (DAY, True),
        (date(2026, 10, 2), True),
    ]


def roster(*students: tuple[str, str, str]) -> bytes:
    rows = "".join(f"{student},Name,{username},{badge}\n" for student, username, badge in students)
    return f"student_id,given_name,username,badge\n{rows}".encode()


GATES = BASE | {
    "id": "gates",
    "record": "activity",
    "relation": "replace_days",
    "category": "library_access",
    "identified_by": "badge",
    "format": {"kind": "csv", "time_zone": "Europe/London"},
    "columns": {
        "student_ref": {"name": "badge"},
        "occurred_at": {"name": "time", "formats": ["%Y-%m-%d %H:%M:%S"]},
    },
    "drop": [{"column": "direction", "equals": ["O"], "reason": "an exit"}],
    "collapse": {"within_s": 60},
}


def swipes(day: date, *badges: str) -> bytes:
    return ("badge,time,direction\n" + "".join(f"{b},{day} 09:00:00,I\n" for b in badges)).encode()


def test_double_swipes_are_one_visit_and_exits_none(gate: Gate) -> None:
    gate.know("007", "008", kind="badge")
    source = gate.source(GATES)
    lines = [
        "007,2026-10-01 09:00:00,I",
        "008,2026-10-01 09:00:10,I",
        "007,2026-10-01 09:00:50,I",
        "007,2026-10-01 09:01:45,I",  # a chain: within a minute of the one before
        "007,2026-10-01 09:02:46,I",
        "007,2026-10-01 09:02:47,O",
        "008,2026-10-01 12:00:00,I",
        "007,not a time,I",
    ]
    gate.deliver(source, ("badge,time,direction\n" + "\n".join(lines)).encode(), "file", DAY)
    (outcome,) = gate.process(source)
    found = gate.execute("select row_number, student_id from raw.activity order by 1")
    assert found == [(2, "s-007"), (3, "s-008"), (6, "s-007"), (8, "s-008")]
    assert (outcome.rows_read, outcome.rows_dropped, outcome.rows_quarantined) == (8, 3, 1)


def test_a_reissued_badge_names_each_student_in_their_time(gate: Gate) -> None:
    students, gates = gate.source(STUDENTS), gate.source(GATES)
    days = [DAY + timedelta(days=n) for n in range(-1, 5)]
    # The badge goes from A to B on the third day of October.
    for day in days[1:]:
        holder = ("A", "a1", "007") if day < date(2026, 10, 3) else ("B", "b1", "007")
        gate.deliver(students, roster(holder), f"students {day}", day, at(1, day.day))
    gate.process(students)
    for day in days:
        gate.deliver(gates, swipes(day, "007"), f"gates {day}", day)
    gate.process(gates)
    found = gate.execute("select activity_date, student_id from raw.activity order by 1")
    assert found == list(zip(days, ["A", "A", "A", "B", "B", "B"], strict=True))


def test_a_held_batch_is_published_when_its_students_become_known(gate: Gate) -> None:
    students, gates = gate.source(STUDENTS), gate.source(GATES)
    gate.deliver(gates, swipes(DAY, "007", "008", "009", "010", "011"), "gates", DAY)
    (held,) = gate.process(gates)
    assert (held.state, gate.process(gates)) == ("held", [])
    known = [("A", "a1", "007"), ("B", "b1", "008"), ("D", "d1", "010"), ("E", "e1", "011")]
    gate.deliver(students, roster(*known), "students", DAY)
    gate.process(students)
    (healed,) = gate.process(gates)
    assert (healed.state, healed.rows_accepted, healed.rows_quarantined) == ("published", 4, 1)
    assert healed.batch_id == held.batch_id
    assert gate.execute("select student_id from raw.activity order by 1") == [("A",), ("B",), ("D",), ("E",)]
    assert gate.execute("select student_ref, state from quarantine.row") == [("009", "quarantined")]
    touched(gate)
    gate.deliver(students, roster(*known, ("C", "c1", "009")), "more", DAY, at(2))
    gate.process(students)
    (healed,) = gate.process(gates)
    assert gate.execute("select count(*) from raw.activity") == [(5,)]
    assert gate.execute("select * from quarantine.row") == []
    assert (touched(gate), gate.process(gates)) == ([DAY], [])


def test_a_snapshot_of_the_same_day_replaces_the_one_before(gate: Gate) -> None:
    source = gate.source(STUDENTS)
    gate.deliver(source, roster(("A", "a1", "007"), ("B", "b1", "008")), "one", DAY, at(1))
    gate.process(source)
    gate.deliver(source, roster(("A", "a2", "007"), ("C", "c1", "008"), ("C", "c2", "008")), "two", DAY, at(2))
    gate.process(source)
    assert gate.execute("select student_id, row_number from raw.students order by 1") == [("A", 2), ("C", 4)]
    found = gate.execute("select ref, student_id from pii.identity where ref_kind <> 'student_id' order by 1")
    assert found == [("007", "A"), ("008", "C"), ("a2", "A"), ("c1", "C"), ("c2", "C")]
    assert states(gate) == {"one": "superseded", "two": "published"}


def test_a_published_batch_that_passes_no_longer_is_held_and_the_one_before_speaks_again(gate: Gate) -> None:
    students, gates = gate.source(STUDENTS), gate.source(GATES)
    gate.deliver(students, roster(("A", "a1", "007"), ("B", "b1", "008")), "students", DAY, at(1))
    gate.process(students)
    gate.deliver(gates, swipes(DAY, "007"), "older", DAY, at(1))
    gate.deliver(gates, swipes(DAY, "007", "008"), "newer", DAY, at(2))
    gate.process(gates)
    assert states(gate) == {"students": "published", "older": "superseded", "newer": "published"}
    touched(gate)
    # What a change of the roster does: the reference names nobody, and batches that rest on it are stale.
    gate.execute("delete from pii.identity where ref = '008'")
    gate.execute("update ops.batch set is_stale = true where batch_id = (select max(batch_id) from ops.batch)")
    held, again = gate.process(gates)
    assert (held.name, held.state, held.rows_accepted) == ("newer", "held", 0)
    assert held.problem is not None and "only 50 % of its rows meet every rule" in held.problem
    assert (again.name, again.state) == ("older", "published")
    assert states(gate) == {"students": "published", "older": "published", "newer": "held"}
    assert gate.execute("select student_id from raw.activity") == [("A",)]
    assert (touched(gate), gate.process(gates)) == ([DAY], [])


def everything(gate: Gate) -> list[tuple[Source, dict[str, Any]]]:
    """Deliveries of four sources over six days with corrections, bad batches, re-read windows and a moving badge."""
    students, gates, attendance, vle = map(gate.source, (STUDENTS, GATES, ATTENDANCE, EVENTS))
    found: list[tuple[Source, dict[str, Any]]] = []

    def add(source: Source, content: bytes | str, name: str, version: datetime, **more: Any) -> None:
        content = content.encode() if isinstance(content, str) else content
        found.append((source, {"content": content, "name": name, "version_at": version} | more))

    for n in range(1, 7):
        day = date(2026, 10, n)
        # 007 moves from A to B on the third and back on the fifth; D appears on the fourth.
        holder = "B" if n in (3, 4) else "A"
        other = "A" if holder == "B" else "B"
        people = [(holder, f"{holder.lower()}1", "007"), (other, f"{other.lower()}1", "008")]
        people += [("D", "d1", "009")] * (n >= 4)
        add(students, roster(*people), f"students{n}", at(n), day=day)
        add(gates, swipes(day, "007", "008", *(["009"] * (n > 2))), f"gates{n}", at(n, 1), day=day)
        add(attendance, register(("A", day), ("B", day), ("D", day)), f"attendance{n}", at(n, 1), day=day)
        refs = ["a1", "b1", "d1"]
        items = "".join(event(10 * n + k, ref, f"{day}T10:00:00Z") for k, ref in enumerate(refs))
        items += event(10 * n - 10, "a1", f"{day}T11:00:00Z", "moved")
        # So that a window passes also while D is not known yet.
        items += event(1000 + n, "a1", f"{day}T12:00:00Z")
        add(vle, items, f"vle{n}", at(n, 2), **window(n))
    add(attendance, register(("A", date(2026, 10, 2)), attended="No"), "correction", at(9), day=date(2026, 10, 2))
    add(attendance, register(("Y", date(2026, 10, 4)), ("Z", date(2026, 10, 4))), "bad", at(9), day=date(2026, 10, 4))
    add(attendance, register(("Z", date(2026, 10, 5))), "bad, then good", at(8), day=date(2026, 10, 5))
    add(students, roster(("A", "a1", "007"), ("B", "b9", "010")), "students1 again", at(8), day=date(2026, 10, 1))
    add(
        vle,
        event(20, "b1", "2026-10-02T12:00:00Z", "again") + event(99, "a1", "2026-10-02T13:00:00Z"),
        "vle2 again",
        at(9),
        **window(2),
    )
    return found


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_ends_in_the_same_tables(gate: Gate, seed: int) -> None:
    deliveries = everything(gate)
    sources = {source.id: source for source, _ in deliveries}
    for source, arguments in deliveries:
        gate.deliver(source, **arguments)
    for name in ("students", "gates", "attendance", "vle"):
        gate.process(sources[name])
    in_order = gate.tables()
    assert len(in_order["attendance"]) > 10 and len(in_order["activity"]) > 20 and len(in_order["identity"]) > 8
    gate.forget()
    rng = random.Random(seed)
    rng.shuffle(deliveries)
    while deliveries:
        for source, arguments in [deliveries.pop() for _ in range(min(len(deliveries), rng.randint(1, 9)))]:
            gate.deliver(source, **arguments)
        for name in rng.sample(list(sources), rng.randint(1, 4)):
            gate.process(sources[name])
    for name in ("students", "gates", "attendance", "vle"):
        gate.process(sources[name])
    shuffled = gate.tables()
    for table, rows in in_order.items():
        assert shuffled[table] == rows, table
    assert [gate.process(source) for source in sources.values()] == [[], [], [], []]
