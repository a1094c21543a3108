"""Trends and distribution in SQL against the plain reference, over published scores that hypothesis makes up."""

import random
from collections.abc import Iterable
from dataclasses import astuple, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage import dbt
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.integration.dbt.test_warehouse_protocol import kill_when_waiting_for
from tests.reference.scoring import Parameters, University
from tests.reference.trends import GroupSource, Limits, Published, Trends, distribution

Connection = psycopg.Connection[Any]
FIRST = date(2026, 1, 5)
WEEKS = [FIRST + timedelta(7 * k) for k in range(14)]
VACATION = {WEEKS[5], WEEKS[6]}
PARAMETERS = University(Parameters({"vle": 1.0}, [("institution", [])]), [], [], [], [], set())
TREND = (
    "change_1w, change_4w, declining, weeks_below_350, weeks_below_300, consistently_low, weeks_falling, recovering, "
    "attendance_4w, falling_together, quiet_decline, cohort_event"
)
World = tuple[dict[tuple[str, date], Published], dict[str, set[date]], dict[tuple[str, date], dict[str, GroupSource]]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Two programmes with calendars of their own, gaps, movers, null scores, cohort falls and silent feeds."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    calendar = {
        "": set(WEEKS) - VACATION if draw(st.booleans()) else set(),
        "P1": {w for w in WEEKS if w not in VACATION},
        "P2": {w for w in WEEKS if chance.random() < 0.8},
    }
    published: dict[tuple[str, date], Published] = {}
    for k in range(draw(st.integers(1, 30))):
        programme, level = chance.choice(["P1", "P1", "P2"]), chance.choice([200, 340, 500, 900])
        for week in WEEKS:
            if chance.random() < 0.05:
                programme = chance.choice(["P1", "P2"])
            if week not in calendar[""] | calendar[programme] or chance.random() < 0.05:
                continue
            level = min(1000, max(0, level + chance.choice([-150, -101, -100, -51, -10, -1, 0, 1, 20, 25, 50, 160])))
            expected = chance.choice([0, 1, 4, 5])
            published[f"u{k:02}", week] = Published(
                level if chance.random() < 0.95 else None,
                chance.choice(["A", "A", "A", "B"]),
                programme,
                expected,
                min(expected, chance.choice([0, 3, 4, 5, 5])),
            )
    quiet = chance.choice(WEEKS)
    groups = {
        (group, week): {
            s: GroupSource(
                chance.random() < 0.9, chance.randint(0, 8) if week == quiet else chance.choice([10, 12, 20])
            )
            for s in ("s1", "s2")
        }
        for group, week in sorted({(p.peer_group, week) for (_, week), p in published.items()})
    }
    return published, calendar, groups


def publish(connection: Connection, world: World, weeks: Iterable[date], revision: int = 0) -> None:
    """Put these weeks into the warehouse as the models of a weekly run leave them, trends aside."""
    published, calendar, groups = world
    rows = {key: p for key, p in published.items() if key[1] in set(weeks)}
    for table in ("int_publication", "int_teaching_week", "int_eligible_student"):
        connection.execute(f"delete from intermediate.{table}")
    connection.execute("delete from marts.weekly_score where week_start = any(%s)", [list(weeks)])
    connection.execute("delete from marts.weekly_score_source where week_start = any(%s)", [list(weeks)])
    connection.execute(
        "delete from marts.daily_activity where date_trunc('week', activity_date) = any(%s)", [list(weeks)]
    )
    for table in ("ops.publication", "intermediate.int_publication"):
        state = {"ops.publication": ["state"]}.get(table, [])
        columns = ["week_start", "revision", "data_as_of", "published_at", *state]
        values = [(w, revision, universe.NOW, universe.NOW, *("published" for _ in state)) for w in weeks]
        universe.rows(connection, table, columns, values)
    universe.rows(
        connection,
        "intermediate.int_teaching_week",
        ["week_start", "programme_code", "cohort"],
        [(w, programme, "") for programme, taught in calendar.items() for w in taught],
    )
    universe.rows(
        connection,
        "intermediate.int_eligible_student",
        ["week_start", "student_id", "teaching_programme", "teaching_cohort"],
        [(w, s, p.programme, "C") for (s, w), p in rows.items()],
    )
    universe.rows(
        connection,
        "marts.daily_activity",
        ["student_id", "activity_date", "source_id", "interactions", "events", "expected", "attended"],
        [(s, w + timedelta(k), "r", p.attended, 1, n, m) for (s, w), p in rows.items() for k, n, m in split(p)],
    )
    universe.rows(
        connection,
        "marts.weekly_score",
        ["student_id", "week_start", "score", "status", "peer_level", "peer_group", "revision"],
        [(s, w, p.score, "scored", "level", p.peer_group, revision) for (s, w), p in rows.items()],
    )
    members = {key: sum((p.peer_group, w) == key for (_, w), p in rows.items()) for key in groups}
    universe.rows(
        connection,
        "marts.weekly_score_source",
        ["week_start", "revision", "peer_level", "peer_group", "source_id", "is_usable", "interactions", "students"],
        [
            (w, revision, "level", g, s, *astuple(one), members[g, w])
            for (g, w), sources in groups.items()
            if members[g, w]
            for s, one in sources.items()
        ],
    )


def split(p: Published) -> list[tuple[int, int, int]]:
    """Return a week's sessions on two days: day, expected, attended."""
    first = min(p.expected, 2)
    there = min(first, p.attended)
    return [(0, first, there), (6, p.expected - first, p.attended - there)]


def found(connection: Connection, table: str, columns: str) -> dict[Any, Any]:
    rows = connection.execute(f"select {columns} from marts.{table}").fetchall()
    return {row[0]: row[1:] for row in rows}


def assert_equal(connection: Connection, world: World) -> None:
    published, calendar, groups = world
    expected = Trends(published, calendar, groups, Limits()).all()
    got = found(connection, "score_trend", f"(student_id, week_start)::text, {TREND}")
    keys = {key: f"({key[0]},{key[1]})" for key in expected}
    assert got.keys() == set(keys.values())
    for key, trend in expected.items():
        assert got[keys[key]] == pytest.approx(astuple(trend), abs=1e-9), key
    bands = found(connection, "score_distribution", "(week_start, peer_group, band)::text, students")
    assert bands == {f"({w},{g},{b})": (n,) for (w, g, b), n in distribution(published).items()}


def follow(connection: Connection, project: Project) -> None:
    """Run the compiled models, as dbt inserts what they return."""
    for relation in ("intermediate.int_student_trace", "marts.score_trend", "marts.score_distribution"):
        compiled = next(Path(project.home).rglob(f"compiled/**/{relation.partition('.')[2]}.sql")).read_text()
        connection.execute(f"create temporary table made on commit drop as {compiled}")
        names = connection.execute(
            "select string_agg(attname, ', ') from pg_attribute where attrelid = 'made'::regclass and attnum > 0"
        ).fetchall()[0][0]
        connection.execute(f"insert into {relation} ({names}) select {names} from made; drop table made")


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(world=worlds(), cut=st.integers(1, len(WEEKS)))
def test_trends_and_distribution_are_those_of_the_reference_however_weeks_come_in(
    connection: Connection, project: Project, world: World, cut: int
) -> None:
    connection.rollback()
    universe.configure(connection, PARAMETERS)
    for weeks in (WEEKS[:cut], WEEKS[cut:]):
        publish(connection, world, weeks)
        follow(connection, project)
    assert_equal(connection, world)


def test_a_restatement_and_a_kill_heal_the_week_and_those_after_it_and_no_other(
    connection: Connection, url: str, project: Project
) -> None:
    world: World = _world()
    universe.configure(connection, PARAMETERS)
    publish(connection, world, WEEKS)
    connection.commit()
    models = "int_student_trace score_trend score_distribution"
    dbt.run(url, ["run", "--select", *models.split()], project.home)
    assert_equal(connection, world)
    before = connection.execute("select week_start, min(xmin::text) from marts.score_trend group by 1").fetchall()

    published, calendar, groups = world
    restated = {
        key: replace(p, score=None if p.score is None else 1000 - p.score) if key[1] == WEEKS[7] else p
        for key, p in published.items()
    }
    world = restated, calendar, groups
    publish(connection, world, [WEEKS[7]], revision=1)
    connection.commit()
    dbt.run(url, ["run", "--select", "int_student_trace"], project.home)
    for table in ("marts.score_trend", "marts.score_distribution"):
        kill_when_waiting_for(url, project, table, "score_trend score_distribution")
    dbt.run(url, ["run", "--select", "score_trend", "score_distribution"], project.home)
    assert_equal(connection, world)
    after = connection.execute("select week_start, min(xmin::text) from marts.score_trend group by 1").fetchall()
    assert {w for w, _ in set(before) & set(after)} == {w for w in WEEKS[:7] if any(k[1] == w for k in published)}


def _world() -> World:
    chance = random.Random(5)
    calendar = {"": set(WEEKS) - VACATION}
    published = {
        (f"u{k:02}", week): Published(chance.randint(100, 700), "A", "P1", 4, chance.randint(0, 4))
        for k in range(12)
        for week in calendar[""]
    }
    groups = {("A", week): {"s1": GroupSource(True, chance.choice([20, 90, 100]))} for week in calendar[""]}
    return published, calendar, groups
