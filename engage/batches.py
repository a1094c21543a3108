"""Batches: every landed delivery that has no finished batch is loaded, audited and published, one after another.

The only module that knows the order of these steps. May be killed anywhere and started again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row
from sqlalchemy.exc import SQLAlchemyError

from engage import ledger, suites
from engage.audit import Auditor, RuleResult, Verdict
from engage.landing import Delivery, open_delivery
from engage.load import WorkingTables
from engage.publish import LONGEST, Batch, Publisher
from engage.sources import ConfigurationError, Source
from engage.suites import Suite
from engage.text import UnreadableError
from engage.warehouse import Connection, connect

_FAULTS = (
    *(psycopg.Error, SQLAlchemyError, OSError, EOFError, MemoryError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)
"""What one odd delivery may raise on its way; it must not keep the next ones waiting."""


class BatchError(Exception):
    """A batch could not be processed, though not for a known fault of the delivery; it stays waiting."""


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a delivery. Names rules, files and numbers; never a value of a row."""

    batch_id: int
    delivery_id: int
    name: str
    state: str
    """published, held or superseded."""
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
        tables = WorkingTables(connection, source, zone)
        suites.try_out(connection, suite, tables.rows)
        with Auditor(url, f"rows_{source.id}", suite, min_quality) as auditor:
            publisher = Publisher(connection, source, suite, tables)
            gate = _Gate(connection, source, store_url, ZoneInfo(zone), tables, auditor, publisher)
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
            cursor.execute(
                """
                select d.* from ops.delivery as d left join ops.batch as b using (delivery_id)
                where
                    d.source_id = %s and d.delivery_id <> all(%s)
                    and case when %s then b.is_stale else b.state is null or b.state = 'loading' end
                order by d.version_at, d.name, d.content_hash
                """,
                [source.id, list(failed), is_stale],
            )
            if found := cursor.fetchall():
                return found
    return []


@dataclass(frozen=True)
class _Gate:
    """Takes one delivery after another through load, audit and publish."""

    connection: Connection
    source: Source
    store_url: str
    zone: ZoneInfo
    tables: WorkingTables
    auditor: Auditor
    publisher: Publisher

    def process(self, delivery: Delivery, now: datetime) -> BatchOutcome:
        """Load, audit and publish one delivery. Raises BatchError."""
        if self.source.relation == "snapshot" and delivery.first_day is None:
            as_of = delivery.version_at.astimezone(self.zone).date()
            delivery = replace(delivery, first_day=as_of, last_day=as_of)
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
        loaded, found = None, ledger.NOTHING
        try:
            try:
                self._refuse_misnamed(delivery)
                loaded = self.tables.load(delivery, lambda: open_delivery(self.store_url, delivery.landed_path))
                found = self.publisher.count()
                verdict = self.auditor.judge(self._facts(delivery), found.share_good)
                if repeated := self.publisher.leave_out_repeats():
                    note = f"{repeated:,} duplicate rows: the last with an event id counts"
                    dropped = loaded.dropped | {"the same event id once more": repeated}
                    loaded = replace(loaded, dropped=dropped, notes=(*loaded.notes, note))
                    found = replace(found, good=found.good - repeated)
            except UnreadableError as error:
                if batch.was_published:
                    raise BatchError(f"{delivery.name}: was published, and now {error}") from error
                verdict = Verdict([], 0.0, f"{delivery.name}: {error}")
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

    def _refuse_misnamed(self, delivery: Delivery) -> None:
        """Raise UnreadableError for days that cannot be meant."""
        if delivery.first_day is None or delivery.last_day is None:
            return
        if delivery.first_day > delivery.version_at.astimezone(self.zone).date():
            raise UnreadableError("names a day that had not come when it was delivered")
        if (delivery.last_day - delivery.first_day).days >= LONGEST:
            raise UnreadableError(f"names more than {LONGEST} days")

    def _begin(self, delivery: Delivery, now: datetime) -> Batch:
        """Enter the attempt."""
        names = self.source.identified_by if self.source.kind.names_student else None
        found = self.connection.execute(
            """
            insert into ops.batch (delivery_id, source_id, state, ref_kind, started_at)
            values (%s, %s, 'loading', %s, %s)
            on conflict (delivery_id) do update set attempts = ops.batch.attempts + 1, started_at = excluded.started_at
            returning batch_id, attempts = 1, state = 'published'
            """,
            [delivery.delivery_id, self.source.id, names, now],
        ).fetchone()
        batch_id, is_first_attempt, was_published = cast(tuple[int, bool, bool], found)
        return Batch(batch_id, delivery, is_first_attempt, was_published)

    def _facts(self, delivery: Delivery) -> dict[str, object]:
        """What is usual and due, for rules on the batch as a whole."""
        due_by = delivery.window_end
        if due_by is None and delivery.last_day is not None:
            midnight = datetime.combine(delivery.last_day + timedelta(days=1), time(), self.zone)
            due_by = midnight.astimezone(UTC)
        return {"typical_rows": self._typical_rows(delivery), "due_by": due_by and due_by.isoformat()}

    def _typical_rows(self, delivery: Delivery) -> float | None:
        """Return the median rows of the last 8 accepted batches of the same weekday; None: there are fewer than 3."""
        found = self.connection.execute(
            """
            select case when count(*) >= 3 then percentile_cont(0.5) within group (order by rows) end
            from (
                select b.rows_accepted + b.rows_quarantined as rows
                from ops.batch as b
                inner join ops.delivery as d using (delivery_id)
                where
                    b.source_id = %s and b.state = 'published' and d.first_day < %s
                    and extract(isodow from d.first_day) = extract(isodow from %s::date)
                order by d.first_day desc
                limit 8
            ) as earlier
            """,
            [self.source.id, delivery.first_day, delivery.first_day],
        ).fetchone()
        return cast(tuple[float | None], found)[0]
