"""Batches: every landed delivery that has no finished batch is loaded, audited and published, one after another.

The only module that knows the order of these steps. May be killed anywhere and started again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import cast
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row
from sqlalchemy.exc import SQLAlchemyError

from engage import decisions, ledger, suites
from engage.audit import Auditor, RuleResult, Verdict
from engage.examine import Examined, Examiner
from engage.landing import Delivery, open_delivery
from engage.load import WorkingTables
from engage.publish import Batch, Publisher
from engage.sources import ConfigurationError, Source
from engage.suites import Suite
from engage.text import FormatError, UnreadableError
from engage.warehouse import Connection, connect

_FAULTS = (
    *(psycopg.Error, SQLAlchemyError, OSError, EOFError, MemoryError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)
"""What one odd delivery may raise on its way; it must not keep the next ones waiting."""
_WAITING = f"""
select {", ".join(f"d.{column.name}" for column in fields(Delivery))}
from ops.delivery as d left join ops.batch as b using (delivery_id)
where
    d.source_id = %s and d.delivery_id <> all(%s) and d.deleted_at is null
    and case when %s then b.is_stale else b.state is null or b.state = 'loading' end
order by d.version_at, d.name, d.content_hash
"""  # noqa: S608


class BatchError(Exception):
    """A batch could not be processed, though not for a known fault of the delivery; it stays waiting."""


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a delivery. Names rules, files and numbers; never a value of a row."""

    batch_id: int
    delivery_id: int
    name: str
    state: str
    """published, held, superseded or rejected."""
    first_day: date | None
    last_day: date | None
    rows_read: int
    rows_dropped: int
    rows_accepted: int
    rows_quarantined: int
    quality_score: float
    """0-100."""
    rules: list[RuleResult] = field(repr=False)
    problem: str | None
    """Why it was held, in plain words."""
    notes: tuple[str, ...]
    """What was unusual and did not stop it."""
    days_touched: int
    """Days whose published rows changed."""


def process_pending(
    url: str,
    source: Source,
    suite: Suite,
    store_url: str,
    now: datetime,
    progress: Callable[[BatchOutcome], None] = lambda outcome: None,
) -> list[BatchOutcome]:
    """Process every delivery of `source` that waits, oldest version first, then batches that became stale.

    Each is published or held in a transaction of its own. Waits while another process works on the same source.
    One that cannot be processed does not keep the others waiting: BatchError names all of them at the end.
    Raises BatchError, ConfigurationError.
    """
    outcomes: list[BatchOutcome] = []
    failed: dict[int, str] = {}
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.batches'), hashtext(%s))", [source.id])
        if not (waiting := _waiting(connection, source)):
            return outcomes
        parameters = connection.execute("select time_zone, min_quality from ops.scoring_parameter").fetchone()
        if parameters is None:
            raise ConfigurationError("ops.scoring_parameter is empty: the configuration was never synchronised")
        zone, min_quality = cast(tuple[str, float], parameters)
        # What is written before publishing may be lost: it is done again.
        connection.execute("set synchronous_commit = off")
        # Of a large file the hash tables stay in memory; a small one takes no more for it.
        connection.execute("set work_mem = '128MB'")
        tables = WorkingTables(connection, source, zone)
        suites.try_out(connection, suite, tables.rows)
        with Auditor(url, f"rows_{source.id}", suite, min_quality) as auditor:
            publisher = Publisher(connection, source, suite, tables)
            examiner = Examiner(connection, source, ZoneInfo(zone), tables, auditor, publisher)
            gate = _Gate(connection, source, store_url, examiner, publisher)
            while waiting:
                for delivery in waiting:
                    try:
                        outcomes.append(gate.process(delivery, now))
                    except BatchError as error:
                        failed[delivery.delivery_id] = str(error)
                    else:
                        progress(outcomes[-1])
                waiting = _waiting(connection, source, list(failed))
    if failed:
        raise BatchError("; ".join(failed.values())) from None
    return outcomes


def _waiting(connection: Connection, source: Source, failed: Sequence[int] = ()) -> list[Delivery]:
    """Return the deliveries without a finished batch, oldest first; if there are none, those of stale batches.

    `failed`: ids of those that are not to be tried again.
    """
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        for is_stale in (False, True):
            cursor.execute(_WAITING, [source.id, list(failed), is_stale])
            if found := cursor.fetchall():
                return found
    return []


@dataclass(frozen=True)
class _Gate:
    """Takes one delivery after another through load, audit and publish."""

    connection: Connection
    source: Source
    store_url: str
    examiner: Examiner
    publisher: Publisher

    def process(self, delivery: Delivery, now: datetime) -> BatchOutcome:
        """Load, audit and publish one delivery, or do what was decided about it. Raises BatchError."""
        delivery = self.examiner.dated(delivery)
        if not self.source.kind.names_student:
            return self._process(delivery, now)
        # Who a reference names must not change between loading and publishing.
        self.connection.execute("select pg_advisory_lock_shared(hashtext('engage.identity'))")
        try:
            return self._process(delivery, now)
        finally:
            self.connection.execute("select pg_advisory_unlock_shared(hashtext('engage.identity'))")

    def _process(self, delivery: Delivery, now: datetime) -> BatchOutcome:
        batch = self._begin(delivery, now)
        self.publisher.heed(batch.decided)
        try:
            try:
                if batch.decided.whole == "reject":
                    return self._rejected(batch, now)
                examined = self.examiner.examine(delivery, lambda: open_delivery(self.store_url, delivery.landed_path))
            except UnreadableError as error:
                if batch.was_published:
                    raise BatchError(f"{delivery.name}: was published, and now {error}") from error
                verdict = Verdict([], 0.0, f"{delivery.name}: {error}", is_drift=isinstance(error, FormatError))
                examined = Examined(None, ledger.NOTHING, verdict)
            loaded, found, verdict = examined.loaded, examined.found, examined.verdict
            published = self.publisher.publish(batch, loaded, found, verdict, now)
        except FileNotFoundError:
            raise BatchError(f"{delivery.name}: its bytes are not in the landing store any more") from None
        except _FAULTS as error:
            if self.connection.closed:
                raise
            # The message of the error may quote a row: only its kind is told.
            said = f"cannot be processed ({type(error).__name__})"
            if isinstance(error, psycopg.Error):
                said = f"the database refuses it, SQLSTATE {error.sqlstate}"
            raise BatchError(f"{delivery.name}: {said}") from None
        return BatchOutcome(
            batch_id=batch.batch_id,
            delivery_id=delivery.delivery_id,
            name=delivery.name,
            state=published.state,
            first_day=delivery.first_day,
            last_day=delivery.last_day,
            rows_read=loaded.rows_read if loaded else 0,
            rows_dropped=loaded.rows_dropped if loaded else 0,
            rows_accepted=published.rows_accepted,
            rows_quarantined=published.rows_quarantined,
            quality_score=verdict.score,
            rules=verdict.results,
            problem=verdict.objection,
            notes=loaded.notes if loaded else (),
            days_touched=published.days_touched,
        )

    def _rejected(self, batch: Batch, now: datetime) -> BatchOutcome:
        """Close a batch that a person rejected, whatever it is that keeps it from being loaded."""
        done, delivery = self.publisher.reject(batch, now), batch.delivery
        return BatchOutcome(
            batch_id=batch.batch_id,
            delivery_id=delivery.delivery_id,
            name=delivery.name,
            state=done.state,
            first_day=delivery.first_day,
            last_day=delivery.last_day,
            rows_read=0,
            rows_dropped=0,
            rows_accepted=0,
            rows_quarantined=done.rows_quarantined,
            quality_score=0.0,
            rules=[],
            problem=None,
            notes=(),
            days_touched=done.days_touched,
        )

    def _begin(self, delivery: Delivery, now: datetime) -> Batch:
        """Enter the attempt."""
        names = self.source.identified_by if self.source.kind.names_student else None
        found = self.connection.execute(
            """
            insert into ops.batch (delivery_id, source_id, state, ref_kind, started_at)
            values (%s, %s, 'loading', %s, %s)
            on conflict (delivery_id) do update set attempts = ops.batch.attempts + 1, started_at = excluded.started_at
            returning batch_id, attempts = 1, state = 'published', (
                select d.redacted_at is not null from ops.delivery as d where d.delivery_id = ops.batch.delivery_id
            )
            """,
            [delivery.delivery_id, self.source.id, names, now],
        ).fetchone()
        batch_id, is_first_attempt, was_published, is_redacted = cast(tuple[int, bool, bool, bool], found)
        decided = decisions.UNDECIDED if is_first_attempt else decisions.taken(self.connection, batch_id)
        return Batch(batch_id, delivery, is_first_attempt, was_published, decided, is_redacted)
