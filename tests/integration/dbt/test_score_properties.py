"""What must be true of any scores, whatever the reference says: same bits in any order, a centre of 500, order kept."""

import random
from dataclasses import replace
from datetime import date, timedelta
from statistics import NormalDist, fmean
from typing import Any

import psycopg
import pytest

from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.reference.scoring import Activity, Enrolment, Parameters, Score, Source, Teaching, University

MONDAY = date(2026, 3, 2)
DAYS = [MONDAY - timedelta(21) + timedelta(k) for k in range(28)]
Connection = psycopg.Connection[Any]


def university(size: int, calibration: str, seed: int = 5) -> University:
    """Three programmes, one of them too small to stand alone; engagement and register from one seed."""
    chance = random.Random(seed)
    sources = [Source("clicks", "activity", "vle"), Source("loans", "activity", "library_access", 0.7)]
    sources += [Source("register", "attendance", "attendance"), Source("posts", "activity", "vle", 1.7)]
    enrolments, activity = [], []
    for k in range(size):
        student = f"u{k:05}"
        programme = {"programme_code": chance.choice(["P1"] * 20 + ["P2"] * 20 + ["P3"])}
        enrolments.append(Enrolment("enrolments", DAYS[0], student, "active", None, None, {**programme}))
        level = chance.expovariate(0.3)
        for day in chance.sample(DAYS, 6):
            for source in chance.sample(sources, 2):
                n = int(chance.expovariate(1 / (level + 0.1)))
                register = source.record == "attendance"
                if register or n:
                    attended = (2, min(n, 2)) if register else (None, None)
                    activity.append(Activity(student, day, source.source_id, min(n, 2) if register else n, *attended))
    return University(
        Parameters(
            {"attendance": 0.4, "vle": 0.4, "library_access": 0.2},
            [("programme", ["programme_code"]), ("institution", [])],
            calibration=calibration,
        ),
        sources,
        enrolments,
        [Teaching(DAYS[0], DAYS[-1])],
        activity,
        {(s.source_id, day) for s in sources for day in DAYS},
    )


def scored(connection: Connection, project: Project, given: University) -> dict[tuple[str, date], Score]:
    universe.configure(connection, given)
    universe.enrol(connection, given)
    universe.act(connection, given)
    universe.pend(connection, [MONDAY])
    return universe.score(connection, project.weekly_models)


def test_the_same_rows_in_another_order_give_the_same_bits(connection: Connection, project: Project) -> None:
    given = university(400, "zscore")
    first = scored(connection, project, given)
    assert sum(s.status == "scored" for s in first.values()) == 400
    chance = random.Random(8)
    again = replace(
        given,
        enrolments=chance.sample(given.enrolments, len(given.enrolments)),
        activity=chance.sample(given.activity, len(given.activity)),
        sources=chance.sample(given.sources, len(given.sources)),
    )
    for plan in ("enable_hashagg", "enable_hashjoin", "enable_sort"):
        connection.execute(f"set local {plan} = off")
        assert scored(connection, project, again) == first


@pytest.mark.parametrize("calibration", ["normal_scores", "zscore"])
def test_the_centre_is_500_the_scale_is_kept_and_so_is_the_order(
    connection: Connection, project: Project, calibration: str
) -> None:
    scores = list(scored(connection, project, university(1500, calibration)).values())
    by_group: dict[str | None, list[Score]] = {}
    for score in scores:
        by_group.setdefault(score.peer_group, []).append(score)
    assert set(by_group) == {"P1", "P2", "P3"}
    for members in by_group.values():
        points = [s.score for s in sorted(members, key=lambda s: s.composite or 0)]
        assert points == sorted(points, key=lambda p: p or 0)
        assert all(p is not None and 0 <= p <= 1000 for p in points)
        assert abs(fmean(p or 0 for p in points) - 500) <= 0.5
        assert all(abs(sum(p.weight for p in s.parts.values()) - 1) < 1e-12 for s in members)
        assert all(
            abs(sum(p.contribution for p in s.parts.values()) - (s.composite or 0)) <= 0.5000001e-9 for s in members
        )


@pytest.mark.parametrize("source", ["clicks", "loans", "posts", "register"])
def test_more_activity_in_any_source_raises_a_score(connection: Connection, project: Project, source: str) -> None:
    given = university(120, "normal_scores")
    before = scored(connection, project, given)
    keen = given.enrolments[7].student_id
    attended = (2, 2) if source == "register" else (None, None)
    others = [a for a in given.activity if (a.student_id, a.source_id) != (keen, source)]
    more = [Activity(keen, day, source, 40, *attended) for day in DAYS]
    after = scored(connection, project, replace(given, activity=others + more))
    assert (after[keen, MONDAY].score or 0) > (before[keen, MONDAY].score or 0)


def test_what_must_not_matter_changes_no_score(connection: Connection, project: Project) -> None:
    given = university(400, "normal_scores")
    before = scored(connection, project, given)
    # Sources that are enabled and never deliver, sorted between the others: metrics change their places and rows.
    absent = [Source(f"{name}{k}", "activity", "vle", 3.0) for name in ("a", "m", "z") for k in range(4)]
    after = scored(connection, project, replace(given, sources=given.sources + absent))
    assert {s.marks.pop() for s in after.values()} == {"degraded"}
    assert after == before
    # Only ratios count: of the weights of weeks, and of sources within their category.
    heavier = replace(given.parameters, week_weights=[8.0, 4.0, 2.0, 1.0])
    assert scored(connection, project, replace(given, parameters=heavier)) == before
    weightier = [replace(s, weight=10 * (s.weight or 1)) for s in given.sources]
    after = scored(connection, project, replace(given, sources=weightier))
    assert {k: s.score for k, s in after.items()} == {k: s.score for k, s in before.items()}


def test_equal_students_have_500(connection: Connection, project: Project) -> None:
    given = university(40, "normal_scores")
    alike = [replace(a, student_id=e.student_id) for e in given.enrolments for a in given.activity[:9]]
    scores = scored(connection, project, replace(given, activity=alike)).values()
    assert {(s.status, s.score, *s.marks) for s in scores} == {("scored", 500, "no_variation")}


def test_inverse_normal_is_that_of_python(connection: Connection, project: Project) -> None:
    n = 20_000
    universe.configure(connection, university(1, "normal_scores"))
    connection.execute(
        "insert into intermediate.int_peer_composite (group_id, student_id, composite) "
        "select 1, k::text, k from generate_series(1, %s) as k",
        [n],
    )
    sql = dict(project.weekly_models)["intermediate.int_calibration"]
    found = connection.execute(f"select t from ({sql}) as c order by composite").fetchall()
    expected = [NormalDist().inv_cdf((k - 0.5) / n) for k in range(1, n + 1)]
    assert max(abs(t - e) for (t,), e in zip(found, expected, strict=True)) < 1e-12
