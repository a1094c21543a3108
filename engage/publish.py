"""Publish: the one transaction in which a batch is entered as published or held, and its rows become visible or not.

Which delivery speaks for a day is decided by the deliveries' own times, never by the order of arrival, so that any
order and any repetition ends in the same rows. Which rows are good the suite decides, which batches the caller.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

from psycopg import sql

from engage import identity, ledger, partitions, precedence, visible
from engage.audit import Verdict
from engage.decisions import UNDECIDED, Decided
from engage.landing import Delivery
from engage.ledger import Found
from engage.load import Loaded, WorkingTables
from engage.sources import Source
from engage.statements import Statements
from engage.suites import Suite
from engage.warehouse import Connection

LONGEST = 400
"""Days that a delivery may name."""


@dataclass(frozen=True)
class Batch:
    """A delivery on its way through the gate."""

    batch_id: int
    delivery: Delivery
    is_first_attempt: bool
    was_published: bool
    """True: it is processed again, and rows of it are visible."""
    decided: Decided = UNDECIDED
    is_redacted: bool = False
    """Rows were taken out of its file, as a student asked: what is left of it is no worse for that."""


@dataclass(frozen=True)
class Published:
    """What became of a batch."""

    state: str
    rows_accepted: int
    rows_quarantined: int
    days_touched: int


class Publisher:
    """Publishes batches of one source from its working tables. The caller holds the source's lock."""

    def __init__(self, connection: Connection, source: Source, suite: Suite, tables: WorkingTables) -> None:
        self._connection = connection
        self._source = source
        self._suite = suite
        record = source.kind
        columns = {f.column or n: n for n, f in record.fields.items() if f.column != ""}
        if record.names_student:
            columns["student_id"] = "student_id"
        self._sql = Statements(
            connection,
            rows=tables.rows,
            text=tables.text,
            out=tables.out,
            # The rules take longer than all the rest: they are asked once, by `count`.
            good=sql.SQL("not exists (select from {out} as o where o.row_number = {rows}.row_number)").format(
                out=tables.out, rows=tables.rows
            ),
            raw=partitions.partition(source),
            day=sql.Identifier(partitions.day_column(source)),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(map(sql.Identifier, columns.values())),
            hash=sql.SQL("hash_record_extended(row({}), 0)").format(
                sql.SQL(", ").join(sql.Identifier("r", name) for name in columns)
            ),
            is_newer=precedence.IS_NEWER,
            # A person may have decided anew while we worked.
            is_undone=sql.SQL(
                "exists (select from ops.decision as d where d.batch_id = %(batch)s and d.decision_id > %(decided)s)"
            ),
            time=sql.SQL(f'"{record.day_of}"' if record.day_of else "null::timestamptz"),
        )
        self.heed(UNDECIDED)

    def heed(self, decided: Decided) -> None:
        """Let rows be good or bad by what was decided about the batch that comes now."""
        conditions = [decided.condition(rule.meta.id, rule.condition) for rule in self._suite.row_rules]
        self._sql.parts["met"] = sql.SQL(" and ".join(conditions))

    def count(self) -> Found:
        """Count the good and bad rows in the working tables."""
        return ledger.count(self._sql)

    def leave_out_repeats(self) -> int:
        """Note all good rows but the last of each event id as not to be published; return how many."""
        if "event_id" not in self._source.columns:
            return 0
        ((found,),) = self._sql.run(
            """
            with events as (
                select row_number, event_id, lead(event_id) over (order by event_id collate "C", row_number) as next_id
                from {rows} where event_id is not null and {good}
            ),
            gone as (insert into {out} select row_number from events where event_id = next_id returning 1)
            select count(*) from gone
            """
        )
        return cast(int, found)

    def publish(self, batch: Batch, loaded: Loaded | None, found: Found, verdict: Verdict, now: datetime) -> Published:
        """Enter the batch and make its good rows visible on the days it speaks for: without objection, or released.

        `found`: what was counted. `loaded` None: the file could not be read at all. Repeating it for a batch replaces
        what it did before.
        """
        is_vouched_for = batch.was_published and batch.is_redacted and verdict.objection is not None
        is_released = loaded is not None and (batch.decided.whole == "release" or is_vouched_for)
        may_be_seen = verdict.objection is None or is_released
        self._give(batch, now)
        days = self.days(batch.delivery, loaded)
        if may_be_seen:
            partitions.ensure(self._connection, self._source, days)
        with self._connection.transaction():
            self._sql.run("set local synchronous_commit = on")
            changes = [] if batch.is_first_attempt else self._withdraw(batch)
            self._sql.run(
                "insert into ops.batch_day select %(batch)s, %(source)s, day, is_covered, true"
                " from unnest(%(days)s::date[], %(covered)s::boolean[]) as t (day, is_covered)",
                days=list(days),
                covered=list(days.values()),
            )
            self._sql.run(
                "update ops.batch set state = %(state)s, is_released = %(released)s where batch_id = %(batch)s",
                state="published" if may_be_seen else "held",
                released=is_released,
            )
            went, closed = self._give_way(batch, list(days), is_gone=batch.was_published and not may_be_seen)
            changes += went
            # Its correction may have come before it was released. Elsewhere the days decide.
            may_be_seen = may_be_seen and not (self._source.relation == "append" and batch.batch_id in closed)
            ledger.quarantine(self._sql, self._source, self._suite, batch.decided, loaded, found)
            if may_be_seen:
                if self._source.relation == "append":
                    changes += visible.append(self._sql, is_compared=bool(changes))
                else:
                    changes += visible.replace(self._sql, self._source, is_compared=bool(changes))
                if self._source.record == "students":
                    identity.take(self._sql)
                if self._source.record == "staff_links":
                    identity.take_staff(self._sql)
            touched = visible.touch(self._sql, changes)
            accepted = found.good if may_be_seen else 0
            state = ledger.enter(self._sql, loaded, verdict, found, accepted)
        return Published(state, accepted, found.bad, touched)

    def reject(self, batch: Batch, now: datetime) -> Published:
        """Close the batch: its rows are visible no longer, those in quarantine wait no longer, its days stay uncovered.

        What is in the working tables does not matter. Repeating it changes nothing.
        """
        self._give(batch, now)
        days = self.days(batch.delivery, None)
        with self._connection.transaction():
            self._sql.run("set local synchronous_commit = on")
            # First of all, for it keeps a decision from being taken meanwhile.
            self._sql.run("update ops.batch set state = 'rejected', is_released = false where batch_id = %(batch)s")
            changes = visible.take_away(self._sql, [batch.batch_id]) if batch.was_published else []
            self._sql.run(
                "insert into ops.batch_day select %(batch)s, %(source)s, day, false, true"
                " from unnest(%(days)s::date[]) as t (day) on conflict do nothing",
                days=list(days),
            )
            all_days = self._sql.dates("select day from ops.batch_day where batch_id = %(batch)s")
            self._sql.run(
                "update quarantine.row set state = 'rejected' where batch_id = %(batch)s and state <> 'rejected'"
            )
            changes += self._give_way(batch, list(all_days), is_gone=batch.was_published)[0]
            touched = visible.touch(self._sql, changes)
            ((state, quarantined),) = self._sql.run(
                """
                update ops.batch set
                    is_stale = {is_undone}, rows_accepted = 0, held_since = null, published_at = null,
                    finished_at = %(now)s
                where batch_id = %(batch)s
                returning state, coalesce(rows_quarantined, 0)
                """
            )
        return Published(cast(str, state), 0, cast(int, quarantined), touched)

    def _give(self, batch: Batch, now: datetime) -> None:
        self._sql.given = {
            "source": self._source.id,
            "batch": batch.batch_id,
            "delivery": batch.delivery.delivery_id,
            "decided": batch.decided.last,
            "now": now,
        }

    def _give_way(self, batch: Batch, days: list[date], is_gone: bool) -> tuple[list[visible.Change], list[int]]:
        """Close what this batch makes good, and call back what had given way to rows that go.

        Returns what went, and the batches that were closed: perhaps this one, made good already.

        `is_gone`: rows of this batch were visible, and are no longer.
        """
        closed = precedence.supersede(self._sql, self._source, days)
        # Elsewhere the rows of a day go when others take their place.
        changes = []
        if self._source.relation == "append" and closed:
            changes = visible.take_away(self._sql, closed)
            # Its rows went before it was known that they do not come back.
            is_gone = is_gone or (batch.was_published and batch.batch_id in closed)
        if is_gone or changes:
            precedence.reinstate(self._sql, self._source, days)
        if is_gone and self._source.record == "students":
            identity.take_back(self._sql)
        return changes, closed

    def days(self, delivery: Delivery, loaded: Loaded | None) -> dict[date, bool]:
        """Return the days that the batch is about, each with whether the delivery covers it."""
        named = {}
        if delivery.first_day and delivery.last_day:
            # More are never published; a held batch need not list every day of a slip in a name.
            span = min((delivery.last_day - delivery.first_day).days + 1, LONGEST)
            named = {delivery.first_day + timedelta(days=n): True for n in range(span)}
        is_append = self._source.relation == "append"
        # Part of a day: whatever becomes of the window, without it the day is not whole.
        begun = dict.fromkeys(self._days_begun(delivery), False)
        if loaded is None or (named and not is_append):
            return begun | named
        # A file that does not name its days is complete for those in it; an API window only for those that end in it.
        found = self._sql.run("select distinct day from {rows} where {good}")
        return begun | {cast(date, day): not is_append for (day,) in found} | named

    def _days_begun(self, delivery: Delivery) -> set[date]:
        """Return the local days that an API window touches."""
        return self._sql.dates(
            """
            select generate_series(
                (window_start at time zone time_zone)::date,
                least(((window_end - interval '1 microsecond') at time zone time_zone)::date,
                    (window_start at time zone time_zone)::date + %(longest)s),
                '1 day')::date
            from ops.delivery cross join ops.scoring_parameter
            where delivery_id = %(delivery)s and window_start < window_end
            """,
            longest=LONGEST - 1,
            delivery=delivery.delivery_id,
        )

    def _withdraw(self, batch: Batch) -> list[visible.Change]:
        """Remove what an earlier attempt at this batch left; return the rows that went."""
        changes = visible.take_away(self._sql, [batch.batch_id]) if batch.was_published else []
        for table in ("quarantine.row", "ops.rule_result", "ops.batch_day"):
            self._sql.run(f"delete from {table} where batch_id = %(batch)s")  # noqa: S608
        return changes
