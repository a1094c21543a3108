"""How fast Dagster's own tables grow while nothing arrives: many sources, the real daemon, rows and bytes per hour.

`python -m benchmarks.idle [--sources 25] [--minutes 10]`. What is measured with rows is not in here.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import yaml

from engage import runtime
from engage.settings import PROJECT, Settings
from engage.warehouse import connect
from orchestration import driver, up
from orchestration.definitions import build_defs

STARTS_WITHIN_S = 300
TABLES = "select tablename from pg_tables where schemaname = 'public' order by tablename"
Sizes = dict[str, tuple[int, int]]


def settings_of(folder: Path, sources: int) -> Settings:
    """Write a configuration of so many empty drop folders, each with the suite of the library gates."""
    content = yaml.safe_load((PROJECT / "config" / "sources" / "library_gates.yaml").read_text())
    suite = (PROJECT / "expectations" / "library_gates.yaml").read_bytes()
    (folder / "config" / "sources").mkdir(parents=True)
    (folder / "expectations").mkdir()
    (folder / "config" / "scoring.yaml").write_bytes((PROJECT / "config" / "scoring.yaml").read_bytes())
    if (messaging := PROJECT / "config" / "messaging.yaml").exists():
        (folder / "config" / "messaging.yaml").write_bytes(messaging.read_bytes())
    for number in range(sources):
        name = f"gates_{number:02}"
        drop = folder / "drop" / name
        drop.mkdir(parents=True)
        transport = {"kind": "file_drop", "folder": str(drop), "pattern": r"gates_(?P<day>\d{8})\.csv"}
        one = content | {"id": name, "title": name, "transport": transport}
        (folder / "config" / "sources" / f"{name}.yaml").write_text(yaml.safe_dump(one))
        (folder / "expectations" / f"{name}.yaml").write_bytes(suite)
    home = folder / "home"
    settings = Settings.from_environment()
    return replace(
        settings,
        config=folder / "config",
        expectations=folder / "expectations",
        home=home,
        landing_url=str(home / "landing"),
        database_url=None,
        dagster_url=None,
    )


def sizes(url: str) -> Sizes:
    """Return rows and bytes of rows of every table of Dagster's storage (indexes and free space not counted)."""
    with connect(url) as connection:
        found = {}
        for (table,) in connection.execute(TABLES).fetchall():
            query = f'select count(*), coalesce(sum(pg_column_size(t.*)), 0) from "{table}" as t'
            ((rows, size),) = connection.execute(query.encode()).fetchall()
            found[str(table)] = (int(str(rows)), int(str(size)))
        return found


def growth(before: Sizes, after: Sizes) -> Sizes:
    """Return what came to each table that grew."""
    grown = {name: (rows - before[name][0], size - before[name][1]) for name, (rows, size) in after.items()}
    return {name: one for name, one in grown.items() if any(one)}


def say(title: str, grown: Sizes, times: float) -> None:
    """Print what came to each table, `times` as often."""
    print(f"\n{title}")
    for name, (rows, size) in [*grown.items(), ("all", tuple(map(sum, zip(*grown.values(), strict=True))) or (0, 0))]:
        print(f"  {name:28} {rows * times:9,.0f} rows {size * times / 1024:9,.1f} KiB")


def _wait_for_ticks(services: up.Services, url: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while sizes(url)["job_ticks"][0] < 10:
        if services.wait(5) or time.monotonic() > deadline:
            raise SystemExit("the daemon does not tick")


def main() -> None:
    """Measure, and print what an hour adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--port", type=int, default=3099)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        settings = settings_of(Path(name), given.sources)
        os.environ["ENGAGE_EXPECTATIONS"] = str(settings.expectations)
        with runtime.running(settings) as run:
            with up.services(run, given.port) as services:
                _wait_for_ticks(services, run.dagster_url)
                before, began = sizes(run.dagster_url), time.monotonic()
                services.wait(given.minutes * 60)
                ticks, seconds = growth(before, sizes(run.dagster_url)), time.monotonic() - began
            say(
                f"{given.sources} idle sources, an hour of ticks (from {seconds / 60:.1f} minutes)",
                ticks,
                3600 / seconds,
            )
            defs = build_defs(settings)
            with dg.DagsterInstance.get() as instance:
                for job, often in [("freshness", "every hour"), ("daily_marts", "every night")]:
                    driver.run_job(defs, instance, job)
                    before = sizes(run.dagster_url)
                    driver.run_job(defs, instance, job)
                    say(f"One run of {job}, {often}", growth(before, sizes(run.dagster_url)), 1)


if __name__ == "__main__":
    main()
