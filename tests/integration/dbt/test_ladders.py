"""Ladders begin once for whom they may, and each step that is due is handed on once."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engage.contact import ladders
from engage.settings import PROJECT
from tests.integration.dbt import casework, universe
from tests.integration.dbt.conftest import Project

Connection = psycopg.Connection[Any]
CONFIG = PROJECT / "config"
MONDAY = date(2026, 3, 9)
STEPS = ("intermediate.int_working_day", "intermediate.int_ladder_step", "marts.contact_step")


def morning(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC)


@pytest.fixture
def monday(connection: Connection, project: Project) -> Connection:
    """The models as of Monday, with four students."""
    casework.at(connection, morning(MONDAY))
    students = [
        ("on", "active", "Hall 1"),
        ("off", "active", None),
        ("away", "suspended", None),
        ("exempt", "active", None),
    ]
    columns = ["student_id", "status", "campus_residence", "as_of_date"]
    universe.rows(connection, "intermediate.int_student", columns, [(*one, MONDAY) for one in students])
    columns = ["student_id", "exemption_type", "starts_on", "ends_on"]
    exemptions = [("exempt", "any", MONDAY, MONDAY), ("off", "any", MONDAY + timedelta(9), MONDAY + timedelta(9))]
    universe.rows(connection, "intermediate.int_exemption", columns, exemptions)
    casework.make(connection, project, *STEPS)
    return connection


def ask(connection: Connection, student: str, ladder: str = "nottingham", rule: str = "r", **notification: Any) -> int:
    """Write what a rule asks for; return the number of the action."""
    about = notification.pop("about", None) or casework.notify(
        connection, student, MONDAY, rule_id=rule, **notification
    )
    row = connection.execute(
        "insert into ops.action (action_key, kind, student_id, notification_id, rule_id, target, created_at)"
        " values (%s, 'ladder', %s, %s, %s, %s, now()) returning action_id",
        [f"rule:{rule}:{about}:start:{ladder}", student, about, rule, ladder],
    ).fetchone()
    return int(row[0]) if row else 0


def state(connection: Connection, action: int) -> tuple[Any, ...] | None:
    return connection.execute("select state, why from ops.action where action_id = %s", [action]).fetchone()


def begun(connection: Connection) -> list[tuple[Any, ...]]:
    query = "select student_id, ladder_id, started_on, steps from ops.ladder_run order by student_id, ladder_run_id"
    return [(*row, [step["id"] for step in steps]) for *row, steps in connection.execute(query).fetchall()]


def test_a_ladder_has_the_steps_for_the_residence_and_unknown_is_off_campus(monday: Connection) -> None:
    actions = [ask(monday, "on"), ask(monday, "off")]

    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 2

    common = ["institutional_email", "personal_contact", "dashboard_manager"]
    assert begun(monday) == [
        ("off", "nottingham", MONDAY, [*common, "faculty_support", "emergency_contact"]),
        ("on", "nottingham", MONDAY, [*common, "resx", "emergency_contact"]),
    ]
    assert [state(monday, one) for one in actions] == [("done", None)] * 2
    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 0
    assert len(begun(monday)) == 2


def test_whoever_may_not_be_contacted_is_not_and_it_is_said_why(monday: Connection) -> None:
    asked = {
        ask(monday, "away"): "the student is not active",
        ask(monday, "nobody"): "the student is not active",
        ask(monday, "exempt"): "the student is exempt",
        ask(monday, "off", "no_such"): "there is no such ladder",
        ask(monday, "on", status="superseded"): "the notification no longer holds",
    }

    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 0

    assert {one: state(monday, one) for one in asked} == {one: ("suppressed", why) for one, why in asked.items()}
    assert begun(monday) == []


def test_one_ladder_runs_once_and_another_beside_it(monday: Connection, project: Project) -> None:
    first, second = ask(monday, "on"), ask(monday, "on", rule="s")
    # One that no longer holds takes nobody's place.
    ask(monday, "off", status="superseded")
    third = ask(monday, "off", rule="s")
    other = ask(monday, "on", "gentle_start", rule="t")

    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 3

    running = ("suppressed", "this ladder is running for the student")
    assert [state(monday, one) for one in (first, second, third, other)] == [
        ("done", None),
        running,
        *[("done", None)] * 2,
    ]
    casework.make(monday, project, *STEPS)
    again = ask(monday, "on", rule="u")
    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 0
    assert state(monday, again) == running


def test_one_that_has_ended_may_begin_again_but_not_for_the_same_notification(
    monday: Connection, project: Project
) -> None:
    about = casework.notify(monday, "on", MONDAY, rule_id="r")
    ask(monday, "on", about=about)
    ladders.start(monday, CONFIG, morning(MONDAY))
    answer = [("crm", "c", "on", morning(MONDAY), "reached")]
    columns = ["source_id", "contact_id", "student_id", "contacted_at", "outcome"]
    universe.rows(monday, "intermediate.int_contact", columns, answer)
    casework.make(monday, project, *STEPS)

    same, another = ask(monday, "on", rule="s", about=about), ask(monday, "on", rule="t")

    assert ladders.start(monday, CONFIG, morning(MONDAY)) == 1
    assert (state(monday, same), state(monday, another)) == (
        ("suppressed", "this ladder has begun for the same notification"),
        ("done", None),
    )


def test_a_step_is_handed_on_once_when_it_is_due(monday: Connection, project: Project) -> None:
    ask(monday, "on")
    ask(monday, "off", "gentle_start")
    ladders.start(monday, CONFIG, morning(MONDAY))
    assert ladders.tell_due(monday, morning(MONDAY)) == 0  # what has just begun is not in the mart
    told = []
    for n in range(6):
        day = MONDAY + timedelta(n)
        casework.at(monday, morning(day))
        casework.make(monday, project, *STEPS)
        told.append(ladders.tell_due(monday, morning(day)))
        assert ladders.tell_due(monday, morning(day)) == 0
        if n == 1:  # the tutor rings, in vain: the next step is due after two working days
            contact = ("crm", "c", "on", morning(day) + timedelta(hours=4), "no_answer")
            columns = ["source_id", "contact_id", "student_id", "contacted_at", "outcome"]
            universe.rows(monday, "intermediate.int_contact", columns, [contact])

    assert told == [2, 0, 0, 1, 0, 0]
    found = monday.execute(
        "select split_part(action_key, ':', 3), kind, student_id, target, step_number, content from ops.action"
        " where action_key like 'step:%' order by created_at, student_id"
    ).fetchall()
    letter = {"ladder": "gentle_start", "step": "offer", "title": "Our offer of support", "channel": "email"}
    assert found[0] == ("1", "email_student", "off", "student", 1, letter | {"due_date": str(MONDAY)})
    assert [row[:5] for row in found[1:]] == [
        ("1", "contact_step", "on", "tutor", 1),
        ("2", "contact_step", "on", "tutor", 2),
    ]
    assert found[2][5]["due_date"] == str(MONDAY + timedelta(3))


def test_what_is_changed_in_the_file_changes_no_ladder_that_has_begun(monday: Connection, tmp_path: Path) -> None:
    ask(monday, "on")
    ladders.start(monday, CONFIG, morning(MONDAY))
    before = begun(monday)
    (tmp_path / "ladders.yaml").write_text(json.dumps({"answered_outcomes": ["Spoke"], "ladders": []}))
    late = ask(monday, "off")

    assert ladders.start(monday, tmp_path, morning(MONDAY)) == 0

    assert begun(monday) == before
    assert state(monday, late) == ("suppressed", "there is no such ladder")
