"""A replay killed at every step and run again: the marts are those of a run that nobody disturbed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from engage.warehouse import connect, ensure_database
from tests.end_to_end.conftest import CHECKOUT, ENGAGE, OULAD_PROFILE, engage, environment, marts

STEPS = {
    "land": "ops.delivery",
    "publish": "ops.rule_result",
    "load": "load.rows_enrolments",
    "audit": "load.rows_oulad_vle",
    "daily dbt": "ops.touched_day",
    "weekly dbt": "marts.weekly_score",
}
"""What a run waits for in each step when somebody else has locked it."""


@contextmanager
def locked(url: str, table: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Hold a table so that nobody can read or write it."""
    with connect(url) as connection:
        connection.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(*table.split("."))))
        yield connection


def test_killed_at_every_step_and_run_again(
    postgres_url: str, tmp_path: Path, piece: Path, in_one_run: dict[str, list[tuple[object, ...]]]
) -> None:
    url = ensure_database(postgres_url, "killed")
    home = tmp_path / "home"
    extra = {**OULAD_PROFILE, "ENGAGE_DATABASE_URL": url}
    for step, table in STEPS.items():
        _kill_in(step, table, url, environment(home, **extra), piece)
    done = engage(home, "replay", "oulad", str(piece), **extra)
    assert done.returncode == 0, done.stdout + done.stderr
    with connect(url) as connection:
        assert marts(connection) == in_one_run
        assert connection.execute("select count(*) from ops.touched_day").fetchone() == (0,)
        assert connection.execute("select count(*) from ops.batch where state = 'loading'").fetchone() == (0,)


def _kill_in(step: str, table: str, url: str, variables: dict[str, str], piece: Path) -> None:
    """Start a replay, wait until it is stuck on the locked table, and kill it with all its children."""
    process = subprocess.Popen(
        [str(ENGAGE), "replay", "oulad", str(piece)], cwd=CHECKOUT, env=variables, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with _lock_once_there(url, table):
            _wait_until_stuck(url, process, step)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _lock_once_there(url: str, table: str) -> Iterator[None]:
    """Lock the table as soon as it exists (a first run makes it)."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with locked(url, table):
                yield
            return
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            assert time.monotonic() < deadline, f"{table} never came"
            time.sleep(0.01)


def _wait_until_stuck(url: str, process: "subprocess.Popen[bytes]", step: str) -> None:
    deadline = time.monotonic() + 120
    with connect(url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            assert process.poll() is None, f"{step}: the run ended and never came by"
            stuck = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            ).fetchone()
            if stuck != (0,):
                return
            time.sleep(0.05)
    raise AssertionError(f"{step}: the run never came by")
