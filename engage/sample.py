"""Trying a file out: a sample goes through load and audit as if its source had delivered it, and leaves nothing behind.

It is matched with the students of the real warehouse, in working tables of its own. Nothing is entered into the
ledger, quarantined or published.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo

from psycopg import sql

from engage import ledger, suites
from engage.audit import Auditor, Verdict
from engage.connectors.files import Entry, remotes
from engage.examine import Examined, Examiner
from engage.landing import Delivery
from engage.load import WorkingTables
from engage.publish import Publisher
from engage.sources import Source
from engage.strict import ConfigurationError
from engage.suites import Suite
from engage.text import UnreadableError
from engage.transports import FileDrop, Sftp
from engage.warehouse import connect

_NAME = "$sample"
"""What the working tables are called after: no source is called so. The next check clears what a killed one left."""


@dataclass(frozen=True)
class Tried:
    """What would become of a file. Names rules, headings and numbers; never a value of a row."""

    summary: dict[str, object]
    rules: list[dict[str, object]]
    """As `engage batch show` has them."""
    is_publishable: bool


def try_out(url: str, source: Source, suite: Suite, path: Path) -> Tried:
    """Load and audit the file at `path` for `source`. `url`: of the warehouse.

    Waits while another sample is tried. Raises ConfigurationError, OSError.
    """
    delivery, notes = _delivery(source, path)
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.sample'))")
        row = connection.execute("select time_zone, min_quality from ops.scoring_parameter").fetchone()
        if row is None:
            raise ConfigurationError("ops.scoring_parameter is empty: the configuration was never synchronised")
        zone, min_quality = cast(tuple[str, float], row)
        tables = WorkingTables(connection, source, zone, _NAME)
        try:
            suites.try_out(connection, suite, tables.rows)
            with Auditor(url, f"rows_{_NAME}", suite, min_quality) as auditor:
                publisher = Publisher(connection, source, suite, tables)
                examiner = Examiner(connection, source, ZoneInfo(zone), tables, auditor, publisher)
                delivery = examiner.dated(delivery)
                try:
                    examined = examiner.examine(delivery, lambda: cast(BinaryIO, path.open("rb")))
                except UnreadableError as error:
                    examined = Examined(None, ledger.NOTHING, Verdict([], 0.0, f"{path.name}: {error}"))
            days = sorted(day for day, covered in publisher.days(delivery, examined.loaded).items() if covered)
            strangers = None
            if source.kind.names_student:
                count = sql.SQL("select count(distinct unknown_student) from {}").format(tables.rows)
                strangers = connection.execute(count).fetchone()
        finally:
            tables.drop()
    loaded, found, verdict = examined.loaded, examined.found, examined.verdict
    summary: dict[str, object] = {
        "source": source.id,
        "file": path.name,
        "outcome": "would be held" if verdict.objection else "would be published",
        "why": verdict.objection,
        "quality_score": round(verdict.score, 1),
        "rows_read": loaded.rows_read if loaded else None,
        "dropped": loaded.dropped if loaded else {},
        "rows_good": found.good,
        "rows_bad": found.bad,
        "unknown_students": strangers[0] if strangers else None,
        "first_day": days[0] if days else None,
        "last_day": days[-1] if days else None,
        "days_covered": len(days),
        "notes": [*notes, *(loaded.notes if loaded else ())],
    }
    rules: list[dict[str, object]] = [
        {
            "rule": r.rule_id,
            "scope": r.scope,
            "critical": r.is_critical,
            "weight": r.weight,
            "rows_checked": r.rows_checked,
            "rows_failed": r.rows_failed,
            "met_pct": 100 * r.share_met,
            "problem": r.problem,
        }
        for r in sorted(verdict.results, key=lambda r: (r.share_met, r.rule_id))
    ]
    return Tried(summary, rules, verdict.objection is None)


def _delivery(source: Source, path: Path) -> tuple[Delivery, list[str]]:
    """Return the file as the ledger would have it, and what is odd about its name."""
    about = path.stat()
    modified_at = datetime.fromtimestamp(about.st_mtime, UTC)
    first_day = last_day = None
    notes = []
    if isinstance(source.transport, Sftp | FileDrop):
        entry = Entry(path.name, about.st_size, modified_at, is_file=True)
        (remote,) = remotes(source.transport, [entry]) or (None,)
        if remote is None:
            notes.append("its name does not match transport.pattern: it would never be collected under this name")
        elif remote.problem:
            notes.append(remote.problem)
        else:
            first_day, last_day = remote.first_day, remote.last_day
    delivery = Delivery(
        delivery_id=0,
        source_id=source.id,
        content_hash="",
        name=path.name,
        size_bytes=about.st_size,
        version_at=modified_at,
        window_start=None,
        window_end=None,
        first_day=first_day,
        last_day=last_day,
        landed_path="",
        landed_at=modified_at,
        read_to=None,
    )
    return delivery, notes
