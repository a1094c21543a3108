"""What dbt runs leave behind: the touched days rebuilt, weeks published once, and nothing half done after a kill."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from engage import dbt
from engage.warehouse import connect
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.reference.daily import Interaction, Row, Session, daily_activity
from tests.reference.scoring import Activity, Enrolment, Parameters, Source, Teaching, University, weekly_scores

MONDAY = date(2026, 3, 2)
WEEK_2 = MONDAY + timedelta(7)
CLICKS, REGISTER = Source("clicks", "activity", "vle"), Source("register", "attendance", "attendance")
DAYS = "daily_activity"
WEEKS = "+weekly_score,tag:weekly +weekly_score_part,tag:weekly +weekly_score_revision,tag:weekly"
"""What of a night these tests are about: the other models are made from it."""
Build = Callable[[str], list[dbt.NodeResult]]
Connection = psycopg.Connection[Any]


@pytest.fixture
def build(url: str, project: Project) -> Build:
    return lambda select: dbt.build(url, select, project.home)


def interactions(days: list[date], seed: int = 1) -> list[Interaction]:
    chance = random.Random(seed)
    return [
        Interaction("clicks", day, f"u{k:02}", at(day, chance.randint(0, 23)), chance.choice([0, 1, 1, 7]))
        for day in days
        for k in range(12)
        for _ in range(chance.randint(0, 3))
    ]


def sessions(days: list[date], seed: int = 2) -> list[Session]:
    chance = random.Random(seed)
    return [
        Session("register", day, f"u{k:02}", at(day, 9), chance.random() < 0.7, chance.random() < 0.6)
        for day in days
        for k in range(12)
        for _ in range(chance.randint(0, 2))
    ]


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=universe.NOW.tzinfo)


def university(activity: list[Activity]) -> University:
    days = {(s.source_id, MONDAY + timedelta(k)) for s in (CLICKS, REGISTER) for k in range(14)}
    levels: list[tuple[str, list[str]]] = [("institution", [])]
    return University(
        Parameters({"attendance": 0.5, "vle": 0.5}, levels, min_group_size=5),
        [CLICKS, REGISTER],
        [
            Enrolment("enrolments", MONDAY, f"u{k:02}", "active", None, None, {"programme_code": "P1"})
            for k in range(12)
        ],
        [Teaching(MONDAY, MONDAY + timedelta(13))],
        activity,
        days,
    )


def mart(connection: Connection) -> list[Row]:
    found = connection.execute(
        "select student_id, activity_date, source_id, interactions, events, first_at, last_at, expected, attended "
        "from marts.daily_activity order by 1, 2, 3"
    ).fetchall()
    connection.commit()
    return found


def everything(connection: Connection, table: str, where: str = "true") -> list[str]:
    found = connection.execute(f"select t::text from {table} as t where {where} order by 1").fetchall()
    connection.commit()
    return [row for (row,) in found]


def sums(rows: list[Row]) -> list[Activity]:
    return [Activity(s, day, source, n, expected, attended) for s, day, source, n, _, _, _, expected, attended in rows]


@pytest.fixture
def fed(connection: Connection) -> Connection:
    """Two weeks of rows in raw, roster and configuration in place, nothing built."""
    days = [MONDAY + timedelta(k) for k in range(14)]
    clicks, register = interactions(days), sessions(days)
    model = university(sums(daily_activity(clicks, register)))
    universe.configure(connection, model)
    universe.enrol(connection, model)
    universe.publish_rows(connection, clicks, register)
    connection.commit()
    return connection


def test_exactly_the_touched_days_are_rebuilt(fed: Connection, build: Build, url: str, project: Project) -> None:
    days = [MONDAY + timedelta(k) for k in range(14)]
    build(DAYS)
    before = mart(fed)
    assert before == daily_activity(interactions(days), sessions(days))
    assert fed.execute("select count(*) from ops.touched_day").fetchone() == (0,)

    # One day is corrected, one loses all its rows, and one changes without anybody saying so.
    corrected, emptied, unannounced = days[3], days[5], days[7]
    gone = [corrected, emptied, unannounced]
    fed.execute("delete from raw.activity where activity_date = any(%s)", [gone])
    universe.publish_rows(fed, interactions([corrected], seed=9), [])
    universe.touch(fed, [("clicks", emptied)])
    fed.commit()
    build(DAYS)
    expected = [r for r in before if r[2] == "register" or r[1] not in (corrected, emptied)]
    expected += daily_activity(interactions([corrected], seed=9), [])
    assert mart(fed) == sorted(expected, key=lambda r: r[:3])

    dbt.run(url, ["run", "--select", "daily_activity", "--full-refresh"], project.home)
    kept = [i for i in interactions(days) if i.day not in gone] + interactions([corrected], seed=9)
    assert mart(fed) == daily_activity(kept, sessions(days))


def test_a_day_touched_while_it_is_being_built_is_built_again(
    fed: Connection, build: Build, url: str, project: Project
) -> None:
    build(DAYS)
    universe.touch(fed, [("clicks", MONDAY)])
    fed.commit()
    with connect(url) as other:
        other.execute("lock table ops.rebuilt_day in share mode")
        runner = subprocess.Popen([sys.executable, "-c", RUN, url, str(project.home), DAYS])
        wait_for_lock(url, "ops.rebuilt_day", runner)
        publisher = threading.Thread(target=correct_monday, args=(url,))
        publisher.start()
        other.commit()
    assert runner.wait(timeout=60) == 0
    publisher.join(timeout=60)
    assert fed.execute("select source_id, day, is_claimed from ops.touched_day").fetchall() == [
        ("clicks", MONDAY, False)
    ]
    fed.commit()
    build(DAYS)
    assert sum(r[3] for r in mart(fed) if r[2] == "clicks" and r[1] == MONDAY) == 12 * 5


def correct_monday(url: str) -> None:
    with connect(url) as publisher:
        publisher.execute("delete from raw.activity where activity_date = %s", [MONDAY])
        rows = [Interaction("clicks", MONDAY, f"u{k:02}", at(MONDAY, 8), 5) for k in range(12)]
        universe.publish_rows(publisher, rows, [])


def test_an_error_is_told_without_the_row_that_caused_it(fed: Connection, build: Build, capfd: Any) -> None:
    build(DAYS)
    fed.execute("create unique index on marts.daily_activity (student_id) where student_id = 'secret-number'")
    day = MONDAY + timedelta(1)
    universe.publish_rows(fed, [Interaction("clicks", d, "secret-number", at(d, 8), 1) for d in (MONDAY, day)], [])
    fed.commit()
    with pytest.raises(
        dbt.DbtError, match="daily_activity: error: duplicate key value violates unique constraint"
    ) as told:
        build(DAYS)
    shown = capfd.readouterr()
    assert "secret-number" not in f"{told.value} {shown.out} {shown.err}"


# Each lock stops dbt at another point: before it deletes, and after it has inserted.
@pytest.mark.parametrize("stopped_at", ["marts.daily_activity", "ops.rebuilt_day"])
def test_daily_activity_killed_anywhere_leaves_the_old_rows_and_the_touched_days(
    fed: Connection, build: Build, url: str, project: Project, stopped_at: str
) -> None:
    build(DAYS)
    fed.execute("delete from raw.activity where activity_date = %s", [MONDAY])
    universe.touch(fed, [("clicks", MONDAY)])
    fed.commit()
    before, touched = everything(fed, "marts.daily_activity"), everything(fed, "ops.touched_day")

    kill_when_waiting_for(url, project, stopped_at, DAYS)
    assert everything(fed, "marts.daily_activity") == before
    assert everything(fed, "ops.touched_day") == touched

    build(DAYS)
    days = [MONDAY + timedelta(k) for k in range(14)]
    assert mart(fed) == daily_activity([i for i in interactions(days) if i.day != MONDAY], sessions(days))


@pytest.mark.parametrize("stopped_at", ["marts.weekly_score_part", "marts.weekly_score_revision", "ops.publication"])
def test_weekly_run_killed_anywhere_publishes_the_same_when_run_again(
    fed: Connection, build: Build, url: str, project: Project, stopped_at: str
) -> None:
    build(DAYS)
    universe.pend(fed, [MONDAY, WEEK_2])
    fed.commit()
    kill_when_waiting_for(url, project, stopped_at, WEEKS)
    assert fed.execute("select count(*) from marts.weekly_score").fetchone() == (0,)
    assert fed.execute("select distinct state from ops.publication").fetchall() == [("pending",)]
    fed.commit()
    build(WEEKS)
    assert fed.execute("select distinct state from ops.publication").fetchall() == [("published",)]
    expected = weekly_scores(university(sums(mart(fed))), [MONDAY, WEEK_2])
    found = universe.scores(fed)
    assert {k: (s.status, s.score) for k, s in found.items()} == {k: (s.status, s.score) for k, s in expected.items()}
    assert len(everything(fed, "marts.weekly_score_revision")) == len(expected) == 24


def test_a_published_week_is_never_touched_and_a_restatement_adds_a_revision(fed: Connection, build: Build) -> None:
    build(DAYS)
    universe.pend(fed, [MONDAY])
    fed.commit()
    build(WEEKS)
    tables = ["marts.weekly_score", "marts.weekly_score_revision", "marts.weekly_score_part"]
    published = {t: everything(fed, t) for t in tables}
    assert published["marts.weekly_score"]

    # Late data, other weights, a disabled source; then the next week.
    fed.execute("update raw.activity set quantity = quantity * 3 where student_id < 'u06'")
    fed.execute("update raw.attendance set is_attended = not is_attended")
    fed.execute("update ops.category_weight set weight = 0.9 where category = 'vle'")
    fed.execute("update ops.source set disabled_from = '2026-03-01' where source_id = 'register'")
    universe.touch(fed, [(s, MONDAY + timedelta(k)) for s in ("clicks", "register") for k in range(14)])
    universe.pend(fed, [WEEK_2])
    fed.commit()
    build(DAYS)
    build(WEEKS)
    first_week = f"week_start = '{MONDAY}'"
    assert {t: everything(fed, t, first_week) for t in tables} == published

    fed.execute("insert into ops.config_version values ('later', '{}', now())")
    fed.execute("update ops.scoring_parameter set config_version = 'later'")
    universe.pend(fed, [MONDAY], revision=1, reason="the register was upside down")
    fed.commit()
    build(WEEKS)
    assert everything(fed, "marts.weekly_score_revision", f"{first_week} and revision = 0") == published[tables[1]]
    assert everything(fed, "marts.weekly_score_part", f"{first_week} and revision = 0") == published[tables[2]]
    current = fed.execute(f"select distinct revision, reason, sources_used from marts.weekly_score where {first_week}")
    assert current.fetchall() == [(1, "the register was upside down", ["clicks"])]
    assert len(everything(fed, "marts.weekly_score", first_week)) == 12
    stamped = fed.execute(f"select config_version from ops.publication where {first_week} order by revision")
    assert stamped.fetchall() == [("test",), ("later",)]


def test_a_week_that_becomes_pending_during_a_run_waits_for_the_next(
    fed: Connection, build: Build, url: str, project: Project
) -> None:
    build(DAYS)
    universe.pend(fed, [MONDAY])
    fed.commit()
    with connect(url) as other:
        other.execute("lock table ops.publication in share mode")
        runner = subprocess.Popen([sys.executable, "-c", RUN, url, str(project.home), WEEKS])
        wait_for_lock(url, "ops.publication", runner)
        universe.pend(other, [WEEK_2])
        other.commit()
    assert runner.wait(timeout=60) == 0
    states = fed.execute("select week_start, state from ops.publication order by 1").fetchall()
    assert states == [(MONDAY, "published"), (WEEK_2, "pending")]


RUN = "import sys, pathlib; from engage import dbt; dbt.build(sys.argv[1], sys.argv[3], pathlib.Path(sys.argv[2]))"


def kill_when_waiting_for(url: str, project: Project, table: str, select: str) -> None:
    """Start dbt in a process of its own, stop it at its first write to `table`, and kill it there."""
    with connect(url) as other:
        other.execute(f"lock table {table} in share mode")
        runner = subprocess.Popen([sys.executable, "-c", RUN, url, str(project.home), select])
        wait_for_lock(url, table, runner)
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        # The server notices that the client is gone only when it next speaks to it.
    with connect(url, autocommit=True) as other:
        deadline = time.monotonic() + 30
        busy = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'dbt'"
        while other.execute(busy).fetchone() != (0,):
            assert time.monotonic() < deadline, "the killed run's transaction is still open"
            time.sleep(0.05)


def wait_for_lock(url: str, table: str, runner: subprocess.Popen[bytes]) -> None:
    """Wait until some backend waits for `table`."""
    deadline = time.monotonic() + 60
    with connect(url, autocommit=True) as other:
        waiting = "select count(*) from pg_locks where relation = %s::regclass and not granted"
        while other.execute(waiting, [table]).fetchone() == (0,):
            assert runner.poll() is None, "dbt ended before it came to the lock"
            assert time.monotonic() < deadline, "dbt never came to the lock"
            time.sleep(0.02)


def test_what_is_read_between_runs_survives_a_crash_of_postgres(project: Project, url: str) -> None:
    names = ["int_case", "int_contact", "int_exemption", "int_ladder_step", "int_student"]
    with connect(url) as connection:
        query = "select relname, relpersistence from pg_class where relname = any(%s) order by relname"
        assert connection.execute(query, [names]).fetchall() == [(name, "p") for name in names]
