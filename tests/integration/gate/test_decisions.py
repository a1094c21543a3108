"""What people decide about held batches and quarantined rows: what follows from it, what is refused, who may look."""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from assets.resources import WarehouseResource
from assets.standing import standing_checks
from engage import standing, weekly
from engage.cli import main
from engage.connectors import windows
from engage.decisions import Action, Choice, DecisionError, decide
from engage.sources import Source
from engage.warehouse import connect
from orchestration.decisions import decision_jobs
from tests.integration.gate.kit import ATTENDANCE, EVENTS, NOW, STUDENTS, Gate
from tests.integration.gate.test_kill import killed_while_waiting_for
from tests.integration.gate.test_order import at, attended, event, register, roster, states, touched, window

DAY = date(2026, 10, 1)
NEXT = DAY + timedelta(days=1)
TYPE = {
    "type": "expect_column_values_to_be_in_set",
    "kwargs": {"column": "session_type", "value_set": ["lecture"]},
    "severity": "critical",
    "meta": {"id": "known_type", "title": "Every session is of a known type"},
}
HOURS = {
    "type": "expect_column_values_to_not_match_regex",
    "kwargs": {"column": "event_id", "regex": "^x"},
    "meta": {"id": "own_id", "title": "No session has a foreign id", "weight": 0.1},
}
USUAL = {
    "type": "expect_row_count_to_be_usual",
    "kwargs": {"min_ratio": 0.9, "max_ratio": 1.25},
    "severity": "critical",
    "meta": {"id": "usual_size", "title": "The list did not shrink or grow sharply"},
}


@pytest.fixture
def source(gate: Gate) -> Source:
    """A register whose batches are held by a single session of an unknown type."""
    gate.know(*(f"{n}" for n in range(10)))
    source = gate.source(ATTENDANCE)
    gate.suite(source, TYPE, HOURS)
    return source


def choose(gate: Gate, action: Action, *rules: str, name: str = "file.csv", rows: tuple[int, ...] = ()) -> str:
    ((batch_id,),) = gate.execute(
        "select batch_id from ops.batch inner join ops.delivery using (delivery_id) where name = %s", [name]
    )
    with connect(gate.url) as connection:
        return decide(connection, Choice(action, batch_id, "as agreed", "Ada", rules, rows), NOW)


def refused(gate: Gate, *arguments: Any, **more: Any) -> str:
    before = gate.execute("select count(*) from ops.decision")
    with pytest.raises(DecisionError) as caught:
        choose(gate, *arguments, **more)
    assert gate.execute("select count(*) from ops.decision") == before
    return str(caught.value)


def run(gate: Gate, source: Source) -> list[tuple[str, str, int]]:
    return [(o.name, o.state, o.days_touched) for o in gate.process(source, gate.suite(source, TYPE, HOURS))]


def complete(gate: Gate) -> list[tuple[date, bool]]:
    return gate.execute("select day, is_complete from ops.coverage order by 1")


def lines(*kinds: str, day: date = DAY) -> bytes:
    """A register of students 0, 1, ... with one session each of the given kinds; `?` cannot be read."""
    rows = [
        f"e{n},{n},{'?' if kind == '?' else f'{day:%d/%m/%Y}'} 10:00,{kind},Yes,Yes" for n, kind in enumerate(kinds)
    ]
    return "\n".join(["Event Id,Student Number,Session Start,Session Type,Mandatory,Attended", *rows, ""]).encode()


def test_a_released_batch_is_visible_and_complete_without_its_bad_rows(gate: Gate, source: Source) -> None:
    gate.deliver(source, lines("lecture", "party", "?", "?"), version_at=at(1))
    assert run(gate, source) == [("file.csv", "held", 0)]
    assert gate.execute("select quality_score < 80 from ops.batch") == [(True,)]
    assert "the batch released; the next run of attendance does it" in choose(gate, "release")
    assert (states(gate), complete(gate)) == ({"file.csv": "held"}, [])
    assert weekly.on_its_way(gate.connection, NOW) == 0, "no such source is configured"
    gate.execute("insert into ops.source values ('attendance', 'T', 'attendance', 'replace_days', null, 1, true)")
    assert weekly.on_its_way(gate.connection, NOW) == 1, "the weekly score waits for what was released"
    assert run(gate, source) == [("file.csv", "published", 1)]
    assert (len(attended(gate)), complete(gate), touched(gate)) == (1, [(DAY, True)], [DAY])
    assert weekly.on_its_way(gate.connection, NOW) == 0
    assert gate.execute("select distinct row_number, state from quarantine.row order by 1") == [
        *((n, "quarantined") for n in (3, 4, 5))
    ]
    assert choose(gate, "release").endswith("released already")
    assert run(gate, source) == []
    who = gate.execute("select decided_by, database_role, reason, decided_at from ops.decision")
    assert who == [("Ada", gate.connection.info.user, "as agreed", NOW)]
    # It stays released whatever has it processed again, and then changes nothing.
    gate.execute("update ops.batch set is_stale = true")
    assert run(gate, source) == [("file.csv", "published", 0)]


def test_an_empty_file_that_is_released_covers_its_day_with_nothing(gate: Gate) -> None:
    source = gate.source(ATTENDANCE)
    never = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 1},
        "severity": "critical",
        "meta": {"id": "not_empty", "title": "Not empty"},
    }
    suite = gate.suite(source, never)
    gate.deliver(source, lines())
    assert [o.state for o in gate.process(source, suite)] == ["held"]
    choose(gate, "release")
    assert [o.state for o in gate.process(source, suite)] == ["published"]
    assert (complete(gate), touched(gate)) == ([(DAY, True)], [])


def test_a_list_that_has_grown_is_released_once(gate: Gate) -> None:
    source = gate.source(STUDENTS)
    suite = gate.suite(source, USUAL)
    sizes = {DAY: 4, DAY + timedelta(7): 4, DAY + timedelta(14): 4, DAY + timedelta(21): 9}

    def deliver(size: int, day: date) -> str:
        people = [(f"S{n}", f"u{n}", f"{n:03}") for n in range(size)]
        gate.deliver(source, roster(*people), f"{day}", day, datetime(day.year, day.month, day.day, 6, tzinfo=UTC))
        return gate.process(source, suite)[0].state

    assert [deliver(size, day) for day, size in sizes.items()] == ["published"] * 3 + ["held"]
    choose(gate, "release", name=f"{DAY + timedelta(21)}")
    assert [o.state for o in gate.process(source, suite)] == ["published"]
    assert deliver(9, DAY + timedelta(22)) == "published", "another weekday"
    assert deliver(9, DAY + timedelta(28)) == "published"
    assert deliver(4, DAY + timedelta(29)) == "held"


def test_rows_are_released_by_the_rules_that_they_break(gate: Gate, source: Source) -> None:
    content = lines(*["lecture"] * 6, "party", "walk", "?", "walk").replace(b"e9,", b"x9,")
    gate.deliver(source, content + lines("walk", day=NEXT).split(b"\n")[1] + b"\n", version_at=at(1))
    assert run(gate, source) == [("file.csv", "held", 0)]
    choose(gate, "release")
    run(gate, source)
    touched(gate)
    assert "cannot be released" in refused(gate, "release", "readable")
    assert "these rows also break own_id: 11" in refused(gate, "release", "known_type", rows=(8, 11))
    assert "no such row in quarantine for known_type: 2, 99" in refused(gate, "release", "known_type", rows=(2, 99))
    assert "name the rule, too" in refused(gate, "release", rows=(8,))
    choose(gate, "release", "known_type", rows=(8,))
    assert run(gate, source) == [("file.csv", "published", 1)]
    choose(gate, "release", "known_type", "own_id", rows=(9, 11))
    assert run(gate, source) == [("file.csv", "published", 1)]
    assert choose(gate, "release", "known_type", rows=(8, 9)).endswith("released already")
    assert len(attended(gate)) == 9
    assert gate.execute("select row_number, rule_id from quarantine.row order by 1, 2") == [
        *((10, "known_type"), (10, "readable"), (12, "known_type"), (12, "named_day"))
    ]
    assert "these rows also break named_day, readable: 10, 12" in refused(gate, "release", "known_type")


def test_a_rejected_row_waits_for_nobody_and_stays_out(gate: Gate, source: Source) -> None:
    gate.deliver(source, lines(*["lecture"] * 6).replace(b"e3,3", b"e3,77"), version_at=at(1))
    assert run(gate, source) == [("file.csv", "published", 1)]
    choose(gate, "reject", "known_student")
    assert run(gate, source) == [("file.csv", "published", 0)]
    assert gate.execute("select state from quarantine.row") == [("rejected",)]
    gate.know("77")
    gate.execute("update ops.batch set is_stale = true")
    assert run(gate, source) == [("file.csv", "published", 0)]
    assert len(attended(gate)) == 5
    assert choose(gate, "reject", "known_student").endswith("rejected already")


def test_a_rejected_batch_is_closed_until_a_correction_replaces_it(gate: Gate, source: Source) -> None:
    gate.deliver(source, lines("party"), "held", version_at=at(1))
    run(gate, source)
    choose(gate, "reject", name="held")
    assert run(gate, source) == [("held", "rejected", 0)]
    assert gate.execute("select state from quarantine.row") == [("rejected",)]
    assert (complete(gate), touched(gate), run(gate, source)) == ([], [], [])
    assert choose(gate, "reject", name="held").endswith("rejected already")
    assert "rejected as a whole" in refused(gate, "reject", "known_type", name="held")
    # A mind may be changed.
    choose(gate, "release", name="held")
    choose(gate, "reject", name="held")
    choose(gate, "release", "known_type", name="held")
    assert run(gate, source) == [("held", "published", 1)]
    assert len(attended(gate)) == 1
    gate.deliver(source, lines("lecture", "lecture"), "good", version_at=at(2))
    run(gate, source)
    assert (states(gate), len(attended(gate))) == ({"held": "superseded", "good": "published"}, 2)
    assert "a corrected delivery has closed the matter" in refused(gate, "reject", name="held")


def test_what_is_released_and_then_rejected_gives_its_days_back(gate: Gate, source: Source) -> None:
    gate.deliver(source, register(("1", DAY), ("2", NEXT)), "before", DAY, at(1), last_day=NEXT)
    gate.deliver(source, lines("lecture", "party", day=NEXT), "bad", NEXT, at(2))
    run(gate, source)
    choose(gate, "release", name="bad")
    touched(gate)
    assert run(gate, source) == [("bad", "published", 1)]
    assert attended(gate) == [("s-1", DAY, True), ("s-0", NEXT, True)]
    assert touched(gate) == [NEXT]
    choose(gate, "reject", name="bad")
    # The older one speaks again for the day; the other day it spoke for all the time is left alone.
    assert run(gate, source) == [("bad", "rejected", 1), ("before", "published", 1)]
    assert attended(gate) == [("s-1", DAY, True), ("s-2", NEXT, True)]
    assert (touched(gate), complete(gate)) == ([NEXT], [(DAY, True), (NEXT, True)])


def test_events_that_a_withdrawn_window_had_replaced_come_back(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    first = event(1, "ab1", "2026-10-01T10:00:00Z") + event(2, "ab1", "2026-10-01T11:00:00Z", "old")
    gate.deliver(source, first.encode(), "first", version_at=at(1), **window(1))
    bad = event(2, "ab1", "2026-10-02T11:00:00Z", "new") + event(3, "zz", "2026-10-02T11:00:00Z") * 3
    gate.deliver(source, bad.encode(), "bad", version_at=at(2), **window(2))
    gate.process(source)
    choose(gate, "release", name="bad")
    gate.process(source)
    kinds = "select event_id, resource_type from raw.activity order by 1"
    assert gate.execute(kinds) == [("1", "quiz"), ("2", "new")]
    touched(gate)
    choose(gate, "reject", name="bad")
    gate.process(source)
    assert gate.execute(kinds) == [("1", "quiz"), ("2", "old")]
    assert (touched(gate), gate.process(source)) == ([DAY, NEXT], [])
    choose(gate, "release", name="bad")
    gate.process(source)
    # Read again, and well: what the released reading brought goes, and what it had replaced comes back.
    gate.deliver(source, event(4, "ab1", "2026-10-02T12:00:00Z").encode(), "good", version_at=at(3), **window(2))
    gate.process(source)
    assert gate.execute(kinds) == [("1", "quiz"), ("2", "old"), ("4", "quiz")]
    assert states(gate) == {"first": "published", "bad": "superseded", "good": "published"}


def test_a_window_released_when_its_correction_had_come_already_stays_closed(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    bad = event(1, "ab1", "2026-10-01T11:00:00Z") + event(2, "zz", "2026-10-01T11:00:00Z") * 3
    gate.deliver(source, bad.encode(), "bad", version_at=at(1), **window(1))
    gate.process(source)
    choose(gate, "release", name="bad")
    good = event(3, "ab1", "2026-10-01T12:00:00Z").encode()
    gate.deliver(source, good, "good", version_at=at(2), **window(1))
    gate.process(source)
    assert states(gate) == {"bad": "superseded", "good": "published"}
    assert gate.execute("select event_id from raw.activity") == [("3",)]
    # A good reading of an older window, rejected and released again, gives way likewise.
    choose(gate, "reject", name="good")
    choose(gate, "release", name="good")
    # What it had replaced of an older window comes back.
    older = event(3, "ab1", "2026-10-02T12:00:00Z", "old").encode()
    gate.deliver(source, older, "older", version_at=at(1, 1), **window(2))
    gate.deliver(source, event(4, "ab1", "2026-10-01T13:00:00Z").encode(), "best", version_at=at(3), **window(1))
    gate.process(source)
    assert gate.execute("select event_id, resource_type from raw.activity order by 1") == [("3", "old"), ("4", "quiz")]
    assert gate.execute("select rows_accepted from ops.batch where state = 'superseded'") == [(0,), (0,)]


def test_a_rejected_window_is_not_asked_for_again_and_its_day_is_not_whole(gate: Gate) -> None:
    gate.know("ab1", kind="username")
    source = gate.source(EVENTS)
    gate.execute("insert into ops.source values ('vle', 'Test', 'activity', 'append', 'vle', 1, true)")
    start = datetime(2026, 10, 1, 9, tzinfo=UTC)
    for reading in (1, 2):
        gate.deliver(source, b"no item\n" * reading, "part", None, at(reading), (start, start + timedelta(hours=1)))
    gate.deliver(source, event(1, "ab1", "2026-10-01T15:00:00Z").encode(), "rest", version_at=at(1), **window(1))
    gate.execute("update ops.delivery set window_start = window_start + interval '12 hours' where name = 'rest'")
    gate.process(source)
    assert [w.name for w in windows.held(gate.connection, "vle", NOW + timedelta(days=2))] == ["part"]
    gate.execute("update ops.delivery set name = 'older' where name = 'part' and version_at = %s", [at(1)])
    choose(gate, "reject", name="part")
    gate.process(source)
    gate.execute("update ops.delivery set name = 'part' where name = 'older'")
    assert list(windows.held(gate.connection, "vle", NOW + timedelta(days=2))) == []
    assert gate.execute("select state from ops.batch order by 1") == [("held",), ("published",), ("rejected",)]
    assert complete(gate) == [(DAY, False)]


def test_a_rejected_roster_takes_back_whom_it_named(gate: Gate) -> None:
    source = gate.source(STUDENTS)
    gate.deliver(source, roster(("A", "a1", "007")), "one", DAY, at(1))
    gate.process(source)
    expected = gate.tables()
    gate.deliver(source, roster(("Z", "z1", "007")), "wrong", NEXT, at(2))
    gate.deliver(source, roster(("Z", "z1", "007"), ("A", "a1", "008")), "after", NEXT + timedelta(1), at(3))
    gate.process(source)
    choose(gate, "reject", name="wrong")
    gate.process(source)
    ((valid_from,),) = gate.execute("select valid_from from pii.identity where ref = '007' and student_id = 'Z'")
    assert valid_from == NEXT + timedelta(1), "what the wrong one said first, the next one says for itself"
    choose(gate, "reject", name="after")
    gate.process(source)
    after = gate.tables()
    assert (after["identity"], after["students"]) == (expected["identity"], expected["students"])
    assert gate.execute("select student_id from pii.student") == [("A",)]


def test_what_cannot_be_loaded_can_only_be_rejected(gate: Gate, source: Source) -> None:
    gate.deliver(source, b"\x00\x01 nothing readable", "noise")
    gate.deliver(source, lines("lecture"), "gone", NEXT)
    (gate.store / gate.execute("select landed_path from ops.delivery where name = 'gone'")[0][0]).unlink()
    with pytest.raises(Exception, match="not in the landing store"):
        run(gate, source)
    assert "nothing of it could be loaded" in refused(gate, "release", name="noise")
    assert "has not been through the gate yet; it can be rejected" in refused(gate, "release", name="gone")
    for name in ("noise", "gone"):
        choose(gate, "reject", name=name)
    run(gate, source)
    assert states(gate) == {"noise": "rejected", "gone": "rejected"}
    assert run(gate, source) == []


def test_a_correction_of_one_row_rebuilds_one_day_of_one_source(gate: Gate, source: Source) -> None:
    days = [DAY + timedelta(n) for n in range(5)]
    rows = [(f"{n}", day) for n in range(4) for day in days]
    gate.deliver(source, register(*rows), "term", DAY, at(1), last_day=days[-1])
    run(gate, source)
    touched(gate)
    one = f"2{days[3]},2,{days[3]:%d/%m/%Y} 10:00,lecture,Yes,".encode()
    gate.deliver(source, register(*rows).replace(one + b"Yes", one + b"No"), "again", DAY, at(2), last_day=days[-1])
    assert run(gate, source) == [("again", "published", 1)]
    assert gate.execute("select source_id, day from ops.touched_day") == [("attendance", days[3])]
    assert [row for row in attended(gate) if not row[2]] == [("s-2", days[3], False)]


@pytest.mark.parametrize("action", ["release", "reject"])
@pytest.mark.parametrize("where", ["ops.batch_day", "ops.touched_day"])
def test_killed_while_a_decision_is_done(gate: Gate, source: Source, action: Action, where: str) -> None:
    gate.deliver(source, lines("lecture", "party"), version_at=at(1))
    run(gate, source)
    choose(gate, "release")
    if action == "reject":
        run(gate, source)
        choose(gate, "reject")
    before = gate.tables()
    suite = gate.suite(source, TYPE, HOURS)
    killed_while_waiting_for(gate, where, lambda: gate.process(source, suite))
    assert gate.tables() == before
    assert [name for name, *_ in run(gate, source)] == ["file.csv"]
    assert states(gate) == {"file.csv": "published" if action == "release" else "rejected"}
    assert len(attended(gate)) == (action == "release")


def test_a_decision_taken_while_the_gate_works_is_done_afterwards(gate: Gate, source: Source) -> None:
    gate.deliver(source, lines("lecture", "party"), version_at=at(1))
    run(gate, source)
    choose(gate, "release")
    gate.execute(
        "create function ops.meanwhile() returns trigger language plpgsql as 'begin"
        " insert into ops.decision (batch_id, action, is_whole, reason, decided_by, decided_at)"
        " select new.batch_id, ''reject'', true, ''r'', ''b'', now() where (select count(*) from ops.decision) = 1;"
        " return new; end'"
    )
    gate.execute(
        "create trigger meanwhile before insert on ops.batch_day for each row execute function ops.meanwhile()"
    )
    suite = gate.suite(source, TYPE, HOURS)
    outcomes = gate.process(source, suite)
    assert [o.state for o in outcomes] == ["published", "rejected"]


@pytest.fixture
def engage(gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Return a function that runs `engage WORDS` over the warehouse and returns exit code, output and errors."""

    def run(*words: str, user: str | None = None) -> tuple[object, str, str]:
        url = f"postgresql://{user}:looks@{gate.url.partition('@')[2]}" if user else gate.url
        for name in [n for n in os.environ if n.startswith("ENGAGE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("ENGAGE_DATABASE_URL", url)
        monkeypatch.setenv("ENGAGE_HOME", str(gate.store.parent / "home"))
        monkeypatch.setenv("ENGAGE_USER", "Grace")
        monkeypatch.setattr(sys, "argv", ["engage", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return run


def test_rows_are_shown_to_who_may_read_them_and_that_is_recorded(
    gate: Gate, source: Source, engage: Callable[..., Any]
) -> None:
    gate.deliver(source, lines(*["lecture"] * 6, "party"), version_at=at(1))
    run(gate, source)
    ((batch_id,),) = gate.execute("select batch_id from ops.batch")
    code, out, _ = engage("batch", "rows", f"{batch_id}", "--json")
    assert code == 0
    (shown,) = json.loads(out)
    assert (shown["row"], shown["rule"], shown["record"]["Session Type"]) == (8, "known_type", "party")
    looks = "select database_role, person, batch_id, rows from ops.audit order by audit_id"
    assert gate.execute(looks) == [(gate.connection.info.user, "Grace", batch_id, 1)]
    gate.execute("create role looker login password 'looks'")
    try:
        gate.execute("grant usage on schema ops to looker; grant select on ops.batch to looker")
        code, out, err = engage("batch", "rows", f"{batch_id}", user="looker")
        assert (code, out, err.count("\n")) == (1, "", 1) and "looker may not look at rows" in err
        gate.execute("grant usage on schema quarantine to looker; grant select on quarantine.row to looker")
        code, out, err = engage("batch", "rows", f"{batch_id}", user="looker")
        assert (code, out) == (1, ""), "what cannot be recorded is not shown"
        gate.execute("grant insert on ops.audit to looker")
        code, out, _ = engage("batch", "rows", f"{batch_id}", "--rule", "known_type", user="looker")
        assert code == 0 and "party" in out
        assert gate.execute(looks)[1:] == [("looker", "Grace", batch_id, 1)]
    finally:
        gate.execute("drop owned by looker; drop role looker")


def test_the_command_line_decides_and_shows_what_was_decided(
    gate: Gate, source: Source, engage: Callable[..., Any]
) -> None:
    gate.deliver(source, lines("lecture", "party"), version_at=at(1))
    run(gate, source)
    gate.execute("update ops.batch set held_since = now() - interval '60 hours'")
    ((batch_id,),) = gate.execute("select batch_id from ops.batch")
    ((held,),) = [json.loads(engage("batch", "list", "--held", "--json")[1])]
    assert (held["batch_id"], held["days_held"]) == (batch_id, "2.5")
    assert engage("batch", "release", "999", "--reason", "why")[0] == 1
    assert engage("batch", "release", f"{batch_id}", "--reason", " ")[0] == 1
    assert engage("batch", "release", f"{batch_id}", "--reason", "why", "--rows", "3")[0] == 2
    words = ("batch", "release", f"{batch_id}", "--reason", "a party counts", "--rule", "known_type", "--rows", "3")
    assert engage(*words)[:2] == (
        0,
        f"batch {batch_id} (file.csv): the batch and 1 rows released; the next run of attendance does it\n",
    )
    assert run(gate, source) == [("file.csv", "published", 1)]
    assert len(attended(gate)) == 2
    (shown,) = json.loads(engage("batch", "show", f"{batch_id}", "--json")[1])
    assert shown["is_released"] and not shown["waits_for_the_gate"]
    assert [(d["reason"], d["decided_by"], d["rows"]) for d in shown["decisions"]] == [("a party counts", "Grace", 1)]
    assert "a party counts" in engage("batch", "show", f"{batch_id}")[1]
    assert engage("batch", "list", "--held")[1] == "nothing is held\n"


def test_the_jobs_decide_as_the_commands_do(gate: Gate, source: Source) -> None:
    gate.deliver(source, lines("lecture", "party"), version_at=at(1))
    run(gate, source)
    ((batch_id,),) = gate.execute("select batch_id from ops.batch")
    jobs = {job.name: job for job in decision_jobs()}

    def job(action: str, **config: Any) -> bool:
        run_config = {"ops": {action: {"config": {"reason": "why", "by": "Lin", **config}}}}
        resources = {"warehouse": WarehouseResource(url=gate.url)}
        return jobs[f"{action}_batch"].execute_in_process(run_config, resources=resources, raise_on_error=False).success

    assert not job("release", batch_id=batch_id, rule=["readable"], rows=[3])
    assert job("release", batch_id=batch_id, rule=["known_type"], rows=[3])
    assert run(gate, source) == [("file.csv", "published", 1)]
    assert job("reject", batch_id=batch_id)
    assert run(gate, source) == [("file.csv", "rejected", 1)]
    assert gate.execute("select distinct decided_by from ops.decision") == [("Lin",)]


def test_what_lies_about_is_named_with_what_to_do(gate: Gate, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_NOW", NOW.isoformat())
    checks = standing_checks({source.id: source})

    def look() -> dict[str, str]:
        resources = {"warehouse": WarehouseResource(url=gate.url)}
        found = dg.materialize([checks], resources=resources, selection=dg.AssetSelection.checks(checks))
        results = found.get_asset_check_evaluations()
        assert {r.check_name for r in results} == {"held_too_long", "left_failed", "never_loaded"}
        return {r.check_name: r.description or "" for r in results if not r.passed}

    gate.deliver(source, lines("party"), "held.csv", version_at=at(1))
    run(gate, source)
    gate.deliver(source, lines("lecture", day=NEXT), "waits.csv", NEXT, at(1))
    gate.execute(
        "insert into ops.sighting (source_id, name, size_bytes, modified_at, problem, seen_at)"
        " values ('attendance', 'huge.csv', 1, now(), 'too large', %(now)s), ('vle', 'other', 1, now(), null, %(now)s)",
        {"now": NOW},
    )
    assert look() == {}
    for hours, expected in [(2, {"left_failed"}), (25, {"left_failed", "never_loaded"}), (73, set(standing_kinds()))]:
        monkeypatch.setenv("ENGAGE_NOW", (NOW + timedelta(hours=hours)).isoformat())
        assert set(look()) == expected
    said = look()
    assert "held.csv" in said["held_too_long"] and "engage batch show" in said["held_too_long"]
    assert "waits.csv" in said["left_failed"] and "2026-10-02" in said["left_failed"]
    # What the source's pattern does not spell out of a name may be a student's number.
    assert "huge" not in said["never_loaded"] and "too large" in said["never_loaded"]
    choose(gate, "reject", name="held.csv")
    run(gate, source)
    assert set(look()) == {"never_loaded"}


def standing_kinds() -> tuple[str, ...]:
    return standing.Kind.__args__  # type: ignore[attr-defined,no-any-return]
