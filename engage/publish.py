"""Publish: the one transaction in which a batch is entered as published or held, and its rows become visible or not.

Which delivery speaks for a day is decided by the deliveries' own times, never by the order of arrival, so that any
order and any repetition ends in the same rows. Which rows are good the suite decides, which batches the caller.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

from psycopg import sql

from engage import identity, ledger, partitions, precedence
from engage.audit import Verdict
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
            raw=partitions.partition(source),
            day=sql.Identifier(partitions.day_column(source)),
            good=sql.SQL(" and ".join(rule.condition for rule in suite.row_rules)),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(map(sql.Identifier, columns.values())),
            is_newer=precedence.IS_NEWER,
            time=sql.SQL(f'"{record.day_of}"' if record.day_of else "null::timestamptz"),
        )

    def count(self) -> Found:
        """Count the good and bad rows in the working tables."""
        return ledger.count(self._sql)

    def leave_out_repeats(self) -> int:
        """Keep the last good row of each event id in the working tables; return how many rows went."""
        if "event_id" not in self._source.columns:
            return 0
        with self._connection.transaction():
            # The working tables have no statistics: as a nested loop it would compare every row with every other.
            self._sql.run("set local enable_nestloop = off")
            found = self._sql.run(
                """
                with repeated (repeated_id, last_number) as (
                    select event_id, max(row_number) from {rows}
                    where event_id is not null and {good} group by event_id having count(*) > 1
                ),
                gone as (
                    delete from {rows} using repeated
                    where event_id = repeated_id and row_number < last_number and {good}
                    returning 1
                )
                select count(*) from gone
                """
            )
        return cast(int, found[0][0])

    def publish(self, batch: Batch, loaded: Loaded | None, found: Found, verdict: Verdict, now: datetime) -> Published:
        """Enter the batch and, unless there is an objection, make its good rows visible on the days it speaks for.

        `found`: what was counted. `loaded` None: the file could not be read at all. Repeating it for a batch replaces
        what it did before.
        """
        may_be_seen = verdict.objection is None
        self._sql.given = {
            "source": self._source.id,
            "batch": batch.batch_id,
            "delivery": batch.delivery.delivery_id,
            "now": now,
        }
        days = self.days(batch.delivery, loaded)
        if may_be_seen:
            partitions.ensure(self._connection, self._source, days)
        with self._connection.transaction():
            self._sql.run("set local synchronous_commit = on")
            touched = set() if batch.is_first_attempt else self._withdraw()
            self._sql.run(
                "insert into ops.batch_day select %(batch)s, %(source)s, day, is_covered, true"
                " from unnest(%(days)s::date[], %(covered)s::boolean[]) as t (day, is_covered)",
                days=list(days),
                covered=list(days.values()),
            )
            self._sql.run(
                "update ops.batch set state = %(state)s where batch_id = %(batch)s",
                state="published" if may_be_seen else "held",
            )
            precedence.supersede(self._sql, self._source, list(days))
            if batch.was_published and not may_be_seen:
                precedence.reinstate(self._sql, list(days))
            ledger.quarantine(self._sql, self._source, self._suite, loaded, found)
            if may_be_seen:
                touched |= self._append() if self._source.relation == "append" else self._replace()
                if self._source.record == "students":
                    identity.take(self._sql)
            self._sql.run(
                "insert into ops.touched_day (source_id, day) select %(source)s, unnest(%(days)s::date[])"
                # Takes the row's lock: who claims the day waits for us, and rebuilds it with our rows.
                " on conflict (source_id, day, is_claimed) do update set touched_at = now()",
                days=list(touched),
            )
            accepted = found.good if may_be_seen else 0
            state = ledger.enter(self._sql, loaded, verdict, found, accepted)
        return Published(state, accepted, found.bad, len(touched))

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

    def _withdraw(self) -> set[date]:
        """Remove what an earlier attempt at this batch left; return the days on which rows went away."""
        self._sql.run("delete from quarantine.row where batch_id = %(batch)s")
        self._sql.run("delete from ops.rule_result where batch_id = %(batch)s")
        days = [day for (day,) in self._sql.run("delete from ops.batch_day where batch_id = %(batch)s returning day")]
        if not days:
            return set()
        return self._sql.dates(
            """
            with gone as (delete from {raw} where batch_id = %(batch)s and {day} = any(%(days)s) returning {day})
            select distinct {day} from gone
            """,
            days=days,
        )

    def _replace(self) -> set[date]:
        """Replace all rows of the days that the batch speaks for; return the days whose rows changed."""
        days = [d for (d,) in self._sql.run("select day from ops.batch_day where batch_id = %(batch)s and is_current")]
        # A student is one row; of two the later counts.
        distinct, order = "distinct on (student_id)", "order by student_id, row_number desc"
        if self._source.record != "students":
            distinct = order = ""
        return self._sql.dates(
            """
            with gone as (delete from {raw} where {day} = any(%(days)s) returning {day}),
            put as (
                insert into {raw} (source_id, {day}, batch_id, row_number, {columns})
                select {distinct} %(source)s, day, %(batch)s, row_number, {values}
                from {rows} where day = any(%(days)s) and {good} {order}
                returning {day}
            )
            select {day} from gone union select {day} from put
            """,
            days=days,
            distinct=sql.SQL(distinct),
            order=sql.SQL(order),
        )

    def _append(self) -> set[date]:
        """Add events, and replace those that an older delivery had; return the days whose rows changed."""
        return self._sql.dates(
            """
            with fresh as (select * from {rows} where {good}),
            there as (
                select r.event_id, r.{day}, {is_newer} as is_newer
                from {raw} as r
                inner join fresh using (event_id)
                inner join ops.batch as b on r.batch_id = b.batch_id
                inner join ops.delivery as newer on b.delivery_id = newer.delivery_id
                inner join ops.delivery as mine on mine.delivery_id = %(delivery)s
            ),
            gone as (
                delete from {raw} as r using there
                where r.event_id = there.event_id and r.{day} = there.{day} and not there.is_newer
                returning r.{day}
            ),
            put as (
                insert into {raw} (source_id, {day}, batch_id, row_number, {columns})
                select %(source)s, day, %(batch)s, row_number, {values}
                from fresh where not exists (select from there where there.event_id = fresh.event_id and is_newer)
                returning {day}
            )
            select {day} from gone union select {day} from put
            """
        )
