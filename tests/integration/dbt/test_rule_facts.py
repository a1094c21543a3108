"""What rules ask of a student in a week, as the model makes it, against a plain reckoning over made-up weeks."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage import dbt
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.integration.dbt.test_trend_equals_reference import (
    PARAMETERS,
    WEEKS,
    Connection,
    World,
    _world,
    follow,
    publish,
    worlds,
)
from tests.reference.trends import Limits, Trends

LONDON = ZoneInfo("Europe/London")
FACTS = (
    "recent_scores, lowest_before, declining, consistently_low, attendance_4w, on_date, exemption_types, open_case, "
    "last_contact_date, programme_code, mode, revision"
)
MODEL = "intermediate.int_rule_fact"


class People:
    """Cases, contacts and exemptions of the students, some of them beginning or ending just at midnight."""

    def __init__(self, students: list[str], chance: random.Random) -> None:
        moments = [
            datetime(day.year, day.month, day.day, hour, tzinfo=LONDON)
            for day in (WEEKS[0] + timedelta(k) for k in range(0, 105, 7))
            for hour in (0, 9)
        ]
        several = sorted(students * 2)
        self.cases = [
            (s, start, chance.choice([None, start, *(m for m in moments if m > start)]))
            for s in several
            for start in [chance.choice(moments)]
            if chance.random() < 0.5
        ]
        self.contacts = [(s, chance.choice(moments)) for s in several if chance.random() < 0.7]
        self.exemptions = [
            (
                s,
                chance.choice(["Withdrawn", "Dissertation Period"]),
                first,
                first + timedelta(chance.choice([0, 7, 20])),
            )
            for s in several
            for first in [chance.choice(WEEKS) + timedelta(chance.choice([0, 1]))]
            if chance.random() < 0.4
        ]
        self.programme = {s: chance.choice(["P1", "P2"]) for s in students if chance.random() < 0.9}

    def put(self, connection: Connection) -> None:
        for table in (
            "intermediate.int_case",
            "intermediate.int_contact",
            "intermediate.int_exemption",
            "intermediate.int_student",
        ):
            connection.execute(f"delete from {table}")
        universe.rows(connection, "intermediate.int_case", ["student_id", "opened_at", "closed_at"], self.cases)
        universe.rows(connection, "intermediate.int_contact", ["student_id", "contacted_at"], self.contacts)
        columns = ["student_id", "exemption_type", "starts_on", "ends_on"]
        universe.rows(connection, "intermediate.int_exemption", columns, self.exemptions)
        known = [(s, p, "FT", False) for s, p in self.programme.items()]
        universe.rows(
            connection, "intermediate.int_student", ["student_id", "programme_code", "mode", "is_sponsored"], known
        )

    def then(self, student: str, day: date) -> tuple[Any, ...]:
        midnight = datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)
        contacts = [at.astimezone(LONDON).date() for s, at in self.contacts if s == student and at < midnight]
        return (
            day,
            sorted({kind for s, kind, first, last in self.exemptions if s == student and first <= day <= last}),
            any(s == student and at < midnight and (end is None or end >= midnight) for s, at, end in self.cases),
            max(contacts, default=None),
            self.programme.get(student),
            "FT" if student in self.programme else None,
        )


def expected(world: World, people: People, revisions: dict[date, int]) -> dict[tuple[str, date], tuple[Any, ...]]:
    published, calendar, groups = world
    trends = Trends(published, calendar, groups, Limits())
    found = {}
    for (student, week), trend in trends.all().items():
        recent: list[int] = []
        weeks = [week, *trends.before(student, week)]
        while weeks and (row := published.get((student, weeks[0]))) and row.score is not None and len(recent) < 12:
            recent.append(row.score)
            weeks = trends.before(student, weeks[0])
        before = [p.score for (s, w), p in published.items() if s == student and w < week and p.score is not None]
        score = published[student, week].score
        found[student, week] = (
            recent,
            min(before, default=None),
            None if trend.change_4w is None else trend.declining,
            None if score is None else trend.consistently_low,
            None if trend.attendance_4w is None else pytest.approx(trend.attendance_4w),
            *people.then(student, week + timedelta(7)),
            revisions.get(week, 0),
        )
    return found


def got(connection: Connection) -> dict[tuple[str, date], tuple[Any, ...]]:
    rows = connection.execute(f"select student_id, week_start, {FACTS} from {MODEL}").fetchall()
    return {row[:2]: row[2:] for row in rows}


def follow_too(connection: Connection, project: Project) -> None:
    """Run the compiled model, as dbt inserts what it returns."""
    compiled = next(Path(project.home).rglob("compiled/**/int_rule_fact.sql")).read_text()
    connection.execute(f"create temporary table made on commit drop as {compiled}")
    connection.execute(f"insert into {MODEL} select * from made; drop table made")


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(world=worlds(), cut=st.integers(1, len(WEEKS)), seed=st.integers(0, 2**32))
def test_facts_are_those_of_the_reference_however_weeks_come_in(
    connection: Connection, project: Project, world: World, cut: int, seed: int
) -> None:
    connection.rollback()
    universe.configure(connection, PARAMETERS)
    people = People(sorted({student for student, _ in world[0]}), random.Random(seed))
    people.put(connection)
    for weeks in (WEEKS[:cut], WEEKS[cut:]):
        publish(connection, world, weeks)
        follow(connection, project)
        follow_too(connection, project)
    assert got(connection) == expected(world, people, {})


def test_facts_of_silence_are_as_of_the_day_on_which_it_triggers(
    connection: Connection, url: str, project: Project
) -> None:
    universe.configure(connection, PARAMETERS)
    students = [f"u{k:02}" for k in range(20)]
    people = People(students, random.Random(3))
    people.put(connection)
    days = [WEEKS[0] + timedelta(k) for k in (7, 20, 56)]
    found = [(kind, s, day) for s in students for day in days for kind in ("no_digital_activity", "low_activity")]
    universe.rows(connection, "intermediate.int_inactivity", ["kind", "student_id", "trigger_date"], found)
    connection.commit()
    dbt.run(url, ["run", "--select", "int_inactivity_fact"], project.home)
    columns = "on_date, exemption_types, open_case, last_contact_date, programme_code, mode"
    rows = connection.execute(f"select student_id, {columns} from intermediate.int_inactivity_fact").fetchall()
    wanted = {(s, *map(str, people.then(s, day))) for s in students for day in days}
    assert len(rows) == len(wanted) and {tuple(map(str, row)) for row in rows} == wanted


def test_a_restated_week_and_those_after_it_are_made_anew_and_those_before_it_kept(
    connection: Connection, url: str, project: Project
) -> None:
    world = _world()
    universe.configure(connection, PARAMETERS)
    people = People(sorted({student for student, _ in world[0]}), random.Random(1))
    people.put(connection)
    publish(connection, world, WEEKS)
    connection.commit()
    models = ["int_student_trace", "score_trend", "int_rule_fact"]
    dbt.run(url, ["run", "--select", *models], project.home)
    assert got(connection) == expected(world, people, {})

    published, calendar, groups = world
    restated = {key: replace(p, score=77) if key[1] == WEEKS[7] else p for key, p in published.items()}
    world = restated, calendar, groups
    # What has become known since changes nothing of the weeks before.
    later = People(sorted({student for student, _ in published}), random.Random(2))
    later.put(connection)
    publish(connection, world, [WEEKS[7]], revision=1)
    connection.commit()
    dbt.run(url, ["run", "--full-refresh", "--select", *models], project.home)
    wanted = expected(world, later, {WEEKS[7]: 1})
    wanted |= {key: row for key, row in expected(world, people, {}).items() if key[1] < WEEKS[7]}
    assert got(connection) == wanted
