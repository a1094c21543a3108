"""The weekly score in SQL against the plain-Python reference, over small universities that hypothesis makes up."""

import math
import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.reference.scoring import (
    Activity,
    Enrolment,
    Exemption,
    Parameters,
    Score,
    Source,
    Teaching,
    University,
    peer_set_scores,
    weekly_scores,
)

FIRST = date(2026, 1, 5)
WEEKS = [FIRST + timedelta(7 * k) for k in range(8)]
DAYS = [FIRST + timedelta(k) for k in range(56)]
LEVELS: list[tuple[str, list[str]]] = [
    ("programme_year", ["programme_code", "year_of_study"]),
    ("programme", ["programme_code"]),
    ("institution", []),
]

SETS: list[dict[str, list[tuple[str, list[str]]]]] = [
    {},
    {"by_cohort": [("programme", ["cohort"]), ("institution", [])]},
    {"by_mode": [("mode", ["mode"])], "by_tutor": [("tutor", ["tutor_id", "mode"]), ("programme", ["programme_code"])]},
]


@st.composite
def parameters(draw: st.DrawFn, calibration: str, missing: str) -> Parameters:
    return Parameters(
        category_weights=draw(
            st.sampled_from(
                [{"attendance": 0.4, "vle": 0.3, "library_access": 0.2, "other": 0.1}, {"vle": 0.7, "other": 0.3}]
            )
        ),
        peer_levels=draw(
            st.sampled_from([LEVELS, LEVELS[2:], LEVELS[1:2], [("cohort_mode", ["cohort", "mode"]), *LEVELS]])
        ),
        week_weights=draw(st.sampled_from([[1.0, 0.5, 0.25, 0.125], [1.0], [1.0, 0.3], [1.0, 0.0, 0.5]])),
        min_eligible_days=draw(st.sampled_from([4, 1, 7])),
        min_group_size=draw(st.sampled_from([3, 8, 30])),
        min_institution_size=draw(st.sampled_from([2, 5, 10])),
        min_category_weight=draw(st.sampled_from([0.3, 0.1, 0.0, 0.5, 0.7])),
        max_z=draw(st.sampled_from([3.0, 1.0])),
        calibration=calibration,
        missing=missing,
        max_imputed_weeks=draw(st.sampled_from([2, 0, 1])),
        degraded_weeks=draw(st.sampled_from([3, 1, 2])),
        peer_sets=draw(st.sampled_from(SETS)),
    )


@st.composite
def universities(draw: st.DrawFn, calibration: str, missing: str) -> University:
    """Structure is drawn, so that it shrinks; the bulk of the rows comes from one drawn seed."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    p = draw(parameters(calibration, missing))
    day = st.sampled_from(DAYS)
    sources = [
        Source(
            f"s{k}",
            draw(st.sampled_from(["activity", "activity", "attendance"])),
            # Most have a weight, or nearly every score would be one for want of data.
            draw(st.sampled_from(["vle", "vle", *p.category_weights, "attendance", "library_access"])),
            draw(st.sampled_from([None, None, 2.0, 0.5])),
            draw(st.one_of(*[st.none()] * 5, day)),
            draw(st.one_of(*[st.none()] * 5, day)),
        )
        for k in range(draw(st.sampled_from([1, 2, 3, 4, 5, 10])))
    ]
    gap = draw(st.sampled_from([8, 4] if missing == "exclude" else [4, 3]))
    silent = {(s.source_id, week) for s in sources for week in WEEKS if chance.randrange(gap) == 0}
    complete = {
        (s.source_id, d)
        for s in sources
        for d in DAYS
        if (s.source_id, d - timedelta(d.weekday())) not in silent and chance.random() > 0.1
    }
    calendar = [
        Teaching(start, start + timedelta(draw(st.integers(0, 60))), *draw(st.sampled_from(AUDIENCES)))
        for start in draw(st.lists(day, min_size=1, max_size=3))
    ]
    calendar += draw(st.sampled_from([*[[Teaching(DAYS[0], DAYS[-1])]] * 6, []]))
    students = [f"u{k:02}" for k in range(draw(st.one_of(*[st.integers(20, 60)] * 2, st.integers(1, 60))))]
    snapshots = sorted(set(draw(st.lists(day, min_size=1, max_size=2))))
    quiet = draw(st.integers(0, 5)) == 0
    return University(
        parameters=p,
        sources=sources,
        enrolments=[row for as_of in snapshots for s in students for row in enrolments(s, as_of, chance)],
        calendar=calendar,
        activity=[row for s in students for row in activity(s, sources, chance, quiet)],
        complete_days=complete,
        exemptions=[
            Exemption(s, start, start + timedelta(chance.choice([0, 2, 6, 20])))
            for s in students
            if chance.random() < 0.2
            for start in [chance.choice(DAYS)]
        ],
    )


AUDIENCES: list[tuple[str | None, str | None]] = [(None, None), ("P1", None), ("P2", "C1"), (None, "C2"), ("", "C1")]


def enrolments(student: str, as_of: date, chance: random.Random) -> list[Enrolment]:
    attributes: dict[str, str | None] = {
        "programme_code": chance.choice(["P1", "P1", "P2", None]),
        "year_of_study": chance.choice(["1", "1", "2", ""]),
        "cohort": chance.choice(["C1", "C1", "C2", None]),
        "mode": chance.choice(["FT", "FT", "PT"]),
        "tutor_id": chance.choice(["T1", "T2", "T3", None]),
    }
    always = Enrolment("enrolments", as_of, student, "active", None, None, attributes)
    if chance.random() < 0.8:
        return [always]
    periods = []
    for start in sorted(chance.sample(DAYS, chance.randint(1, 3))):
        status = chance.choice(["active", "active", "suspended", "placement", "study_abroad", "withdrawn"])
        until = chance.choice([None, start + timedelta(chance.randint(1, 20))])
        moved = attributes | {"programme_code": chance.choice(["P1", "P2"])}
        periods.append(Enrolment("enrolments", as_of, student, status, start, until, moved))
    return [always, *periods] if chance.random() < 0.7 else periods


def activity(student: str, sources: list[Source], chance: random.Random, quiet: bool) -> list[Activity]:
    rows = []
    level = chance.choice([0, 1, 4, 30])
    for source in sources:
        for day in chance.sample(DAYS, 14):
            if source.record == "attendance":
                expected = chance.randint(0, 3)
                attended = 0 if quiet else chance.randint(0, expected)
                if expected:
                    rows.append(Activity(student, day, source.source_id, attended, expected, attended))
            elif level and not quiet:
                rows.append(Activity(student, day, source.source_id, chance.randint(1, level)))
    return rows


def assert_equal(sql: dict[tuple[str, date], Score], reference: dict[tuple[str, date], Score]) -> None:
    assert sql.keys() == reference.keys()
    for key, expected in reference.items():
        got = sql[key]
        assert (got.status, got.score, got.marks) == (expected.status, expected.score, expected.marks), key
        assert (got.peer_level, got.peer_group, got.peer_n) == (
            expected.peer_level,
            expected.peer_group,
            expected.peer_n,
        ), key
        assert got.parts.keys() == expected.parts.keys(), key
        assert close(got.composite, expected.composite), key
        for source, part in expected.parts.items():
            mine = got.parts[source]
            assert close(mine.metric, part.metric) and close(mine.z, part.z), (key, source)
            assert close(mine.weight, part.weight) and close(mine.contribution, part.contribution), (key, source)


def close(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=0, abs_tol=1.5e-9))


@pytest.mark.parametrize("calibration", ["normal_scores", "zscore"])
@pytest.mark.parametrize("missing", ["exclude", "impute"])
@settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), weeks=st.sets(st.sampled_from(WEEKS[2:]), min_size=1, max_size=3))
def test_statuses_scores_marks_and_parts_are_those_of_the_reference(
    connection: psycopg.Connection[Any],
    project: Project,
    calibration: str,
    missing: str,
    data: st.DataObject,
    weeks: set[date],
) -> None:
    university = data.draw(universities(calibration, missing))
    universe.configure(connection, university)
    uncovered = {(s.source_id, d) for s in university.sources for d in DAYS} - university.complete_days
    universe.cover(connection, universe.POOR, [(s, d) for s, d in uncovered if d.day % 2])
    universe.enrol(connection, university)
    universe.act(connection, university)
    universe.pend(connection, weeks)
    reference = weekly_scores(university, sorted(weeks))
    note(f"{len(reference)} rows")
    published, by_set = universe.score_by_sets(connection, project.weekly_models)
    assert_equal(published, reference)
    for name, expected in peer_set_scores(university, sorted(weeks)).items():
        plain = {key: replace(score, marks=[], parts={}) for key, score in expected.items()}
        assert_equal(by_set.pop(name, {}), plain)
    assert not by_set


@pytest.mark.parametrize("calibration", ["normal_scores", "zscore"])
def test_an_imputed_a_degraded_and_a_clipped_score_are_those_of_the_reference(
    connection: psycopg.Connection[Any], project: Project, calibration: str
) -> None:
    chance = random.Random(7)
    sources = [Source(f"s{k}", "activity", "vle", None, None, None) for k in range(3)]
    university = University(
        parameters=Parameters(
            {"vle": 1.0}, LEVELS, min_group_size=8, calibration=calibration, missing="impute", max_z=1
        ),
        sources=sources,
        enrolments=[row for k in range(60) for row in enrolments(f"u{k:02}", FIRST, chance)],
        calendar=[Teaching(DAYS[0], DAYS[-1], None, None)],
        activity=[row for k in range(60) for row in activity(f"u{k:02}", sources, chance, False)],
        # The first source is silent from the third week on, the second in the sixth only.
        complete_days={(s.source_id, d) for s in sources for d in DAYS if s.source_id != "s0" or d < WEEKS[2]}
        - {("s1", WEEKS[5] + timedelta(k)) for k in range(7)},
        exemptions=[],
    )
    universe.configure(connection, university)
    universe.enrol(connection, university)
    universe.act(connection, university)
    universe.pend(connection, WEEKS[3:6])
    reference = weekly_scores(university, WEEKS[3:6])
    assert {"imputed", "degraded"} <= {mark for score in reference.values() for mark in score.marks}
    assert {1.0, -1.0} <= {part.z for score in reference.values() for part in score.parts.values()}
    assert_equal(universe.score(connection, project.weekly_models), reference)
