"""Retention: what is past its period is told, taken out, and proved to be gone.

The order of these steps, and the record of them, is here; what goes how, in old_partitions.py, old_rows.py and
old_files.py. May be killed anywhere and run again.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from engage import weekly
from engage.decisions import DecisionError
from engage.privacy import holds, places
from engage.privacy.old_files import OldFiles, OldLanded, old_files
from engage.privacy.old_partitions import OldPartitions
from engage.privacy.old_rows import Finding, OldRows, old_rows
from engage.privacy.periods import Periods, SourcePeriod, check_classes, load_periods, of_sources, today
from engage.sources import load_sources
from engage.warehouse import Connection, connect

LOOKS_BACK = timedelta(days=210)
"""What is made of a day or a week rests on rows that are so much older at most: trends on half a year of weeks."""
_HISTORY = ("marts", "notifications", "cases", "exemptions")
_KEPT_FROM = """
insert into ops.kept_from as k (kind, source_id, day) values (%s, %s, %s)
on conflict (kind, source_id) do update set day = greatest(k.day, excluded.day)
"""
_NOTE = """
insert into ops.deletion as d (run_id, place, older_than, rows, held, way, deleted_at)
values (%(run)s, %(place)s, %(older)s, %(rows)s, %(held)s, %(way)s, %(now)s)
on conflict (run_id, place, way) do update set rows = d.rows + excluded.rows
"""
_LOG = """
select
    r.run_id, r.kind, r.begun_at, r.finished_at, r.asked_by, r.reason, d.place, d.way, d.older_than, d.rows, d.held,
    r.rows_left
from ops.deletion_run as r
left join ops.deletion as d using (run_id)
order by r.run_id, d.place, d.way
"""


@dataclass(frozen=True)
class Ran:
    """What a run did."""

    run_id: int
    taken: list[Finding]
    """Places of which something went."""
    left: list[Finding]
    """What should be gone and is not: nothing, unless it came to be past its period meanwhile."""


@dataclass(frozen=True)
class _Plan:
    """All that may be past its period, as it is to be looked at and taken."""

    partitions: list[OldPartitions]
    landed: list[OldLanded]
    rows: list[OldRows]
    files: list[OldFiles]

    def found(self, connection: Connection) -> list[Finding]:
        return [
            *(one.find() for one in self.partitions),
            *(one.find() for one in self.landed),
            *(one.find(connection) for one in self.rows),
            *(one.find() for one in self.files),
        ]


def look(connection: Connection, config: Path, home: Path, store_url: str, now: datetime) -> list[Finding]:
    """Return for every place what is past its period, and what is held back. Raises ConfigurationError."""
    return _plan(connection, config, home, store_url, now)[0].found(connection)


def run(url: str, config: Path, home: Path, store_url: str, by: str, reason: str | None, now: datetime) -> Ran:
    """Take out everything that is past its period, and prove it. Raises ConfigurationError, DecisionError."""
    if not by.strip():
        raise DecisionError("a run of retention needs the name of who asks for it")
    with connect(url, autocommit=True) as connection, deleting(connection):
        plan, sources, periods = _plan(connection, config, home, store_url, now)
        before = {one.place: one for one in plan.found(connection)}
        run_id = begin(connection, "retention", by, reason, now, periods=periods)
        _settle(connection, sources, before)
        for one in plan.partitions:
            with _no_batch(connection, one.source.source_id):
                one.take(_Notes(connection, run_id, before[one.place], now).note)
        for landed in plan.landed:
            with _no_batch(connection, landed.source.source_id):
                landed.take(_Notes(connection, run_id, before[landed.place], now).note, now)
        # Not while dbt makes anew what is taken out here.
        with weekly.one_at_a_time(url):
            for rows in plan.rows:
                _take(connection, rows, _Notes(connection, run_id, before[rows.place], now))
        for files in plan.files:
            files.take(_Notes(connection, run_id, before[files.place], now).note)
        left = [one for one in look(connection, config, home, store_url, now) if one.rows]
        finish(connection, run_id, now, sum(one.rows for one in left))
    return Ran(run_id, [one for one in before.values() if one.rows], left)


def log(connection: Connection) -> list[dict[str, Any]]:
    """Return every deletion ever made: counts, and who asked."""
    return connection.cursor(row_factory=dict_row).execute(_LOG).fetchall()


def begin(
    connection: Connection,
    kind: str,
    by: str,
    reason: str | None,
    now: datetime,
    periods: Periods | None = None,
    request_id: int | None = None,
) -> int:
    """Enter a run of deletions; return its number."""
    row = connection.execute(
        "insert into ops.deletion_run (kind, request_id, begun_at, asked_by, reason, periods)"
        " values (%s, %s, %s, %s, %s, %s) returning run_id",
        [kind, request_id, now, by, reason, Jsonb(periods.model_dump() if periods else {})],
    ).fetchone()
    return int(str(row[0])) if row else 0


def finish(connection: Connection, run_id: int, now: datetime, rows_left: int) -> None:
    """Enter the end of a run, and what the proof found."""
    connection.execute(
        "update ops.deletion_run set finished_at = %s, rows_left = %s where run_id = %s", [now, rows_left, run_id]
    )


def note(connection: Connection, run_id: int, finding: Finding, way: str, rows: int, now: datetime) -> None:
    """Enter what went, in the transaction in which it goes."""
    connection.execute(
        _NOTE,
        {
            "run": run_id,
            "place": finding.place,
            "older": None if finding.older_than == date.max else finding.older_than,
            "rows": rows,
            "held": finding.held,
            "way": way,
            "now": now,
        },
    )


@contextlib.contextmanager
def deleting(connection: Connection) -> Iterator[None]:
    """Let nobody else delete or place a legal hold meanwhile."""
    connection.execute("select pg_advisory_lock(hashtext('engage.deletion'))")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtext('engage.deletion'))")


@contextlib.contextmanager
def _no_batch(connection: Connection, source_id: str) -> Iterator[None]:
    """Let no batch of the source be loaded meanwhile: it would bring back what goes."""
    key = "hashtext('engage.batches'), hashtext(%s)"
    connection.execute(f"select pg_advisory_lock({key})".encode(), [source_id])
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(f"select pg_advisory_unlock({key})".encode(), [source_id])


@dataclass(frozen=True)
class _Notes:
    connection: Connection
    run_id: int
    finding: Finding
    now: datetime

    def note(self, way: str, rows: int) -> None:
        note(self.connection, self.run_id, self.finding, way, rows, self.now)


def _take(connection: Connection, rows: OldRows, notes: _Notes) -> None:
    gone = 1
    while gone:
        with connection.transaction():
            if gone := rows.take(connection):
                notes.note(rows.way, gone)


def _settle(connection: Connection, sources: Sequence[SourcePeriod], found: Mapping[str, Finding]) -> None:
    """Note what is not made anew any more, before anything goes: a run that is killed leaves no day half told."""
    settled = []
    for one in sources:
        if one.kept_from:
            connection.execute(_KEPT_FROM, ["source", one.source_id, one.kept_from])
        if one.kept_from and one.record == "enrolments" and found[f"raw.enrolments ({one.source_id})"].rows:
            settled.append(one.kept_from)
    history = [one for one in found.values() if one.keep in _HISTORY and one.rows]
    settled += [one.older_than + LOOKS_BACK for one in history]
    if settled:
        connection.execute(_KEPT_FROM, ["settled", "", max(settled)])
    if marts := [one.older_than for one in history if one.keep == "marts"]:
        connection.execute(_KEPT_FROM, ["marts", "", max(marts)])


def _plan(
    connection: Connection, config: Path, home: Path, store_url: str, now: datetime
) -> tuple[_Plan, list[SourcePeriod], Periods]:
    periods, declared = load_periods(config), load_sources(config, drafts=True)
    day, known, held = today(connection, now), places.places(connection), holds.held(connection)
    check_classes(config, known)
    sources = of_sources(connection, day)
    old = [one for one in sources if one.kept_from]
    return (
        _Plan(
            [OldPartitions(connection, one, held) for one in old],
            [OldLanded(connection, store_url, one, declared.get(one.source_id), held) for one in old],
            old_rows(connection, known, periods, old, day, held),
            old_files(connection, home, periods, known, day, held),
        ),
        sources,
        periods,
    )
