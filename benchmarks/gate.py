"""The gate alone: one large file, and many small ones, by the floor and by ours in this process, without Dagster.

The best of a few runs counts, each on a database of its own; before it counts, both must have published the same rows.
"""

import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from benchmarks import equal, floor, generator
from benchmarks.generator import Size
from benchmarks.production import PARTS, Stopwatch
from engage.batches import process_pending
from engage.configuration import sync
from engage.landing import land
from engage.settings import PROJECT
from engage.sources import Source
from engage.suites import load_suite
from engage.warehouse import Connection, connect, ensure_database, migrate

FEED = "vle"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
STAGES = ("load", "audit", "publish")
_HERE = Path(__file__).parent
_IDENTITIES = """
insert into pii.identity (ref_kind, ref, student_id, valid_from, valid_to)
select k.kind, k.prefix || (10000000 + n), 's' || n, '0001-01-01', '9999-12-31'
from generate_series(0, %s - 1) as n
cross join (values ('student_id', 's'), ('username', 'u'), ('email', 'e'), ('badge', '')) as k (kind, prefix);
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    floor_s: float
    ours_s: float


def measure(server: str, folder: Path, rows: int, files: int, students: int, runs: int) -> list[Row]:
    """Measure `files` files of `rows` events each; return a line per stage (one file) or one for all (several).

    `server`: URL of a Postgres server, on which databases are made and dropped; `folder`: an empty one for the files.
    Raises DifferentError.
    """
    size = Size(students, files, rows / students)
    generator.write(f"{server}/postgres", folder, size, size.history, [FEED])
    found = [_once(server, folder, size, number) for number in range(runs)]
    return [Row(stage, *(min(one[side][stage] for one in found) for side in range(2))) for stage in found[0][0]]


def _once(server: str, folder: Path, size: Size, number: int) -> tuple[dict[str, float], dict[str, float]]:
    name = f"benchmark_gate_{os.getpid()}"
    url = ensure_database(server, name)
    migrate(url)
    landing = folder / f"landing_{number}"
    try:
        with connect(url, autocommit=True) as connection:
            connection.execute(_IDENTITIES, [size.students])
            connection.execute("vacuum analyze pii.identity")
            floor.prepare(connection, [FEED])
            by_hand: dict[str, float] = floor.take_in(connection, folder, [FEED], size.history, str(NOW))
            source = _landed(connection, folder / FEED, landing)
            connection.execute("checkpoint")
            suite = load_suite(_HERE / "suites", source)
            with Stopwatch({stage: PARTS[stage] for stage in STAGES}) as watch:
                began = time.perf_counter()
                outcomes = process_pending(url, source, suite, str(landing), NOW)
                seconds = time.perf_counter() - began
            if {outcome.state for outcome in outcomes} != {"published"}:
                raise equal.DifferentError(f"not published: {outcomes[0].problem}")
            equal.rows(connection, [FEED])
    finally:
        with connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())
        shutil.rmtree(landing, ignore_errors=True)
    if size.days > 1:
        return {"batch": sum(by_hand.values()) / size.days}, {"batch": seconds / size.days}
    by_us = dict(watch.seconds)
    return by_hand | {"sum": sum(by_hand.values())}, by_us | {"sum": sum(by_us.values())}


def _landed(connection: Connection, drop: Path, landing: Path) -> Source:
    """Configure the warehouse for the source of these files, and land them."""
    content = yaml.safe_load((_HERE / "events.yaml").read_text())
    content["transport"]["folder"] = str(drop)
    source = Source.model_validate(content)
    sync(connection, PROJECT / "config", {source.id: source}, NOW)
    for look in range(2):
        land(connection, source, str(landing), NOW + timedelta(minutes=look))
    return source
