"""A real installation that the generator's files are dropped into, and real runs of its job `everything`.

Every run is a process of its own, as the daemon starts one; production.py is what happens in it. What is measured and
with what it is compared is not in here.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import yaml

from benchmarks import generator, production
from benchmarks.generator import ACTIVITY, ATTENDANCE, DIGITAL, FIRST_DAY, Size
from engage import runtime
from engage.lookout import Lookout
from engage.settings import PROJECT, Settings
from engage.sources import load_sources
from engage.warehouse import connect, ensure_database

HERE = Path(__file__).parent
ROSTER = ("students", "enrolments", "term_calendar")
_DELIVERED_AT = time_of_day(8, 30, tzinfo=UTC)
"""After the hour at which a week is due."""


@dataclass(frozen=True)
class Installation:
    """One university's warehouse, and the folder its files are dropped into."""

    url: str
    settings: Settings
    drop: Path
    size: Size
    in_process: bool
    """Quicker, for a try: every run in our own process, where what is imported stays."""

    def deliver(self, server: str, days: Iterable[date]) -> int:
        """Let the files of these days arrive; return their bytes."""
        return generator.write(server, self.drop, self.size, days)

    def run(self, day: date) -> dict[str, Any]:
        """Run everything on the morning after `day`; return what production.py measured.

        Raises RuntimeError with the end of what it said if it fails.
        """
        now = datetime.combine(day + timedelta(days=1), _DELIVERED_AT)
        sources = load_sources(self.settings.config)
        # The look before, by the sensor, is not the run's: it sees which files stand still.
        Lookout(within_s=600).look(sources.values(), lambda: connect(self.url), now - timedelta(minutes=1))
        with _variable("ENGAGE_NOW", now.isoformat()):
            if self.in_process:
                return production.run(time.monotonic())
            report = self.settings.home / "report.json"
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.production", str(report), str(time.monotonic())],
                cwd=PROJECT, capture_output=True, text=True,
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the run of {day} failed:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(report.read_text())
        return found


@contextlib.contextmanager
def installed(server: str, folder: Path, name: str, size: Size, in_process: bool = False) -> Iterator[Installation]:
    """Yield an installation in which roster and calendar are known and every mart stands, and no event has arrived.

    Its databases are dropped on leaving. The process has its environment meanwhile.
    """
    settings = _settings(server, folder / name, name)
    (drop := folder / name / "drop").mkdir()
    for feed in (*ROSTER, *generator.FEEDS):
        (drop / feed).mkdir()
    try:
        with _variable("ENGAGE_EXPECTATIONS", str(settings.expectations)), runtime.running(settings) as running:
            generator.write_roster(running.url, drop, size)
            found = Installation(running.url, settings, drop, size, in_process)
            found.run(FIRST_DAY - timedelta(days=1))
            yield found
    finally:
        with connect(f"{server}/postgres", autocommit=True) as connection:
            for database in (name, f"{name}_dagster"):
                connection.execute(f'drop database if exists "{database}" with (force)'.encode())
        shutil.rmtree(folder / name)


def _settings(server: str, folder: Path, name: str) -> Settings:
    config, expectations = folder / "config", folder / "expectations"
    (config / "sources").mkdir(parents=True)
    expectations.mkdir()
    for path in (PROJECT / "config").glob("*.yaml"):
        shutil.copy(path, config)
    events = yaml.safe_load((HERE / "events.yaml").read_text())
    contents = {
        feed: events | {"id": feed, "title": feed, "category": category, "digital": feed in DIGITAL}
        for feed, category in ACTIVITY.items()
    }
    for feed in (*ROSTER, ATTENDANCE):
        contents[feed] = yaml.safe_load((PROJECT / "config" / "sources" / f"{feed}.yaml").read_text())
    for feed, content in contents.items():
        pattern = feed + r"_(?P<day>\d{8})\.csv"
        content["transport"] = {"kind": "file_drop", "folder": str(folder / "drop" / feed), "pattern": pattern}
        (config / "sources" / f"{feed}.yaml").write_text(yaml.safe_dump(content))
        suite = HERE / "suites" / "vle.yaml" if feed in ACTIVITY else PROJECT / "expectations" / f"{feed}.yaml"
        shutil.copy(suite, expectations / f"{feed}.yaml")
    home = folder / "home"
    # One parse of the dbt project serves every installation.
    home.mkdir()
    (folder.parent / "dbt").mkdir(exist_ok=True)
    (home / "dbt").symlink_to(folder.parent / "dbt")
    return replace(
        Settings.from_environment(),
        config=config,
        expectations=expectations,
        home=home,
        landing_url=str(home / "landing"),
        database_url=ensure_database(server, name),
        dagster_url=None,
    )


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
