"""Files that are past their period: what was landed of a source, and what lies in the home folder.

What they are about is told by the ledger or by their names; what is in them, by landed.py.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from psycopg.rows import class_row

from engage.landing import Delivery
from engage.privacy import landed
from engage.privacy.old_rows import Finding
from engage.privacy.periods import Periods, SourcePeriod
from engage.privacy.places import Person, Place
from engage.privacy.references import references
from engage.sources import Source
from engage.warehouse import Connection

FOLDERS = {"subject_access": "subject-access", "outbox": "outbox", "logs": "logs", "reports": "reports"}
"""Class of config/retention.yaml -> folder of ENGAGE_HOME."""
Note = Callable[[str, int], None]
_NUMBER = re.compile(r"^\.?0*(\d+)(?=\D|$)")
"""Of a request or a message; a file that was being written when its process was killed begins with a dot."""
_COLUMNS = ", ".join(f"d.{column}" for column in Delivery.__dataclass_fields__)
# Those rewritten for a legal hold come again, for it may have been released.
_PAST = f"""
select {_COLUMNS} from ops.delivery as d
cross join ops.scoring_parameter as p
where
    d.source_id = %(source)s and (d.deleted_at is null or d.redacted_at is not null)
    and coalesce(
        d.last_day,
        (select max(b.day) from ops.batch inner join ops.batch_day as b using (batch_id)
        where ops.batch.delivery_id = d.delivery_id),
        (d.window_end at time zone p.time_zone)::date,
        (d.landed_at at time zone p.time_zone)::date
    ) < %(older)s
order by d.delivery_id
"""  # noqa: S608


@dataclass(frozen=True)
class _Past:
    """A delivery that is past its period."""

    delivery: Delivery
    is_held: bool
    """It is, or may be, about somebody with a legal hold."""
    is_done: bool
    """All that may go of it has gone."""


@dataclass(frozen=True)
class OldLanded:
    """Landed files of one source that are about days before that from which it is kept."""

    connection: Connection
    store_url: str
    source: SourcePeriod
    declared: Source | None
    held: Person | None

    @property
    def place(self) -> str:
        """As it is told."""
        return f"landing ({self.source.source_id})"

    def find(self) -> Finding:
        """Count the files; held: those that stay, whole or in part, because somebody has a legal hold."""
        files = list(self._files())
        held = sum(1 for one in files if one.is_held)
        done = sum(1 for one in files if one.is_done)
        return Finding(self.place, "source", self.source.kept_from or date.min, len(files) - done, held)

    def take(self, note: Note, now: datetime) -> None:
        """Delete them, or leave of them only what is about people with a legal hold."""
        refs = references(self.connection, self.held.students) if self.held else []
        for one in [one for one in self._files() if not one.is_done]:
            if one.is_held:
                landed.rewrite(self.store_url, self.connection, one.delivery, self.declared, refs, now, only=True)
            else:
                landed.discard(self.store_url, one.delivery)
            with self.connection.transaction():
                landed.enter_deleted(self.connection, one.delivery, now, is_whole=not one.is_held)
                note("file_rewritten" if one.is_held else "file_deleted", 1)
            self.connection.commit()

    def _files(self) -> Iterator[_Past]:
        """Yield the deliveries that are past."""
        given = {"source": self.source.source_id, "older": self.source.kept_from or date.min}
        cursor = self.connection.cursor(row_factory=class_row(Delivery))
        past = cursor.execute(_PAST, given).fetchall()
        gone = {
            row[0]
            for row in self.connection.execute(
                "select delivery_id from ops.delivery where source_id = %(source)s and deleted_at is not null", given
            ).fetchall()
        }
        refs = references(self.connection, self.held.students) if self.held and past else []
        sources: Mapping[str, Source] = {self.declared.id: self.declared} if self.declared else {}
        found = {f.delivery_id: f for f in landed.find(self.store_url, past, sources, refs)} if refs else {}
        for delivery in past:
            held = found.get(delivery.delivery_id)
            # Of what nobody can read, nobody can say that it is not about them.
            is_done = held is not None and (held.is_unreadable or delivery.delivery_id in gone)
            yield _Past(delivery, held is not None, is_done)


@dataclass(frozen=True)
class OldFiles:
    """Files of one folder of the home that were last written before a day."""

    connection: Connection
    home: Path
    keep: str
    older_than: date
    places: Mapping[str, Place]
    held: Person | None

    @property
    def place(self) -> str:
        """As it is told."""
        return FOLDERS[self.keep]

    def find(self) -> Finding:
        """Count them."""
        files = list(self._files())
        held = sum(1 for _, is_held in files if is_held)
        return Finding(self.place, self.keep, self.older_than, len(files) - held, held)

    def take(self, note: Note) -> None:
        """Delete them."""
        for path, is_held in self._files():
            if not is_held:
                path.unlink(missing_ok=True)
                note("file_deleted", 1)

    def _files(self) -> Iterator[tuple[Path, bool]]:
        for path in sorted((self.home / FOLDERS[self.keep]).rglob("*")):
            if path.is_file() and datetime.fromtimestamp(path.stat().st_mtime, UTC).date() < self.older_than:
                yield path, self._is_held(path)

    def _is_held(self, path: Path) -> bool:
        return self.held is not None and is_about(self.connection, self.keep, path, self.places, self.held)


def old_files(
    connection: Connection, home: Path, periods: Periods, places: list[Place], today: date, held: Person | None
) -> list[OldFiles]:
    """Return the folders whose files age."""
    named = {place.table: place for place in places}
    return [
        OldFiles(connection, home, keep, today - timedelta(days=days), named, held)
        for keep in FOLDERS
        if (days := periods.days(keep)) is not None
    ]


def is_about(connection: Connection, keep: str, path: Path, places: Mapping[str, Place], person: Person) -> bool:
    """Whether a file of the home is about somebody: an archive by its request, a preview by its message."""
    number = _NUMBER.match(path.name)
    table, key = {"subject_access": ("ops.subject_request", "request_id"), "outbox": ("ops.outbox", "message_id")}.get(
        keep, ("", "")
    )
    if number is None or table not in places:
        return False
    query = f"select from {table} as t where t.{key} = %(number)s and ({places[table].find})"
    return connection.execute(query.encode(), {**person.parameters, "number": int(number[1])}).fetchone() is not None
