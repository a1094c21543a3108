"""marts.contact_list against a plain reference, and its time for 40,000 students."""

import random
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.dbt import casework, universe
from tests.integration.dbt.conftest import Project

Connection = psycopg.Connection[Any]
ZONE = ZoneInfo("Europe/London")
TODAY = date(2026, 4, 1)  # in the week after the clocks have changed
NOW = datetime(2026, 4, 1, 6, tzinfo=UTC)
WEEK = date(2026, 3, 23)
Student = dict[str, Any]


def made_up(seed: int) -> list[Student]:
    chance = random.Random(seed)

    def some_days_ago() -> datetime:
        return datetime(2026, 4, 1, 23, 30, tzinfo=UTC) - timedelta(chance.choice([0, 1, 13, 14, 15, 16, 40]))

    def is_so(probability: float) -> bool:
        return chance.random() < probability

    return [
        {
            "id": f"u{k:02}",
            "score": chance.choice([None, 100, 299, 300, 310, 349, 350, 600]),
            "declining": is_so(0.3),
            "lasting": is_so(0.3),
            "shared": is_so(0.1),
            "status": "active" if is_so(0.9) else "withdrawn",
            "exempt": [(TODAY + timedelta(n), TODAY + timedelta(n + 1)) for n in (-2, -1, 0, 1) if is_so(0.05)],
            "cases": [(some_days_ago(), chance.choice([None, NOW, some_days_ago()])) for _ in range(2) if is_so(0.1)],
            "contacts": [some_days_ago() for _ in range(3) if is_so(0.2)],
            "silent": [
                (TODAY - timedelta(chance.choice([0, 14, 15])), chance.choice(["raised", "raised", "held"]))
                for _ in range(1)
                if is_so(0.3)
            ],
        }
        for k in range(60)
    ]


def reference(students: list[Student]) -> list[str]:
    """Return who is to be contacted, the gravest first."""
    listed = []
    for one in students:
        days = [at.astimezone(ZONE).date() for at in one["contacts"] if at <= NOW]
        since = (TODAY - max(days)).days if days else None
        if (
            one["score"] is None
            or one["score"] >= 350
            or one["shared"]
            or one["status"] != "active"
            or any(first <= TODAY <= last for first, last in one["exempt"])
            or any(opened <= NOW and (closed is None or closed > NOW) for opened, closed in one["cases"])
            or (since is not None and since <= 14)
        ):
            continue
        is_silent = any(day >= TODAY - timedelta(14) and status == "raised" for day, status in one["silent"])
        grave = [one["score"] < 300 and is_silent, one["score"] < 300, one["lasting"], one["declining"], True]
        longest = -1e9 if since is None else -since
        listed.append((grave.index(True), longest, one["score"], one["id"]))
    return [who for *_, who in sorted(listed)]


def insert(connection: Connection, students: list[Student]) -> None:
    columns = ["student_id", "week_start", "score", "declining", "consistently_low", "cohort_event"]
    trends = [(s["id"], WEEK, s["score"], s["declining"], s["lasting"], s["shared"]) for s in students]
    trends += [(s["id"], WEEK - timedelta(7), 100, True, True, False) for s in students]
    counts = ["weeks_below_350", "weeks_below_300"]
    universe.rows(connection, "marts.score_trend", [*columns, *counts], [(*row, 1, 0) for row in trends])
    universe.rows(
        connection, "intermediate.int_student", ["student_id", "status"], [(s["id"], s["status"]) for s in students]
    )
    columns = ["student_id", "exemption_type", "starts_on", "ends_on"]
    exemptions = [(s["id"], "any", *days) for s in students for days in s["exempt"]]
    universe.rows(connection, "intermediate.int_exemption", columns, exemptions)
    columns = ["source_id", "case_id", "student_id", "opened_at", "closed_at"]
    cases = [("crm", f"{s['id']}/{n}", s["id"], *case) for s in students for n, case in enumerate(s["cases"])]
    universe.rows(connection, "intermediate.int_case", columns, cases)
    columns = ["source_id", "contact_id", "student_id", "contacted_at"]
    contacts = [("crm", f"{s['id']}/{n}", s["id"], at) for s in students for n, at in enumerate(s["contacts"])]
    universe.rows(connection, "intermediate.int_contact", columns, contacts)
    for s in students:
        for day, status in s["silent"]:
            evidence = f'{{"to": "{day - timedelta(1)}", "silent_days": 7}}'
            casework.notify(connection, s["id"], day, "no_digital_activity", status=status, evidence=evidence)


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_whom_to_contact_and_in_which_order(connection: Connection, project: Project, seed: int) -> None:
    connection.rollback()
    students = made_up(seed)
    casework.at(connection, NOW)
    insert(connection, students)

    casework.make(connection, project, "marts.contact_list")

    found = connection.execute("select student_id, priority from marts.contact_list order by priority").fetchall()
    expected = reference(students)
    assert found == [(who, place) for place, who in enumerate(expected, start=1)]


def test_the_list_of_40_000_students_takes_seconds_however_long_the_history(
    connection: Connection, project: Project
) -> None:
    casework.at(connection, NOW)
    connection.execute("""
        insert into intermediate.int_student (student_id, status)
        select 'S' || n, 'active' from generate_series(1, 40000) as n;
        insert into marts.score_trend (
            student_id, week_start, score, weeks_below_350, weeks_below_300, declining, consistently_low, cohort_event
        )
        select 'S' || n, date '2026-03-23' - 7 * week, n % 1000, 1, 0, n % 7 = 0, n % 11 = 0, false
        from generate_series(1, 40000) as n cross join generate_series(0, 5) as week;
        insert into intermediate.int_contact (source_id, contact_id, student_id, contacted_at)
        select 'crm', n::text, 'S' || (n * 7919) % 40000, timestamptz '2026-03-31' - n * interval '10 minutes'
        from generate_series(1, 20000) as n;
        analyze intermediate.int_student;
        analyze marts.score_trend;
        analyze intermediate.int_contact;
        set local enable_nestloop = off
    """)
    began = time.monotonic()

    casework.make(connection, project, "marts.contact_list")

    assert time.monotonic() - began < 10  # 0.4 s on an idle machine
    ((count,),) = connection.execute("select count(*) from marts.contact_list").fetchall()
    assert 10_000 < count < 14_000
