"""Rows of the warehouse that are past their period, by the declared places: counted, and taken out in portions.

Published rows of sources, which go by partitions, are in old_partitions.py; the order of it all is retention's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from engage.privacy.periods import Periods, SourcePeriod
from engage.privacy.places import Person, Place
from engage.warehouse import Connection

PORTION = 50_000
"""Rows. What is locked for so long keeps nobody waiting."""
_RETIRED = {
    # Rows that say no more than that something was: others refer to them.
    "ops.outbox": (
        "t.text <> 'erased'",
        "message_key = 'erased ' || t.message_id, recipient = 'erased', subject = 'erased', text = 'erased',"
        " html = null, payload = '{}', reply = null, error = null, order_key = null,"
        " state = case when t.state in ('pending', 'failed') then 'suppressed' else t.state end",
    ),
    "ops.subject_request": (
        "(t.student_id is not null or t.extension_reason is not null)",
        "student_id = null, extension_reason = null",
    ),
}
_REFERENCES = """
select c.conrelid::regclass::text, a.attname::text, f.attname::text
from pg_constraint as c
inner join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
inner join pg_attribute as f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
where c.contype = 'f' and c.confrelid = %s::regclass and cardinality(c.conkey) = 1
order by 1, 2
"""


@dataclass(frozen=True)
class Finding:
    """What of a place is past its period."""

    place: str
    keep: str
    """Class of config/retention.yaml, or `source`."""
    older_than: date
    rows: int
    """Rows, or files, that go."""
    held: int
    """That stay because of a legal hold."""


@dataclass(frozen=True)
class OldRows:
    """Rows of one table that are to go, as a condition over t."""

    place: str
    keep: str
    older_than: date
    table: str
    past: str
    held: str | None = None
    """Those of people with a legal hold."""
    blank: str | None = None
    """Set list of what is left of them; None: they are deleted."""
    given: dict[str, object] = field(default_factory=dict)

    @property
    def goes(self) -> str:
        """Condition of those that go."""
        return f"({self.past}) and not coalesce(({self.held}), false)" if self.held else self.past

    def find(self, connection: Connection) -> Finding:
        """Count them."""
        rows = self._count(connection, self.goes)
        stay = self._count(connection, f"({self.past}) and ({self.held})") if self.held else 0
        return Finding(self.place, self.keep, self.older_than, rows, stay)

    def take(self, connection: Connection) -> int:
        """Take out one portion; return how many rows; 0: there are no more. In the caller's transaction."""
        some = f"select t.ctid from {self.table} as t where {self.goes} limit {PORTION}"  # noqa: S608
        way = f"update {self.table} as t set {self.blank}" if self.blank else f"delete from {self.table} as t"  # noqa: S608
        return connection.execute(f"{way} where t.ctid = any(array({some}))".encode(), self.given).rowcount

    @property
    def way(self) -> str:
        """As ops.deletion calls it."""
        return "blanked" if self.blank else "deleted"

    def _count(self, connection: Connection, condition: str) -> int:
        query = f"select count(*) from {self.table} as t where {condition}"  # noqa: S608
        row = connection.execute(query.encode(), self.given).fetchone()
        return int(str(row[0])) if row else 0


def old_rows(
    connection: Connection,
    places: Sequence[Place],
    periods: Periods,
    sources: Sequence[SourcePeriod],
    today: date,
    held: Person | None,
) -> list[OldRows]:
    """Return what may be past its period, in an order in which it may go. `held`: people with a legal hold."""
    found = []
    # What ages with what it belongs to keeps it from nothing.
    belonging = {place.table for place in places if (place.dated or "").startswith("(select")}
    for place in places:
        keep_held = place.find if place.is_personal and held else None
        given = dict(held.parameters) if held and keep_held else {}
        schema = place.table.partition(".")[0]
        if place.keep == "source" and schema != "raw" and place.dated:
            for one in sources:
                if one.kept_from:
                    past = f"t.source_id = %(source)s and ({place.dated})::date < %(older)s"
                    told = {**given, "source": one.source_id, "older": one.kept_from}
                    named = f"{place.table} ({one.source_id})"
                    found.append(OldRows(named, "source", one.kept_from, place.table, past, keep_held, None, told))
        days = periods.days(place.keep)
        if days is None or place.dated is None:
            continue
        older = today - timedelta(days=days)
        past, blank = f"({place.dated})::date < %(older)s", None
        if place.table in _RETIRED:
            still, blank = _RETIRED[place.table]
            past = f"{past} and {still}"
        else:
            past += _not_referred_to(connection, place.table, belonging)
        found.append(
            OldRows(place.table, place.keep, older, place.table, past, keep_held, blank, {**given, "older": older})
        )
    return found


def _not_referred_to(connection: Connection, table: str, belonging: set[str]) -> str:
    """Return the condition that nothing younger refers to the row: it goes with the last that does."""
    rows = connection.execute(_REFERENCES, [table]).fetchall()
    return "".join(
        f" and not exists (select from {other} as o where o.{column} = t.{key})" for other, column, key in rows
    )
