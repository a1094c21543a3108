"""Windows, rating and review against the plain reference: as first built, after anything changed, and after a kill."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from engage import dbt
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.integration.dbt.test_warehouse_protocol import everything, kill_when_waiting_for
from tests.reference import rating
from tests.reference.scoring import Activity, Enrolment, Parameters, Source, Teaching, University

FIRST, UNTIL = date(2026, 3, 2), date(2026, 4, 12)  # with the change of the clocks, 29 March
DAYS = rating.span(FIRST, UNTIL)
MARTS = "int_day_source int_day_roster int_day_build int_day_student int_day_engagement activity_windows daily_rating"
Connection = psycopg.Connection[Any]
Build = Callable[[], None]


def made_up(seed: int) -> tuple[University, rating.Covered]:
    chance = random.Random(seed)
    sources = [
        Source("clicks", "activity", "vle"),
        Source("views", "activity", "vle", 3.0),
        Source("register", "attendance", "attendance", None, DAYS[9]),
        Source("gates", "activity", "library_access", None, None, DAYS[35]),
        Source("wifi", "activity", "other", 0.0),
    ]
    begins = dict(zip(sources, (0, 4, 0, 2, 20), strict=True))
    covered = {(s.source_id, d) for s in sources for d in DAYS[begins[s] :] if chance.random() < 0.8 and d.day != 20}
    students = [f"u{k:02}" for k in range(24)]
    periods = []
    for as_of in (FIRST - timedelta(3), DAYS[15], DAYS[30]):
        for k, s in enumerate(students):
            attributes: dict[str, str | None] = {
                "programme_code": chance.choice(["P1", "P1", "P2", None]),
                "mode": "PT" if k % 5 == 0 else "FT",
            }
            periods.append(Enrolment("enrolments", as_of, s, "active", None, None, attributes))
            if chance.random() < 0.3:
                away = chance.choice(["suspended", "placement", "withdrawn", "active"])
                start = chance.choice(DAYS)
                end = chance.choice([None, start + timedelta(9)])
                periods.append(Enrolment("enrolments", as_of, s, away, start, end, attributes))
    activity = [
        Activity(s, d, x.source_id, chance.randint(1, 9))
        for k, s in enumerate(students)
        for x in sources
        for d in DAYS
        if (x.source_id, d) in covered and chance.random() < (k % 4) / 12
    ]
    return University(
        Parameters(
            {"attendance": 0.4, "vle": 0.3, "library_access": 0.2, "other": 0.1},
            [("programme_mode", ["programme_code", "mode"]), ("programme", ["programme_code"])],
            min_group_size=6,
        ),
        sources,
        periods,
        [Teaching(FIRST, UNTIL + timedelta(30))],
        activity,
        covered,
    ), covered


@pytest.fixture
def build(url: str, connection: Connection, project: Project) -> Build:
    """Build the daily marts of what is in the warehouse by now."""

    def run() -> None:
        connection.commit()
        dbt.run(url, ["run", "--select", *MARTS.split()], project.home)

    return run


def put(connection: Connection, university: University) -> None:
    universe.configure(connection, university)
    universe.enrol(connection, university)
    universe.act(connection, university)
    connection.execute(
        "update ops.scoring_parameter set as_of = %s::timestamp at time zone time_zone",
        [UNTIL + timedelta(1)],
    )


def assert_equal(connection: Connection, university: University, covered: rating.Covered) -> None:
    windows = {
        (student, day, source): rating.Window((a, b, c), (e, f, g), since)
        for student, day, source, a, b, c, e, f, g, since in connection.execute(
            "select student_id, activity_date, source_id, interactions_7d, interactions_14d, interactions_21d, "
            "covered_days_7d, covered_days_14d, covered_days_21d, days_since_last from marts.activity_windows"
        )
    }
    assert windows == rating.activity_windows(university, covered, UNTIL)
    ratings = {
        (student, day): (label, rating.Rating(*values))
        for student, day, label, *values in connection.execute(
            "select student_id, rating_date, rating_label, rating, engagement, relative, window_days, covered_days, "
            "fully_covered_days, peer_group from marts.daily_rating"
        )
    }
    expected = rating.daily_rating(university, covered, UNTIL)
    assert ratings.keys() == expected.keys()
    for key, one in expected.items():
        label, got = ratings[key]
        assert math.isclose(got.engagement, one.engagement, abs_tol=3e-9), key
        assert math.isclose(got.relative, one.relative, abs_tol=1e-7), key
        assert replace(got, engagement=one.engagement, relative=one.relative) == one, key
        assert label == rating.LABELS[one.rating]
    connection.commit()


@pytest.mark.parametrize("seed", [1, 2])
def test_windows_and_ratings_are_those_of_the_reference_after_every_change(
    connection: Connection, build: Build, seed: int
) -> None:
    university, covered = made_up(seed)
    put(connection, university)
    build()
    assert_equal(connection, university, covered)
    assert len({r.rating for r in rating.daily_rating(university, covered, UNTIL).values()}) == 6
    before = everything(connection, "marts.activity_windows", f"activity_date < '{DAYS[12]}'")

    # A badge is mapped late: rows of an old day. An empty file covers a day without touching it. A roster comes late.
    late, empty, roster = DAYS[12], next(d for d in DAYS[13:] if ("clicks", d) not in covered), DAYS[25]
    added = [Activity(f"u{k:02}", late, "clicks", 5) for k in (0, 4, 8)]
    kept = [a for a in university.activity if (a.day, a.source_id) != (late, "clicks")]
    changed = replace(
        university,
        activity=kept + added,
        enrolments=university.enrolments + [replace(e, as_of=roster) for e in university.enrolments[:20]],
    )
    connection.execute("delete from marts.daily_activity where activity_date = %s and source_id = 'clicks'", [late])
    universe.act(connection, replace(university, activity=added))
    connection.execute("insert into ops.day_version values ('clicks', %s, 1)", [late])
    connection.execute(
        "insert into ops.batch_day "
        "select batch_id, source_id, %s, true, true from ops.batch where source_id = 'clicks'",
        [empty],
    )
    connection.execute(
        "insert into raw.enrolments select source_id, %s, batch_id, row_number, student_id, programme_code, "
        "programme_name, faculty_code, year_of_study, mode, entry_band, cohort, campus_residence, tutor_id, status, "
        "status_from, status_to from raw.enrolments where row_number < 20",
        [roster],
    )
    build()
    assert_equal(connection, changed, covered | {("clicks", late), ("clicks", empty)})
    assert everything(connection, "marts.activity_windows", f"activity_date < '{DAYS[12]}'") == before

    # Nothing changed: nothing is written.
    state = "select max(xmin::text::bigint) from marts.daily_rating"
    written = connection.execute(state).fetchone()
    build()
    assert connection.execute(state).fetchone() == written


@pytest.mark.parametrize("stopped_at", ["int_day_engagement", "activity_windows", "daily_rating"])
def test_killed_anywhere_the_next_run_ends_in_the_same_rows(
    connection: Connection, build: Build, url: str, project: Project, stopped_at: str
) -> None:
    university, covered = made_up(3)
    put(connection, university)
    build()
    connection.execute("delete from ops.batch_day where source_id = 'views' and day = %s", [DAYS[10]])
    connection.commit()
    schema = "intermediate" if stopped_at.startswith("int_") else "marts"
    kill_when_waiting_for(url, project, f"{schema}.{stopped_at}", MARTS)
    build()
    assert_equal(connection, university, covered - {("views", DAYS[10])})
