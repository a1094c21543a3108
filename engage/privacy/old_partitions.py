"""Published rows of a source that are past its period: whole months go as partitions, the rest by the row.

A partition is detached without waiting for its readers, and dropped then. Rows of people with a legal hold stay where
they are. Repeatable; killed anywhere, the next call ends it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from psycopg import sql

from engage.privacy.old_rows import PORTION, Finding
from engage.privacy.periods import SourcePeriod
from engage.privacy.places import Person
from engage.warehouse import Connection

_MONTH = re.compile(r"_(\d{4})(\d{2})$")
_LEAVES = """
select leaf.relid::regclass::text, leaf.parentrelid::regclass::text
from pg_inherits as i
inner join pg_class as c on i.inhrelid = c.oid
cross join pg_partition_tree(c.oid) as leaf
where
    i.inhparent = to_regclass(%(parent)s) and leaf.isleaf
    and pg_get_expr(c.relpartbound, c.oid) = 'FOR VALUES IN (' || quote_literal(%(source)s) || ')'
order by 1
"""
_PENDING = """
select i.inhparent::regclass::text, i.inhrelid::regclass::text from pg_inherits as i
where i.inhdetachpending and i.inhparent = to_regclass(%(partition)s)
"""
# Detached, and killed before it was dropped.
_LEFT = """
select c.oid::regclass::text from pg_class as c
where
    c.relnamespace = 'raw'::regnamespace and c.relkind = 'r' and not c.relispartition
    and c.relname ~ ('^' || %(name)s || '_[0-9]{6}$')
"""
Note = Callable[[str, int], None]
"""Enters how many rows went which way, in the transaction in which they go."""


@dataclass(frozen=True)
class OldPartitions:
    """Published rows of one source before the day from which they are kept."""

    connection: Connection
    source: SourcePeriod
    held: Person | None

    @property
    def place(self) -> str:
        """As it is told."""
        return f"raw.{self.source.record} ({self.source.source_id})"

    def find(self) -> Finding:
        """Count them."""
        older = self.source.kept_from or date.min
        rows = held = 0
        for leaf, _ in self._leaves():
            there = self._count(leaf, "t.{day} < %(older)s")
            stay = self._count(leaf, "t.{day} < %(older)s and t.student_id = any(%(students)s)") if self._is_held else 0
            rows, held = rows + there - stay, held + stay
        rows += sum(self._count(left, "true") for left in self._left())
        return Finding(self.place, "source", older, rows, held)

    def take(self, note: Note) -> None:
        """Take them out. The connection is in autocommit, and the caller keeps batches of the source waiting."""
        self.connection.execute("set lock_timeout = '60s'")
        self._end_what_was_begun(note)
        for leaf, parent in self._leaves():
            if self._is_past(leaf) and not (self._is_held and self._count(leaf, "t.student_id = any(%(students)s)")):
                # Readers go on with what they have; it is dropped once none of them looks at it.
                self.connection.execute(f"alter table {parent} detach partition {leaf} concurrently".encode())
                self._drop(leaf, note)
            else:
                self._delete(leaf, note)
        self.connection.execute("reset lock_timeout")

    @property
    def _is_held(self) -> bool:
        return self.held is not None and self.source.record not in ("modules", "term_calendar")

    def _end_what_was_begun(self, note: Note) -> None:
        name = f"{self.source.record}__{self.source.source_id}"
        pending = self.connection.execute(_PENDING, {"partition": f"raw.{name}"}).fetchall()
        for parent, leaf in pending:
            self.connection.execute(f"alter table {parent} detach partition {leaf} finalize".encode())
        for leaf in self._left():
            self._drop(leaf, note)

    def _leaves(self) -> Iterator[tuple[str, str]]:
        given = {"parent": f"raw.{self.source.record}", "source": self.source.source_id}
        for leaf, parent in self.connection.execute(_LEAVES, given).fetchall():
            month = _MONTH.search(str(leaf))
            if month is None or date(int(month[1]), int(month[2]), 1) < (self.source.kept_from or date.min):
                yield str(leaf), str(parent)

    def _left(self) -> list[str]:
        given = {"name": f"{self.source.record}__{self.source.source_id}"}
        return [str(leaf) for (leaf,) in self.connection.execute(_LEFT, given).fetchall()]

    def _is_past(self, leaf: str) -> bool:
        """Whether its whole month is."""
        if not (month := _MONTH.search(leaf)):
            return False
        year, number = int(month[1]), int(month[2])
        return date(year + number // 12, number % 12 + 1, 1) <= (self.source.kept_from or date.min)

    def _drop(self, leaf: str, note: Note) -> None:
        with self.connection.transaction():
            note("partition_dropped", self._count(leaf, "true"))
            self.connection.execute(f"drop table {leaf}".encode())

    def _delete(self, leaf: str, note: Note) -> None:
        kept = " and t.student_id <> all(%(students)s)" if self._is_held else ""
        while True:
            with self.connection.transaction():
                gone = self.connection.execute(
                    self._sql(
                        f"delete from {leaf} as t where t.ctid = any(array("  # noqa: S608
                        f"select t.ctid from {leaf} as t where t.{{day}} < %(older)s{kept} limit {PORTION}))"
                    ),
                    self._given,
                ).rowcount
                if gone:
                    note("deleted", gone)
            if gone < PORTION:
                return

    def _count(self, leaf: str, condition: str) -> int:
        query = self._sql(f"select count(*) from {leaf} as t where {condition}")  # noqa: S608
        row = self.connection.execute(query, self._given).fetchone()
        return int(str(row[0])) if row else 0

    def _sql(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(day=sql.Identifier(self.source.day))

    @property
    def _given(self) -> dict[str, object]:
        return {"older": self.source.kept_from, "students": list(self.held.students) if self.held else []}
