"""Replays prepared daily files through the graph: in one run, day by day through the sensors, or in shuffled portions.

Plays time with `ENGAGE_NOW`. What the files are is `oulad`'s business, what becomes of them the graph's.
"""

import os
import random
import shutil
from datetime import date, datetime, time, timedelta
from pathlib import Path

import click
import dagster as dg
from psycopg.rows import dict_row

from assets.feeds import FETCHED
from campus import oulad, servers
from campus.world import ZONE
from engage import clock, landing, runtime, warehouse
from engage.commands.output import show
from engage.settings import Settings
from engage.sources import load_sources
from orchestration import driver
from orchestration.definitions import build_defs

LOOK_AGAIN = timedelta(minutes=1)
PORTIONS = 4

SUMMARY = """
select
    source_id as source, count(distinct activity_date) as days, count(distinct student_id) as students,
    sum(events)::bigint as rows, sum(interactions)::bigint as interactions
from marts.daily_activity
group by source_id
order by source_id
"""
SCORES = """
select
    peer_group, count(distinct week_start) as weeks, count(distinct student_id) as students, count(score) as scores,
    100.0 * avg((score < 350)::int) as below_350_pct, 100.0 * avg((score < 300)::int) as below_300_pct
from marts.weekly_score
group by peer_group
order by peer_group
"""


class ReplayError(Exception):
    """A run of the replay failed; the message says which."""


def replay(settings: Settings, source: Path, daily: bool, shuffle: int | None) -> None:
    """Deliver the dataset in `source` and run the graph. Raises OuladError, ReplayError."""
    prepared, served = settings.home / "oulad" / "prepared", settings.home / "oulad" / "sftp"
    for folder in (prepared, served):
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"Preparing the daily files of {source.name} ...")
    oulad.prepare(source, prepared)
    days = list(oulad.days(prepared))
    files = [path for _, paths in days for path in paths]
    for folder in {path.parent for path in files}:
        (served / folder).mkdir(parents=True)
    click.echo(f"{len(files):,} files, {days[0][0]} to {days[-1][0]}")
    with servers.sftp_server(served, settings.home / "oulad" / "keys") as environment:
        os.environ.update(environment)
        with runtime.running(settings) as run, dg.DagsterInstance.get() as instance:
            play = _Play(settings, run, instance, prepared, served)
            end = _afternoon(days[-1][0] + timedelta(days=8))
            if daily:
                play.day_by_day(days, end)
            elif shuffle is not None:
                random.Random(shuffle).shuffle(files)
                play.in_portions(files, end)
            else:
                play.at_once(files, end)
            _report(run)


class _Play:
    """One replay: what delivers, what runs, and the clock they share."""

    def __init__(
        self, settings: Settings, run: runtime.Runtime, instance: dg.DagsterInstance, prepared: Path, served: Path
    ) -> None:
        self.run, self.instance, self.prepared, self.served = run, instance, prepared, served
        self.sources = load_sources(settings.config)
        self.defs = build_defs(settings)

    def at_once(self, files: list[Path], now: datetime) -> None:
        """One run for the whole history."""
        self._deliver(files, now)
        self._job("everything")

    def in_portions(self, files: list[Path], now: datetime) -> None:
        """Several portions through the sensors, scores at the end."""
        size = -(-len(files) // PORTIONS)
        for start in range(0, len(files), size):
            self._deliver(files[start : start + size], now)
            self._tick()
        self._job("everything")

    def day_by_day(self, days: list[tuple[date, list[Path]]], end: datetime) -> None:
        """Every day's files on the morning after, every Monday the week's scores, and the marts of days at the end."""
        by_day = dict(days)
        day, last = days[0][0], days[-1][0] + timedelta(days=7)
        while day <= last:
            now = _afternoon(day + timedelta(days=1))
            self._deliver(by_day.get(day, []), now)
            self._tick()
            if now.weekday() == 0:
                self._job("weekly_scores")
            day += timedelta(days=1)
        self._deliver([], end)
        self._job("daily_marts")

    def _deliver(self, files: list[Path], now: datetime) -> None:
        """Put files on the server and take the first of the two looks that settle them."""
        os.environ["ENGAGE_NOW"] = now.isoformat()
        oulad.deliver(files, self.prepared, self.served)
        with warehouse.connect(self.run.url) as connection:
            for source in self.sources.values():
                landing.look(connection, source, clock.now())
        os.environ["ENGAGE_NOW"] = (now + LOOK_AGAIN).isoformat()
        click.echo(f"{now:%Y-%m-%d %H:%M}: {len(files):,} files arrived")

    def _tick(self) -> None:
        self._check(*driver.tick(self.defs, self.instance, say=lambda line: click.echo(f"    {line}")))

    def _job(self, name: str) -> None:
        self._check(driver.run_job(self.defs, self.instance, name, click.echo))

    def _check(self, *results: dg.ExecuteInProcessResult) -> None:
        if failed := [result.run_id for result in results if not result.success]:
            raise ReplayError(f"a run failed: {', '.join(failed)}")
        checks = [check for result in results for check in result.get_asset_check_evaluations()]
        if left := [check for check in checks if check.check_name == FETCHED and not check.passed]:
            raise ReplayError(f"{left[0].asset_key.to_user_string()}: {left[0].description}")


def _afternoon(day: date) -> datetime:
    """By then a Monday waits for no late source any longer."""
    return datetime.combine(day, time(14, 30), ZONE)


def _report(run: runtime.Runtime) -> None:
    with warehouse.connect(run.url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        click.secho("\nDaily activity", bold=True)
        show(cursor.execute(SUMMARY).fetchall(), False, "nothing")
        click.secho("\nWeekly scores", bold=True)
        show(cursor.execute(SCORES).fetchall(), False, "no week")
