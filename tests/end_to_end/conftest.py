"""What the end-to-end tests share: running our commands as a user would, and reading what they left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from engage import postgres, warehouse

CHECKOUT = Path(__file__).parents[2]
ENGAGE = Path(sys.executable).with_name("engage")
OULAD_PROFILE = {"ENGAGE_CONFIG": str(CHECKOUT / "config" / "profiles" / "oulad")}
WHEN = {"published_at", "data_as_of", "judged_at", "freshness", "last_delivery_at", "last_event_at", "quality_score"}
WHEN |= {"notification_id", "noticed_at", "raised_at", "resolved_at", "reason", "in_use_from"}
"""Columns that say when something was made, or what was thought of it at the time; replays of other orders differ."""
# How long a source is watched before its first delivery, and what was held or taken back on the way to what stands,
# depends on the times that are played.
ONLY = {"source_health": "where covered", "notification": "where status = 'raised'"}


def environment(home: Path, **extra: str) -> dict[str, str]:
    """Return a user's environment: none of ours but the home, and what is added."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ENGAGE_", "DAGSTER_", "CAMPUS_", "DBT_"))}
    return {**kept, "ENGAGE_HOME": str(home), **extra}


def engage(home: Path, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run `engage ...` to its end, in the checkout."""
    return subprocess.run(
        [str(ENGAGE), *words], cwd=CHECKOUT, env=environment(home, **extra), capture_output=True, text=True, timeout=900
    )


@contextmanager
def warehouse_of(home: Path) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Open the embedded warehouse that a command left in `home`."""
    with postgres.running(home / "postgres") as url, warehouse.connect(f"{url}/engage") as connection:
        yield connection


def marts(
    connection: psycopg.Connection[tuple[object, ...]], without: set[str] = WHEN
) -> dict[str, list[tuple[object, ...]]]:
    """Return every mart's rows in a fixed order, without the columns named."""
    columns: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "select table_name, column_name from information_schema.columns where table_schema = 'marts' order by 1, 2"
    ).fetchall():
        if column not in without:
            columns.setdefault(str(table), []).append(f'"{column}"')
    return {
        table: connection.execute(
            f"select {', '.join(names)} from marts.{table} {ONLY.get(table, '')} order by {', '.join(names)}"
        ).fetchall()
        for table, names in columns.items()
    }


def fingerprints(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Return of every mart how many rows it has and a sum over them, for marts too large to be read twice."""
    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
    ).fetchall()
    query = "select count(*), sum(hashtextextended(t::text, 0)::numeric) from marts.{} as t"
    return {
        str(table): connection.execute(sql.SQL(query).format(sql.Identifier(str(table)))).fetchall()[0]
        for (table,) in tables
    }


def processes_over(folder: Path) -> list[str]:
    """Return the command lines of running processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


@pytest.fixture(scope="session")
def oulad_dir() -> Path:
    """The three presentations of the Open University dataset."""
    return CHECKOUT / "tests" / "data" / "oulad"
