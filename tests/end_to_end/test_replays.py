"""A slice of real data in one run, in shuffled portions, day by day through the sensors, on an installation that works
differently, killed at every step, and once more: the marts are the same. In one file, so that one replay serves all.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from engage import postgres
from engage.warehouse import connect, ensure_database
from tests.conftest import Home
from tests.end_to_end.conftest import (
    CHECKOUT,
    ENGAGE,
    OULAD_PROFILE,
    engage,
    environment,
    fingerprints,
    marts,
    warehouse_of,
)
from tests.end_to_end.slices import cut

Marts = dict[str, list[tuple[object, ...]]]
# Every plan in parallel and through sorts, little memory, and another idea of times and of the order of hashes.
OTHERWISE = {
    "PGOPTIONS": " ".join(
        f"-c{name}={value}"
        for name, value in {
            "parallel_setup_cost": 0,
            "parallel_tuple_cost": 0,
            "min_parallel_table_scan_size": 0,
            "max_parallel_workers_per_gather": 4,
            "enable_hashagg": "off",
            "enable_hashjoin": "off",
            "timezone": "Pacific/Auckland",
        }.items()
    ),
    "TZ": "Pacific/Auckland",
    "PYTHONHASHSEED": "7",
}
STEPS = {
    "land": "ops.delivery",
    "publish": "ops.rule_result",
    "load": "load.rows_enrolments",
    "audit": "load.rows_oulad_vle",
    "daily dbt": "ops.touched_day",
    "weekly dbt": "marts.weekly_score",
    "evaluate": "ops.action",
    "deliver": "ops.outbox",
}
"""What a run waits for in each step when somebody else has locked it."""


@pytest.fixture(scope="session")
def piece(tmp_path_factory: pytest.TempPathFactory, oulad_dir: Path) -> Path:
    return cut(oulad_dir, tmp_path_factory.mktemp("slice") / "oulad", students=60, first=-1, last=9)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, new_home: Home, piece: Path) -> Iterator[Path]:
    """The home of a replay in one run."""
    home = new_home(tmp_path_factory.mktemp("once") / "home")
    done = engage(home, "replay", "oulad", str(piece), **OULAD_PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    with postgres.running(home / "postgres"):  # else whoever looks would start and stop it
        yield home


@pytest.fixture(scope="session")
def in_one_run(once: Path) -> Marts:
    with warehouse_of(once) as connection:
        found = marts(connection)
    assert len(found["daily_activity"]) > 100
    assert len(found["weekly_score"]) > 50
    return found


@pytest.mark.parametrize("how", [["--shuffle", "11"], ["--daily"]], ids=["shuffled", "daily"])
def test_any_order_gives_the_same_marts(
    how: list[str], tmp_path: Path, new_home: Home, piece: Path, in_one_run: Marts
) -> None:
    done = engage(new_home(tmp_path / "home"), "replay", "oulad", str(piece), *how, **OULAD_PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    with warehouse_of(tmp_path / "home") as connection:
        assert marts(connection) == in_one_run


def exported(home: Path) -> dict[str, bytes]:
    done = engage(home, "export", str(home / "marts"), "--json", **OULAD_PROFILE)
    assert done.returncode == 0, done.stderr
    files = {path.stem: path.read_bytes() for path in (home / "marts").iterdir()}
    assert {one["mart"] for one in json.loads(done.stdout)} == set(files)
    return files


def test_every_mart_is_exported_with_the_same_bytes(tmp_path: Path, new_home: Home, piece: Path, once: Path) -> None:
    done = engage(new_home(tmp_path / "home"), "replay", "oulad", str(piece), **OULAD_PROFILE, **OTHERWISE)
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = exported(once), exported(tmp_path / "home")
    assert [name for name in one if one[name] != other.get(name)] == []
    assert set(other) == set(one) >= {"daily_activity", "student", "weekly_score", "weekly_score_part", "notification"}
    assert one["weekly_score"].count(b"\n") > 50


@contextmanager
def locked(url: str, table: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Hold a table so that nobody can read or write it."""
    with connect(url) as connection:
        connection.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(*table.split("."))))
        yield connection


def test_killed_at_every_step_and_run_again(
    postgres_url: str, tmp_path: Path, new_home: Home, piece: Path, in_one_run: Marts
) -> None:
    url = ensure_database(postgres_url, "killed")
    home = new_home(tmp_path / "home")
    extra = {**OULAD_PROFILE, "ENGAGE_DATABASE_URL": url}
    for step, table in STEPS.items():
        _kill_in(step, table, url, environment(home, **extra), piece)
    done = engage(home, "replay", "oulad", str(piece), **extra)
    assert done.returncode == 0, done.stdout + done.stderr
    with connect(url) as connection:
        assert marts(connection) == in_one_run
        assert connection.execute("select count(*) from ops.touched_day").fetchone() == (0,)
        assert connection.execute("select count(*) from ops.batch where state = 'loading'").fetchone() == (0,)


def test_the_same_files_again_change_nothing(once: Path, piece: Path) -> None:
    with warehouse_of(once) as connection:
        before = fingerprints(connection)
    done = engage(once, "replay", "oulad", str(piece), **OULAD_PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    with warehouse_of(once) as connection:
        assert fingerprints(connection) == before


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
