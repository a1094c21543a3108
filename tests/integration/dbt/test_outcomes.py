"""marts.intervention_outcome against the plain reference; what is settled is kept, unless its weeks are restated."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage import dbt
from tests.integration.dbt import casework, universe
from tests.integration.dbt.conftest import Project
from tests.reference.outcomes import Intervention, Outcome, Scored, Scores, outcome

Connection = psycopg.Connection[Any]
MONDAYS = [date(2026, 1, 12) + timedelta(7 * k) for k in range(16)]
WEEKS = [w for k, w in enumerate(MONDAYS) if k not in (5, 6)]
OUTCOME = "marts.intervention_outcome"


def world_of(seed: int) -> tuple[Scores, list[Intervention]]:
    """Two groups of students, some of whom are not scored in every week, and what was done for some of them."""
    chance = random.Random(seed)
    scores: Scores = {}
    students = [f"u{k:02}" for k in range(40)]
    for k, student in enumerate(students):
        level, group, gaps = 300, "AAB"[k % 3], chance.choice([0.05, 0.05, 0.4])
        for week in WEEKS[: chance.choice([8, 14, 14, 14])]:
            level += chance.choice([-50, -20, 0, 0, 10, 25, 50])
            if chance.random() > gaps:
                scores[student, week] = Scored(level if chance.random() < 0.95 else None, group)
    days = [MONDAYS[0] + timedelta(chance.randrange(16 * 7)) for _ in range(20)]
    return scores, [Intervention(chance.choice(students), day) for day in days]


def publish(connection: Connection, scores: Scores, revision: int = 0) -> None:
    """Put scores where the model reads them."""
    columns = ["student_id", "week_start", "score", "status", "peer_level", "peer_group", "revision"]
    rows = [(s, w, one.score, "", "level", one.group, revision) for (s, w), one in scores.items()]
    universe.rows(connection, "marts.weekly_score", columns, rows)
    before = {w: list(reversed(WEEKS[max(0, k - 4) : k])) for k, w in enumerate(WEEKS)}
    columns = ["student_id", "week_start", "revision", "weeks_before"]
    traces = [(s, w, revision, before[w]) for s, w in scores]
    universe.rows(connection, "intermediate.int_student_trace", columns, traces)


def do(connection: Connection, interventions: list[Intervention]) -> None:
    """Say that these were made, cases and contacts in turns, in the last hour of their day."""
    for k, one in enumerate(interventions):
        at = datetime(one.day.year, one.day.month, one.day.day, 22, 30, tzinfo=UTC)
        if k % 2:
            columns = ["source_id", "case_id", "student_id", "opened_at"]
            universe.rows(connection, "intermediate.int_case", columns, [("crm", str(k), one.student, at)])
        else:
            columns = ["source_id", "contact_id", "student_id", "contacted_at"]
            universe.rows(connection, "intermediate.int_contact", columns, [("crm", str(k), one.student, at)])


def found(connection: Connection) -> dict[int, Outcome]:
    query = f"""
        select
            intervention_id::int, week_before, score_before, score_4w, score_5w, score_6w, recovered,
            comparable_students, comparable_change_4w, comparable_change_5w, comparable_change_6w,
            comparable_recovered_share
        from {OUTCOME}
    """
    return {
        k: Outcome(week, tuple(rest[:4]), rest[4], rest[5], tuple(rest[6:9]), rest[9])
        for k, week, *rest in connection.execute(query)
    }


def assert_equal(connection: Connection, scores: Scores, interventions: list[Intervention]) -> None:
    got = found(connection)
    assert got.keys() == set(range(len(interventions)))
    for k, one in enumerate(interventions):
        expected = outcome(one, scores, WEEKS, interventions)
        assert got[k].__dict__ == {
            name: pytest.approx(value) if name.startswith("comparable") else value
            for name, value in expected.__dict__.items()
        }, one


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_outcomes_are_those_of_the_reference(connection: Connection, project: Project, seed: int) -> None:
    connection.rollback()
    scores, interventions = world_of(seed)
    casework.at(connection, datetime(2026, 5, 20, 6, tzinfo=UTC))
    publish(connection, scores)
    do(connection, interventions)

    casework.make(connection, project, OUTCOME)

    assert_equal(connection, scores, interventions)


def test_what_is_settled_is_kept_until_one_of_its_weeks_is_restated(
    connection: Connection, url: str, project: Project
) -> None:
    scores, interventions = world_of(7)
    casework.at(connection, datetime(2026, 5, 20, 6, tzinfo=UTC))
    publish(connection, scores)
    columns = ["week_start", "revision", "state", "data_as_of", "published_at"]
    published = [(w, 0, "published", universe.NOW, datetime(2026, 5, 1, tzinfo=UTC)) for w in WEEKS]
    universe.rows(connection, "ops.publication", columns, published)
    do(connection, interventions)
    connection.commit()

    def night() -> dict[str, tuple[str, bool]]:
        dbt.run(url, ["run", "--select", "intervention_outcome"], project.home)
        query = f"select intervention_id, xmin::text, is_settled from {OUTCOME}"
        rows = {str(k): (str(row), bool(done)) for k, row, done in connection.execute(query).fetchall()}
        assert_equal(connection, scores, interventions)
        connection.commit()
        return rows

    first, second = night(), night()

    settled = {k for k, (_, done) in first.items() if done}
    assert settled
    assert {k for k, row in first.items() if second[k] == row} == settled

    restated = {
        key: Scored(one.score and one.score + 60, one.group) for key, one in scores.items() if key[1] == WEEKS[9]
    }
    scores |= restated
    connection.execute("delete from marts.weekly_score where week_start = %s", [WEEKS[9]])
    publish(connection, restated, revision=1)
    again = [(WEEKS[9], 1, "published", universe.NOW, datetime(2026, 5, 20, 7, tzinfo=UTC))]
    universe.rows(connection, "ops.publication", columns, again)
    connection.execute("update ops.scoring_parameter set as_of = %s", [datetime(2026, 5, 20, 8, tzinfo=UTC)])
    connection.commit()

    third, fourth = night(), night()

    assert any(third[k] != second[k] for k in settled)
    assert {k for k in settled if third[k] == fourth[k]} == settled
