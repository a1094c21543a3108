"""All there is of one student in an installation: searched for at once, and taken out, place by place.

Where things lie is told by places.py and landed.py; in which order they go, and what is kept of it, by erasure.py.
"""

import contextlib
import email
import email.policy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engage.contact.exemption_files import DROP_FOLDER
from engage.privacy import landed, mentions, old_files, places, told
from engage.privacy.old_rows import PORTION
from engage.privacy.places import Person, Place
from engage.privacy.references import references
from engage.sources import Source
from engage.warehouse import Connection

# A student's rows are few, and indexes on students fewer: whole tables are read, by as many workers as there are.
_SESSION = "set max_parallel_workers_per_gather = 8"
_BATCHES = "hashtext('engage.batches'), hashtext(%s)"
_ROWS = "select t.tableoid::regclass::text, array_agg(t.ctid::text) from {} as t where {}{} group by 1 order by 1"
_NEVER_CHANGED = ("raw", "marts", "intermediate")
"""Schemas whose rows come and go, and stay as they are meanwhile. They are the big ones."""
Note = Callable[[str, str, int], None]
"""Enters how many rows, or files, of a place went which way."""


@dataclass(frozen=True)
class Trace:
    """How much of a student is, or was, in a place."""

    place: str
    rows: int
    """Rows, lines or files."""


@dataclass(frozen=True)
class Found:
    """Where a student is."""

    rows: dict[Place, dict[str, list[str]]]
    """Place -> table, or partition -> addresses of the rows in it."""
    kept: list[landed.Found]
    """Files that nobody can read, and that may be about somebody with a legal hold: they stay."""
    landed: list[landed.Found]
    files: dict[str, list[Path]]
    """Folder of the home -> files that go."""
    lists: list[Path]
    """Lists of exemptions, of which lines go."""

    def traces(self) -> list[Trace]:
        """Return how much that is, the places with nothing left out."""
        lines = sum(len(found.lines) + found.is_unreadable for found in self.landed)
        lines += sum(len(found.lines) for found in self.kept)
        counts = [(place.table, sum(map(len, tables.values()))) for place, tables in self.rows.items()]
        counts += [("landing", lines), *((folder, len(paths)) for folder, paths in self.files.items())]
        counts.append((DROP_FOLDER, len(self.lists)))
        return [Trace(place, count) for place, count in counts if count]


class Student:
    """One student in one installation."""

    def __init__(
        self, connection: Connection, student: str, home: Path, store_url: str, sources: Mapping[str, Source]
    ) -> None:
        """`sources`: drafts included. What the student is called is remembered: it is there no more afterwards."""
        connection.execute(_SESSION)
        self._connection, self._home, self._store_url, self._sources = connection, home, store_url, sources
        self._who = places.person(connection, student)
        self._refs = references(connection, [student])
        self._places = [place for place in places.places(connection) if place.is_personal]

    def search(self) -> Found:
        """Return where the student is; what is open of the request itself is forgotten last, and no trace."""
        # Of what nobody can read, nobody can say whom it is about.
        is_held = self._connection.execute("select from ops.legal_hold where released_at is null limit 1").rowcount > 0
        files = list(landed.find(self._store_url, landed.deliveries(self._connection), self._sources, self._refs))
        # What refers to a row stands before it: messages are found by what is deleted after them.
        return Found(
            {place: self._rows(place) for place in self._places if place.table != "ops.subject_request"},
            [one for one in files if is_held and one.is_unreadable],
            [one for one in files if not (is_held and one.is_unreadable)],
            {folder: list(self._files(keep)) for keep, folder in old_files.FOLDERS.items()},
            [
                path
                for path in sorted((self._home / DROP_FOLDER).glob("*"))
                if path.is_file() and names(path, self._who)
            ],
        )

    def take(self, found: Found, note: Note, now: datetime) -> None:
        """Take out what was found, in an order in which the rest can be found again by a second search."""
        self._take_landed(found.landed, note, now)
        self._take_messages(note)
        for folder, paths in found.files.items():
            for path in paths:
                path.unlink(missing_ok=True)
                note(folder, "file_deleted", 1)
        for path in found.lists:
            self._take_lines(path)
            note(DROP_FOLDER, "file_rewritten", 1)
        for place, tables in found.rows.items():
            if place.erase != "apart":
                # Where rows are changed they move, by what was done with messages just now, too.
                is_fixed = place.table.split(".")[0] in _NEVER_CHANGED
                self._take_rows(place, tables if is_fixed else self._rows(place), note)

    def _take_landed(self, found: Sequence[landed.Found], note: Note, now: datetime) -> None:
        """Rewrite the files while no batch of their sources is loaded."""
        known = {one.delivery_id: one for one in landed.deliveries(self._connection)}
        files = [known[one.delivery_id] for one in found]
        with contextlib.ExitStack() as stack:
            for source_id in sorted({one.source_id for one in files}):
                self._connection.execute(f"select pg_advisory_lock({_BATCHES})".encode(), [source_id])
                stack.callback(self._connection.execute, f"select pg_advisory_unlock({_BATCHES})".encode(), [source_id])
            for _ in landed.rewrite_all(self._store_url, self._connection, files, self._sources, self._refs, now):
                note("landing", "file_rewritten", 1)

    def _take_lines(self, path: Path) -> None:
        """Leave the lines of others as they are, to the byte; a file that is named after the student goes."""
        named = mentions.pattern(self._who.refs)
        if named.search(path.name):
            path.unlink()
            return
        lines = path.read_bytes().splitlines(keepends=True)
        rest = path.with_name(f".{path.name}")
        rest.write_bytes(b"".join(line for line in lines if not named.search(line.decode("utf-8", "replace"))))
        rest.replace(path)

    def _take_messages(self, note: Note) -> None:
        (place,) = (place for place in self._places if place.table == "ops.outbox")
        with self._connection.transaction():
            rows, files = told.take(self._connection, place, self._who, self._home)
            if rows:
                note(place.table, "blanked", rows)
            if files:
                note(told.FOLDER, "file_deleted", files)

    def _take_rows(self, place: Place, tables: Mapping[str, Sequence[str]], note: Note) -> None:
        """Delete the rows that are the student's, of those found; of others take out the name."""
        if not tables:
            return
        if place.erase == "delete" or place.own:
            mine = f"({place.find}) and ({place.own or 'true'})"
            for table, found in tables.items():
                for begin in range(0, len(found), PORTION):
                    # What stands there by now may be another row.
                    statement = f"delete from {table} as t where t.ctid = any(%(found)s::tid[]) and {mine}"  # noqa: S608
                    given = {**self._who.parameters, "found": list(found[begin : begin + PORTION])}
                    with self._connection.transaction():
                        if rows := self._connection.execute(statement.encode(), given).rowcount:
                            note(place.table, "deleted", rows)
        if place.erase == "unname":
            with self._connection.transaction():
                if rows := mentions.unname(
                    self._connection, place.table, place.names, place.find or "false", self._who
                ):
                    note(place.table, "blanked", rows)

    def _rows(self, place: Place) -> dict[str, list[str]]:
        still = f" and {told.STILL_SAID}" if place.table == "ops.outbox" else ""
        query = _ROWS.format(place.table, place.find, still).encode()
        return {str(table): list(rows) for table, rows in self._connection.execute(query, self._who.parameters)}  # type: ignore[call-overload]

    def _files(self, keep: str) -> Iterator[Path]:
        named = {place.table: place for place in self._places}
        for path in sorted((self._home / old_files.FOLDERS[keep]).rglob("*")):
            if path.is_file() and (
                old_files.is_about(self._connection, keep, path, named, self._who)
                # Summaries are made of figures alone: what looks like a reference is a number or a word of theirs.
                or (keep != "reports" and names(path, self._who))
            ):
                yield path


def names(path: Path, who: Person) -> bool:
    """Whether a reference stands in a file, which ought to name nobody, or in its name."""
    content = path.read_bytes()
    text = content.decode("utf-8", "replace")
    if path.suffix == ".eml":
        # Quoted-printable and base64 hide a word.
        mail = email.message_from_bytes(content, policy=email.policy.default)
        parts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
        text = "\n".join([text, *map(str, parts)])
    return mentions.pattern(who.refs).search(f"{path.name}\n{text}") is not None
