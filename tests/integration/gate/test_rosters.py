"""The suites of our own rosters and calendar: what they must never let through."""

from collections.abc import Callable
from datetime import date

import pytest

from engage.settings import PROJECT
from engage.sources import load_source
from engage.suites import load_suite
from tests.integration.gate.kit import Gate

PEOPLE = [f"{n:07}" for n in range(200)]
HEADING = "student_id,programme_code,programme_name,faculty_code,year_of_study,mode,entry_band,cohort,campus_residence"
DAY = date(2026, 10, 1)
Process = Callable[[str, list[str]], tuple[str, str | None]]


@pytest.fixture
def process(gate: Gate) -> Process:
    def of(name: str, lines: list[str]) -> tuple[str, str | None]:
        source = load_source(PROJECT / "config" / "sources" / f"{name}.yaml")
        gate.deliver(source, "\n".join([*lines, ""]).encode(), name, DAY)
        (outcome,) = gate.process(source, load_suite(PROJECT / "expectations", source))
        return outcome.state, outcome.problem

    return of


def enrolment(student: str, status: str, start: str, end: str = "") -> str:
    return f"{student},P1,Physics,F,1,FT,A,C,on,T1,{status},{start},{end}"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (("placement", "2026-09-21", "2027-06-01"), None),
        (("Placement", "2026-09-21", "2027-06-01"), "Every status is one we know"),
        (("placement", "31-09-2026", "2027-06-01"), "Every row can be read"),
        (("withdrawn", "2026-10-01", "2026-09-30"), "Every status ends after it starts"),
    ],
)
def test_no_student_becomes_active_because_the_row_of_their_absence_is_bad(
    process: Process, status: tuple[str, str, str], problem: str | None
) -> None:
    lines = [f"{HEADING},tutor_id,status,status_from,status_to"]
    lines += [enrolment(person, "active", "2025-09-22") for person in PEOPLE]
    state, said = process("enrolments", [*lines, enrolment(PEOPLE[0], *status)])
    assert state == ("held" if problem else "published")
    assert said is None if problem is None else problem in (said or "")


@pytest.mark.parametrize(("kind", "state"), [("teaching", "published"), ("vacation", "published"), ("Term 1", "held")])
def test_a_calendar_of_unknown_periods_is_held(process: Process, kind: str, state: str) -> None:
    heading = "term_code,kind,starts_on,ends_on,programme_code,cohort"
    assert process("term_calendar", [heading, f"T1,{kind},2026-09-21,2026-12-11,,"])[0] == state
