"""Examine: a delivery is loaded, its rows counted, and judged, by the gate and for a sample alike.

What follows from the verdict is `batches`'s for a delivery, `sample`'s for a sample; nothing is published here.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from engage.audit import Auditor, Verdict
from engage.landing import Delivery
from engage.ledger import Found
from engage.load import Loaded, WorkingTables
from engage.publish import LONGEST, Publisher
from engage.sources import Source
from engage.text import Opener, UnreadableError
from engage.warehouse import Connection

FEW = 10
"""Events: where fewer are usual, none at all is chance, not a fault."""
_IS_QUIET = """
select bool_and(exists (
    select from raw.term_calendar as c
    where
        coalesce(c.programme_code, '') = '' and coalesce(c.cohort, '') = ''
        and (c.kind = 'closure' or c.kind = any(%(quiet)s)) and day between c.starts_on and c.ends_on
        and c.as_of_date = (select max(n.as_of_date) from raw.term_calendar as n where n.source_id = c.source_id)
))
from generate_series(%(first)s::date, %(last)s::date, interval '1 day') as day
"""


@dataclass(frozen=True)
class Examined:
    """What is in the working tables now, and what it is worth. `loaded` None: the file could not be read at all."""

    loaded: Loaded | None
    found: Found
    verdict: Verdict


@dataclass(frozen=True)
class Examiner:
    """Takes one delivery of a source after another through load and audit. The caller holds the lock on the tables."""

    connection: Connection
    source: Source
    zone: ZoneInfo
    tables: WorkingTables
    auditor: Auditor
    publisher: Publisher

    def dated(self, delivery: Delivery) -> Delivery:
        """Return the delivery with its day: a list whose name says none is of the day it was written."""
        if self.source.relation != "snapshot" or delivery.first_day is not None:
            return delivery
        as_of = delivery.version_at.astimezone(self.zone).date()
        return replace(delivery, first_day=as_of, last_day=as_of)

    def examine(self, delivery: Delivery, open_bytes: Opener) -> Examined:
        """Load, count and judge. Raises UnreadableError."""
        self._refuse_misnamed(delivery)
        loaded = self.tables.load(delivery, open_bytes)
        found = self.publisher.count()
        verdict = self.auditor.judge(self._facts(delivery, loaded), found.share_good)
        if repeated := self.publisher.leave_out_repeats():
            note = f"{repeated:,} duplicate rows: the last with an event id counts"
            dropped = loaded.dropped | {"the same event id once more": repeated}
            loaded = replace(loaded, dropped=dropped, notes=(*loaded.notes, note))
            found = replace(found, good=found.good - repeated)
        return Examined(loaded, found, verdict)

    def _refuse_misnamed(self, delivery: Delivery) -> None:
        """Raise UnreadableError for days that cannot be meant."""
        if delivery.first_day is None or delivery.last_day is None:
            return
        if delivery.first_day > (written := delivery.version_at.astimezone(self.zone).date()):
            raise UnreadableError(
                f"names a day that had not come when it was delivered: {delivery.first_day}, and it was written on"
                f" {written}; have its name corrected, or the clock of the server, and have it sent again"
            )
        kept = self.connection.execute(
            "select max(day) from ops.kept_from where kind = 'source' and source_id = %s", [self.source.id]
        ).fetchone()
        if kept and kept[0] is not None and delivery.last_day < cast(date, kept[0]):
            raise UnreadableError(
                f"is about days of which nothing is kept any more: {delivery.first_day} to {delivery.last_day}; what"
                f" was before {kept[0]} has been deleted (privacy.retention_days of the source)"
            )
        if (delivery.last_day - delivery.first_day).days >= LONGEST:
            raise UnreadableError(
                f"names more than {LONGEST} days: {delivery.first_day} to {delivery.last_day}; have its name corrected,"
                " or sent in parts"
            )

    def _facts(self, delivery: Delivery, loaded: Loaded) -> dict[str, object]:
        """What is usual and due, for rules on the batch as a whole."""
        due_by = delivery.window_end
        if due_by is None and delivery.last_day is not None:
            midnight = datetime.combine(delivery.last_day + timedelta(days=1), time(), self.zone)
            due_by = midnight.astimezone(UTC)
        return {
            "typical_rows": self._typical_rows(delivery),
            "due_by": due_by and due_by.isoformat(),
            "dropped": loaded.dropped,
            "dropped_before": self._dropped_before(delivery),
        }

    def _dropped_before(self, delivery: Delivery) -> dict[str, int]:
        """Return what was left out of the last published batch before this one, by reason."""
        found = self.connection.execute(
            """
            select b.dropped
            from ops.batch as b
            inner join ops.delivery as d using (delivery_id)
            where b.source_id = %s and b.state = 'published' and d.version_at < %s
            order by d.version_at desc
            limit 1
            """,
            [self.source.id, delivery.version_at],
        ).fetchone()
        return cast(tuple[dict[str, int]], found)[0] if found else {}

    def _typical_rows(self, delivery: Delivery) -> float | None:
        """Return the rows a day of the last 8 accepted batches of the same weekday, their median, for as many days.

        None: there are fewer than 3 such batches, so few events that none are as usual, or nothing need happen then.
        Once a person has released a list, its size is usual: only it and what came after counts, whatever the weekday.
        """
        since, is_list = None, self.source.relation == "snapshot"
        if not is_list and self._is_quiet(delivery):
            return None
        if is_list:
            ((since,),) = self.connection.execute(
                "select max(d.first_day) from ops.batch as b inner join ops.delivery as d using (delivery_id)"
                " where b.source_id = %s and b.state = 'published' and b.is_released and d.first_day < %s",
                [self.source.id, delivery.first_day],
            ).fetchall()
        found = self.connection.execute(
            """
            select case when count(*) >= %(enough)s then percentile_cont(0.5) within group (order by rows) end
            from (
                select (b.rows_accepted + b.rows_quarantined) / (d.last_day - d.first_day + 1.0) as rows
                from ops.batch as b
                inner join ops.delivery as d using (delivery_id)
                where
                    b.source_id = %(source)s and b.state = 'published' and d.first_day < %(day)s
                    and coalesce(
                        d.first_day >= %(since)s::date,
                        extract(isodow from d.first_day) = extract(isodow from %(day)s::date)
                    )
                order by d.first_day desc
                limit 8
            ) as earlier
            """,
            {"source": self.source.id, "day": delivery.first_day, "since": since, "enough": 1 if since else 3},
        ).fetchone()
        (a_day,) = cast(tuple[float | None], found)
        if a_day is None or delivery.first_day is None or delivery.last_day is None:
            return a_day
        typical = a_day * ((delivery.last_day - delivery.first_day).days + 1)
        return typical if is_list or typical >= FEW else None

    def _is_quiet(self, delivery: Delivery) -> bool:
        """Say whether all its days lie in closures, or in times in which the source need deliver nothing."""
        given = {
            "first": delivery.first_day,
            "last": delivery.last_day,
            "quiet": list(self.source.freshness.quiet_in),
        }
        ((is_quiet,),) = self.connection.execute(_IS_QUIET, given).fetchall()
        return bool(is_quiet)
