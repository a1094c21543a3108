"""The world is a pure function of its fields, and its people behave as their truth says."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from campus import plan
from campus.systems import Delivery, attendance, library, rosters, student_records, vle
from campus.world import AWAY, ZONE, World, last_weeks

MONDAY = date(2026, 8, 24)


@pytest.fixture(scope="module")
def world() -> World:
    return World(MONDAY, students=400)


def term(world: World) -> Iterator[Delivery]:
    """Every file of the first term."""
    return plan.deliveries(world, world.due(world.days - 1))


def table(content: bytes, encoding: str = "utf-8-sig", delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(encoding)), delimiter=delimiter))


def test_equal_worlds_deliver_equal_bytes_and_another_seed_other_ones() -> None:
    def everything(world: World) -> dict[str, bytes]:
        files = {d.path: d.content() for d in term(world)}
        events = [vle.items_of(world, day, vle.events(world, day)) for day in range(world.days)]
        return files | {"vle": repr(events).encode()}

    world = World(MONDAY, students=50, weeks=3)
    first = everything(world)
    assert first == everything(World(MONDAY, students=50, weeks=3))
    other = everything(World(MONDAY, students=50, weeks=3, seed=8))
    same = {d.path for d in term(world) if first[d.path] == other[d.path]}
    # Only calendar and modules, lists without an entry yet and days without a session have nothing to change.
    weekends = {d.path for d in term(world) if d.source_id == "attendance" and d.day % 7 > 4}
    fixed = {d.path for d in term(world) if d.source_id in ("term_calendar", "modules")}
    empty = {path for path in same if path.startswith("rosters/") and len(first[path].splitlines()) < 2}
    assert same == fixed | weekends | empty


def test_the_campus_goes_on_term_after_term_and_changes_nothing_it_delivered() -> None:
    world = World(MONDAY, students=30, weeks=3)
    first = {d.path: d.content() for d in term(world)}
    later = {d.path: d.content() for d in plan.deliveries(world, world.due(99))}
    assert later.items() >= first.items()
    for source in ("students", "enrolments", "attendance", "library_gates"):
        days = {d.day for d in plan.deliveries(world, world.due(99)) if d.source_id == source}
        assert days == set(range(-2 if source in ("students", "enrolments") else 0, 100))
    assert len(later["attendance/attendance_20261201.csv"].splitlines()) > 10
    calendars = [path for path in later if "calendar" in path]
    assert len(calendars) == 5
    for path in calendars:
        terms = table(later[path])
        # Known two days before it begins, each term follows on the one before.
        known = (date.fromisoformat(terms[-1]["starts_on"]) - timedelta(days=2)).strftime("%Y%m%d")
        assert path == f"student_records/term_calendar_{known}.csv"
        ends = [date.fromisoformat(t["ends_on"]) + timedelta(days=1) for t in terms]
        assert [t["starts_on"] for t in terms] == [MONDAY.isoformat(), *(day.isoformat() for day in ends[:-1])]


@pytest.mark.parametrize("today", [date(2026, 11, 16), date(2026, 11, 21), date(2026, 11, 22)])
def test_the_demo_ends_on_the_last_sunday_before_today(today: date) -> None:
    world = World(last_weeks(today))
    assert (world.first_monday, world.date(world.days - 1)) == (MONDAY, date(2026, 11, 15))


def test_a_first_day_that_is_no_monday_is_refused() -> None:
    with pytest.raises(ValueError, match="not a Monday"):
        World(date(2026, 8, 25))


def test_identifiers_are_distinct_and_keep_their_leading_zeros(world: World) -> None:
    p = world.population
    for values, length in ((p.student_id, 7), (p.username, 6), (p.badge + p.new_badge, 8)):
        assert len(set(values)) == len(values)
        assert {len(v) for v in values} == {length}
    assert any(v.startswith("0") for v in p.student_id)
    assert any(v.startswith("0") for v in p.badge)


def test_the_feeds_have_the_volume_of_a_university() -> None:
    world = World(MONDAY, students=1000)
    events = sum(len(vle.events(world, day)) for day in range(world.days)) / world.days / world.students
    sessions = sum(len(attendance.register(world, day)) for day in range(7)) / world.students
    swipes = [library.swipes(world, day) for day in range(world.days)]
    entries = sum(int((s.entry & ~s.repeated).sum()) for s in swipes) / world.weeks / world.students
    assert 5 <= events <= 8
    assert 3 <= sessions <= 5
    assert 1 <= entries <= 2


def test_silent_students_do_nothing_from_their_day_and_something_before(world: World) -> None:
    silent_from = world.population.silent_from
    before = np.zeros(world.students, bool)
    for day in range(world.days):
        sessions = attendance.register(world, day)
        for who in (vle.events(world, day).student, library.swipes(world, day).student,
                    sessions.student[sessions.attended]):  # fmt: skip
            assert (silent_from[who] > day).all()
            before[who] = True
    assert before[silent_from < world.days].all()
    assert (silent_from < world.days).sum() >= 10


def test_those_who_are_away_do_nothing_and_are_expected_nowhere(world: World) -> None:
    for day in range(world.days):
        here = world.present(day)
        for what in (vle.events(world, day), library.swipes(world, day), attendance.register(world, day)):
            assert here[what.student].all()


def test_a_withdrawal_is_unknown_until_it_happens_and_a_placement_is_not(world: World) -> None:
    p = world.population
    for kind, (status, _, foreseen) in enumerate(AWAY):
        student = int(np.flatnonzero((p.away == kind) & (p.away_from >= 0))[0])
        day = int(p.away_from[student])

        def periods(as_of: int, student: int = student) -> list[tuple[str, str, str]]:
            rows = table(student_records.enrolments(world, as_of))
            mine = [r for r in rows if r["student_id"] == p.student_id[student]]
            return [(r["status"], r["status_from"], r["status_to"]) for r in mine]

        assert [s for s, _, _ in periods(day - 1)] == (["active", status, "active"] if foreseen else ["active"])
        known = periods(day)
        assert [s for s, _, _ in known] == ["active", status] + ["active"] * (status != "withdrawn")
        assert known[1][1] == world.date(day).isoformat()
        # Half open: each period begins on the day on which the one before is over, and the last is open.
        assert [to for _, _, to in known[:-1]] == [begins for _, begins, _ in known[1:]]
        assert known[-1][2] == ""


def test_a_new_badge_is_in_the_snapshot_from_its_day_and_used_from_then_on(world: World) -> None:
    p = world.population
    reissued = np.flatnonzero(p.reissued_from < world.days)
    assert len(reissued) >= 2
    for student in reissued.tolist():
        day = int(p.reissued_from[student])
        before, after = (table(student_records.students(world, d))[student]["badge_number"] for d in (day - 1, day))
        assert (before, after) == (p.badge[student], p.new_badge[student])
        used: dict[str, list[int]] = defaultdict(list)
        for d in range(world.days):
            for row in table(library.gates(world, d), "latin-1", ";"):
                used[row["ACCESS_ID"]].append(d)
        assert max(used.get(before, [-1])) < day <= min(used.get(after, [day]))


def test_genuine_entries_are_minutes_apart_and_double_swipes_seconds(world: World) -> None:
    repeats = 0
    for day in range(world.days):
        swipes = library.swipes(world, day)
        last: dict[tuple[int, bool], int] = {}
        for student, second, entry, repeated in zip(
            *(c.tolist() for c in (swipes.student, swipes.second, swipes.entry, swipes.repeated)), strict=True
        ):
            gap = second - last.get((student, entry), -10_000)
            assert 1 <= gap <= 20 if repeated else gap > 60
            last[student, entry] = second
            repeats += repeated
    assert repeats > 100


@pytest.mark.parametrize(("monday", "change"), [(MONDAY, date(2026, 10, 25)), (date(2027, 3, 1), date(2027, 3, 28))])
def test_events_stay_in_their_local_day_when_the_clocks_change(monday: date, change: date) -> None:
    world = World(monday, students=400)
    for day in range((change - monday).days - 1, (change - monday).days + 2):
        seconds = vle.events(world, day).second
        times = [world.start(day).timestamp() + int(s) for s in (seconds.min(), seconds.max())]
        assert {datetime.fromtimestamp(t, ZONE).date() for t in times} == {world.date(day)}


def test_without_faults_every_file_is_on_time_and_every_row_is_good() -> None:
    world = World(MONDAY, students=60, faulty=False)
    files = list(term(world))
    assert [d for d in files if d.fault] == []
    assert all(d.due == world.due(d.day) for d in files)
    for day in range(world.days):
        assert not attendance.register(world, day).fault.any()


def test_every_feed_has_its_planned_faults(world: World) -> None:
    planned = {
        (d.source_id, d.fault): (d.day // 7 + 1, (d.due - world.due(d.day)).days) for d in term(world) if d.fault
    }
    assert planned == {
        ("attendance", "late"): (10, 4), ("attendance", "corrected"): (10, 3), ("library_gates", "bad_batch"): (11, 0),
        ("library_loans", "late"): (10, 2), ("library_loans", "bad_batch"): (11, 0),
        ("library_loans", "corrected"): (11, 1), ("library_eresources", "late"): (10, 2),
        ("library_eresources", "repeated"): (11, 0), ("blackboard", "bad_batch"): (10, 0),
        ("blackboard", "corrected"): (10, 1), ("blackboard", "new_column"): (11, 0), ("doors_north", "late"): (10, 2),
        ("doors_south", "bad_batch"): (10, 0), ("doors_south", "corrected"): (10, 1), ("wifi", "bad_batch"): (11, 0),
        ("wifi", "corrected"): (11, 1), ("portal_logins", "late"): (10, 2), ("portal_logins", "repeated"): (10, 0),
        ("portal_logins", "bad_batch"): (10, 0), ("portal_logins", "corrected"): (10, 1),
        ("staff_links", "bad_batch"): (10, 0), ("staff_links", "corrected"): (10, 1), ("exemptions", "late"): (10, 2),
        ("exemptions", "bad_batch"): (11, 0), ("exemptions", "corrected"): (11, 1),
        ("student_notes", "repeated"): (10, 0),
    }  # fmt: skip


def test_who_is_exempt_is_entered_before_the_first_day_and_half_of_them_are_silent(world: World) -> None:
    silent = [world.population.silent_from[e.student] == e.begins - 1 for e in world.exemptions]
    assert len(silent) == 6
    assert sum(silent) == 3
    for exemption in world.exemptions:
        assert exemption.created < exemption.begins < exemption.ends
    listed = {d: table(rosters.exemptions(world, d), delimiter=";") for d in (-30, world.days)}
    assert [len(rows) for rows in listed.values()] == [0, 6]


def test_a_correction_flips_marks_takes_one_row_out_and_puts_one_in(world: World) -> None:
    day = world.faults.corrected_day
    assert day is not None
    first, second = ({r["Event Id"]: r for r in table(attendance.content(world, day, v))} for v in (1, 2))
    assert len(first.keys() - second.keys()) == len(second.keys() - first.keys()) == 1
    kept = first.keys() & second.keys()
    flips = Counter((first[e]["Attended"], second[e]["Attended"]) for e in kept)
    assert flips["Yes", "No"] > 0
    assert flips["No", "Yes"] > 0


def test_most_rows_of_the_bad_batch_are_unreadable(world: World) -> None:
    day = world.faults.bad_gate_day
    assert day is not None
    badges = set(student_records.badges_on(world, day))
    rows = table(library.gates(world, day), "latin-1", ";")[:-1]
    good = [r for r in rows if r["ACCESS_ID"] in badges and r["TIMESTAMP"].startswith("2026")]
    assert 0 < len(good) < 0.2 * len(rows)
