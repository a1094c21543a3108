"""Killed with -9 in load, audit and publish, then run again: the same tables as if nothing had happened."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from engage.audit import Auditor, Verdict
from engage.sources import Source
from engage.suites import Suite
from tests.integration.gate.kit import EVENTS, STUDENTS, Gate
from tests.integration.gate.test_order import event, roster, window

FORK = multiprocessing.get_context("fork")


def fill(gate: Gate) -> tuple[Source, Suite]:
    """A published window, and one that replaces some of it and has bad rows, waiting."""
    gate.know("ab1", "ab2", kind="username")
    source = gate.source(EVENTS)
    gate.deliver(source, event(1, "ab1", "2026-10-01T10:00:00Z").encode() * 2, "first", **window(1))
    gate.process(source)
    items = [event(n, "ab2", "2026-10-01T10:00:00Z", "new") for n in range(1, 6)] + ["no item\n"]
    gate.deliver(source, "".join(items).encode(), "second", version_at=datetime(2026, 11, 2, tzinfo=UTC), **window(1))
    return source, gate.suite(source)


def killed_while_waiting_for(gate: Gate, table: str, work: Callable[[], Any]) -> None:
    """Run `work` in a process of its own until it waits for a lock on the table, then kill it."""
    with psycopg.connect(gate.url) as blocker:
        blocker.execute(f"lock table {table} in access exclusive mode")
        child = FORK.Process(target=work)
        child.start()
        wait_for(gate, f"locktype = 'relation' and relation = '{table}'::regclass")
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()


def wait_for(gate: Gate, lock: str) -> None:
    """Wait until somebody waits for the lock."""
    for _ in range(600):
        if gate.execute(f"select count(*) from pg_locks where not granted and {lock}") != [(0,)]:
            return
        time.sleep(0.05)
    pytest.fail(f"nobody waited for {lock}")


def killed_after_judging(gate: Gate, work: Callable[[], Any]) -> None:
    judge = Auditor.judge

    def judge_and_die(self: Auditor, facts: dict[str, object], share_good: float = 1.0) -> Verdict:
        judge(self, facts, share_good)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def dying() -> None:
        Auditor.judge = judge_and_die  # type: ignore[method-assign]
        work()

    child = FORK.Process(target=dying)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["pii.identity", "audit", "ops.batch_day", "ops.touched_day", "ops.rule_result"])
def test_killed_and_run_again(gate: Gate, where: str) -> None:
    source, suite = fill(gate)
    gate.process(source)
    expected = gate.tables()
    assert len(expected["activity"]) == 5 and len(expected["quarantine"]) == 1
    gate.forget()
    source, suite = fill(gate)
    work = lambda: gate.process(source, suite)  # noqa: E731
    if where == "audit":
        killed_after_judging(gate, work)
    else:
        killed_while_waiting_for(gate, where, work)
    ((state, attempts),) = gate.execute(
        "select state, attempts from ops.batch inner join ops.delivery as d using (delivery_id) where d.name = 'second'"
    )
    assert (state, attempts) == ("loading", 1)
    assert gate.execute("select event_id, resource_type from raw.activity") == [("1", "quiz")]
    (outcome,) = gate.process(source)
    assert outcome.state == "published"
    assert gate.tables() == expected
    assert gate.execute("select attempts from ops.batch order by batch_id") == [(1,), (2,)]


def test_a_reference_that_becomes_known_while_its_rows_are_published_is_not_missed(gate: Gate) -> None:
    students, source = gate.source(STUDENTS), gate.source(EVENTS)
    roster_suite, suite = gate.suite(students), gate.suite(source)
    gate.deliver(source, event(1, "a1", "2026-10-01T10:00:00Z").encode(), "window", **window(1))
    gate.deliver(students, roster(("A", "a1", "007")), "roster", date(2026, 10, 1))
    with psycopg.connect(gate.url) as blocker:
        blocker.execute("lock table ops.touched_day in access exclusive mode")
        publishing = FORK.Process(target=lambda: gate.process(source, suite))
        publishing.start()
        wait_for(gate, "locktype = 'relation' and relation = 'ops.touched_day'::regclass")
        knowing = FORK.Process(target=lambda: gate.process(students, roster_suite))
        knowing.start()
        wait_for(gate, "locktype = 'advisory'")
    publishing.join()
    knowing.join()
    assert gate.execute("select state, is_stale from ops.batch where source_id = 'vle'") == [("held", True)]
    (healed,) = gate.process(source, suite)
    assert (healed.state, healed.rows_accepted) == ("published", 1)


def test_killed_while_taking_identities(gate: Gate) -> None:
    source = gate.source(STUDENTS)
    suite = gate.suite(source)

    def fill_students() -> None:
        gate.deliver(source, roster(("A", "a1", "007")), "one", date(2026, 10, 1))
        gate.deliver(source, roster(("B", "b1", "007")), "two", date(2026, 10, 2), datetime(2026, 11, 2, tzinfo=UTC))

    fill_students()
    gate.process(source, suite)
    expected = gate.tables()
    gate.forget()
    fill_students()
    killed_while_waiting_for(gate, "pii.identity", lambda: gate.process(source, suite))
    assert gate.execute("select count(*) from pii.student") == [(0,)]
    gate.process(source, suite)
    assert gate.tables() == expected
