"""Examine: a delivery is loaded, its rows counted, and judged, by the gate and for a sample alike.

What follows from the verdict is `batches`'s for a delivery, `sample`'s for a sample; nothing is published here.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
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
        if delivery.first_day > delivery.version_at.astimezone(self.zone).date():
            raise UnreadableError("names a day that had not come when it was delivered")
        if (delivery.last_day - delivery.first_day).days >= LONGEST:
            raise UnreadableError(f"names more than {LONGEST} days")

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
