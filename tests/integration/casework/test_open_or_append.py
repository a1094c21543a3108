"""A student has one open case at a time, whatever fails, whoever opens or closes cases, and however late lists are."""

from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.contact import casework
from engage.warehouse import Connection, connect
from tests.integration.casework.kit import Case, Crm, Office

EVENTS = st.one_of(
    # Evaluated at once, on the newest list or on the one before, or later on.
    st.tuples(st.just("ask"), st.sampled_from(["newest list", "old list", "not yet"])),
    st.tuples(st.just("send"), st.sampled_from(["taken", "taken", "lost", "away", "refused", "broken"])),
    st.sampled_from([("evaluate", "newest list"), ("evaluate", "old list"), ("retry",)]),
    st.sampled_from([("close",), ("close",), ("person opens",)]),
    st.tuples(st.sampled_from(["withdraw", "withdraw", "raise again"]), st.integers(0, 3)),
)
STUDENTS = count(1)


@given(st.lists(EVENTS, max_size=16), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_two_open_cases_and_nothing_lost(
    office: Office, crm: Crm, events: list[tuple[Any, ...]], says_ids: bool
) -> None:
    student, crm.says_ids = f"s{next(STUDENTS)}", says_ids
    office.enrol(student)
    asked: list[int] = []
    withdrawn: set[int] = set()
    again: set[int] = set()

    def cases() -> list[Case]:
        return [case for case in crm.cases if case.student_id == student]

    def evaluate(how: str) -> None:
        if how == "newest list":
            office.list_cases()
        office.decide()
        if how == "newest list":
            follows_the_list(office.connection, student, next((case for case in cases() if case.is_open), None))

    def send(how: str) -> None:
        office.later(hours=3)
        crm.answers = [how] if how == "lost" else []
        crm.refuses = lambda data: {"away": 503, "refused": 400, "broken": 500}.get(how)
        office.send()
        crm.answers, crm.refuses = [], lambda data: None

    for event, *rest in events:
        if event == "ask":
            asked.append(office.ask(student))
        if event in ("ask", "evaluate") and rest != ["not yet"]:
            evaluate(*rest)
        elif event == "send":
            send(*rest)
        elif event == "close":
            for case in cases():
                case.closed_at = case.closed_at or office.now
        elif event == "person opens" and not any(case.is_open for case in cases()):
            crm.open(student)
            # What the CRM has heard by then, and the list has not, can be known by nobody.
            evaluate("newest list")
        elif event == "withdraw" and rest[0] < len(asked) and asked[rest[0]] not in withdrawn:
            office.withdraw(asked[rest[0]])
            withdrawn.add(asked[rest[0]])
        elif event == "raise again" and rest[0] < len(asked) and asked[rest[0]] in withdrawn:
            office.raise_again(asked[rest[0]])
            withdrawn.remove(asked[rest[0]])
            again.add(asked[rest[0]])
            # In one transaction with it.
            office.decide()
        elif event == "retry":
            office.retry(
                [number for (number, who) in office.rows("ca.case_action_id, ca.student_id") if who == student]
            )
        assert sum(case.is_open for case in cases()) <= 1, event

    office.retry(None)
    evaluate("newest list")
    while ("pending",) in office.connection.execute("select distinct state from ops.outbox").fetchall():
        send("taken")
        assert sum(case.is_open for case in cases()) <= 1
    entries = [(entry["notification_id"], entry["action"]) for case in cases() for entry in case.entries]
    for notification in asked:
        told = [action for number, action in entries if number == notification and action != "withdraw"]
        if notification not in again:
            assert len(told) == 1 if notification not in withdrawn else len(told) <= 1
        taken_back = entries.count((notification, "withdraw"))
        assert len(told) - taken_back == (0 if notification in withdrawn else 1)


def follows_the_list(connection: Connection, student: str, still_open: Case | None) -> None:
    """What waits after a decision on the newest list is one open and appends, or appends to the case that is open."""
    waits = connection.execute(
        "select ca.action, ca.case_id, ca.case_key from ops.case_action as ca join ops.outbox as o using (message_id)"
        " where o.state = 'pending' and ca.student_id = %s and o.payload ->> 'type' <> 'case.withdraw'"
        " order by ca.message_id",
        [student],
    ).fetchall()
    connection.commit()
    if still_open:
        assert {(action, case_id) for action, case_id, _ in waits} <= {("append", still_open.case_id)}
    else:
        assert [action for action, *_ in waits] == ["open" if k == 0 else "append" for k in range(len(waits))]
    assert len({key for *_, key in waits}) <= 1


def test_any_open_case_is_added_to_whatever_its_kind_and_a_closed_one_is_not(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    theirs = crm.open("s1")
    office.list_cases()
    office.ask("s1", "attendance")
    assert office.decide() == {"append": 1}
    office.send()
    assert [entry["kind"] for entry in theirs.entries] == ["attendance"] and len(crm.cases) == 1

    theirs.closed_at = office.now
    office.later(days=1)
    office.list_cases()
    office.ask("s1")
    office.ask("s1", "attendance")
    assert office.decide() == {"open": 1, "append": 1}
    office.send()
    assert [len(case.entries) for case in crm.cases] == [1, 2]


def test_what_no_list_shows_is_ours_for_thirty_days(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    for days, became in [(0, "open"), (29, "append"), (2, "open")]:
        office.later(days=days)
        office.ask("s1")
        assert office.decide() == {became: 1}
        office.send()


def test_a_list_of_days_knows_the_case_that_was_opened_on_the_same_day(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    crm.says_ids = False
    office.ask("s1")
    office.decide()
    office.send()
    (case,) = crm.cases
    case.opened_at = office.now.replace(hour=0)
    case.closed_at = office.now + timedelta(hours=2)
    office.later(days=1)
    office.list_cases()
    office.ask("s1")
    assert office.decide() == {"open": 1}


def test_what_waits_goes_to_the_case_that_a_person_opened_meanwhile(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.ask("s1")
    assert office.decide() == {"open": 1, "append": 1}
    crm.refuses = lambda data: 503
    office.send()
    theirs = crm.open("s1")
    office.later(days=1)
    office.list_cases()
    assert office.decide() == {"changed": 2}
    assert office.decide() == {}
    crm.refuses = lambda data: None
    assert office.send() == {"sent": 2}
    assert crm.cases == [theirs] and len(theirs.entries) == 2


def test_a_case_is_told_when_its_ground_has_gone_and_nobody_else_is(office: Office, crm: Crm) -> None:
    office.enrol("s1", "s2")
    told, waiting = office.ask("s1"), office.ask("s2")
    office.decide()
    crm.refuses = lambda data: 503 if data["student_id"] == "s2" else None
    office.send()
    for _ in range(2):
        office.withdraw(told)
        office.withdraw(waiting)
    crm.refuses = lambda data: None
    office.later(hours=1)

    assert office.send() == {"sent": 2}

    (case,) = crm.cases
    assert [entry["action"] for entry in case.entries] == ["open", "withdraw"]
    assert case.entries[1]["note"] == casework.WITHDRAWN
    assert office.rows("ca.student_id, o.state, a.state")[:2] == [
        ("s1", "sent", "done"),
        ("s2", "suppressed", "suppressed"),
    ]


def test_a_case_that_was_withdrawn_is_asked_for_again_when_it_holds_after_all(office: Office, crm: Crm) -> None:
    office.enrol("s1", "s2")
    told, waiting = office.ask("s1"), office.ask("s2")
    office.decide()
    crm.refuses = lambda data: 500 if data["student_id"] == "s2" else None
    office.send()
    for _ in range(2):
        office.withdraw(told)
        office.withdraw(waiting)
        for _ in range(2):
            office.raise_again(told)
            office.raise_again(waiting)
        assert office.decide() == {"append": 1, "open": 1}
        assert office.decide() == {}
        office.send()
    crm.refuses = lambda data: None
    office.later(hours=1)
    office.send()

    first, second = crm.cases
    assert [entry["action"] for entry in first.entries] == ["open", "withdraw", "append", "withdraw", "append"]
    assert [entry["action"] for entry in second.entries] == ["open"]


def test_one_who_left_before_the_crm_could_be_told_is_not_told_of(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    office.connection.execute("update marts.student set status = 'withdrawn'")
    assert office.decide() == {"suppressed": 1}
    assert office.send() == {}


def test_two_evaluations_at_once_ask_once(office: Office, crm: Crm, database_url: str) -> None:
    office.enrol("s1")
    office.ask("s1")
    assert casework.decide(office.connection, office.messaging, office.now) == {"open": 1}
    with connect(database_url) as other:
        other.execute("set lock_timeout = '300ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            casework.decide(other, office.messaging, office.now)
        other.rollback()
        office.connection.commit()
        assert casework.decide(other, office.messaging, office.now) == {}


def test_without_dbts_tables_nobody_has_a_case_and_everybody_is_active(
    warehouse: Connection, crm: Crm, office: Office
) -> None:
    warehouse.execute("drop table intermediate.int_case; drop table marts.student")
    office.ask("s1")
    assert office.decide() == {"open": 1}
