"""Land: from what a transport shows to bytes in the landing store and rows in the ledger, each delivery exactly once.

Nothing of what the bytes mean, and nothing about how they travel, belongs here.
"""

import contextlib
import gzip
import hashlib
import io
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from psycopg.rows import class_row

from engage.connectors import Remote, connector_for
from engage.sources import Source
from engage.warehouse import Connection

SETTLED_AFTER = timedelta(seconds=5)
"""A file whose size and time stand still for so long is whole."""
_SCRATCH_KEPT_S = 24 * 3600
_SAY_EVERY = 500
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?(\.(gz|zip|bz2|xz))?$")

logger = logging.getLogger(__name__)
_Key = tuple[str, int, datetime]


@dataclass(frozen=True)
class Delivery:
    """One file or API window as received: a row of `ops.delivery`."""

    delivery_id: int
    source_id: str
    content_hash: str
    name: str
    size_bytes: int
    version_at: datetime
    window_start: datetime | None
    window_end: datetime | None
    first_day: date | None
    last_day: date | None
    landed_path: str
    landed_at: datetime


@dataclass
class LandingReport:
    """What one call of `land` found and did."""

    landed: list[Delivery] = field(default_factory=list)
    duplicates: int = 0
    """Files whose content was a delivery already."""
    waiting: int = 0
    """Files seen that are not settled yet."""
    problems: list[str] = field(default_factory=list)
    newest: Remote | None = None
    """The file or window with the latest modification time that is there."""


@dataclass(frozen=True)
class _Survey:
    ready: list[Remote]
    waiting: int
    problems: list[str]
    newest: Remote | None


def look(connection: Connection, source: Source, now: datetime) -> list[Remote]:
    """List the source, note what is new in `ops.sighting`, return what is settled and not yet landed, oldest first.

    Commits. Raises TransportError, AccessError, ConfigurationError.
    """
    return _survey(connection, source, now).ready


def land(
    connection: Connection, source: Source, store_url: str, now: datetime, limit: int | None = None
) -> LandingReport:
    """Look, fetch what is ready (at most `limit`), keep its bytes, enter it into the ledger; commit each on its own.

    `store_url` is a folder or any fsspec URL. May be killed anywhere and called again. Raises TransportError and
    AccessError; what was landed before stays landed.
    """
    survey = _survey(connection, source, now)
    report = LandingReport(waiting=survey.waiting, problems=survey.problems, newest=survey.newest)
    if not (ready := survey.ready[:limit]):
        return report
    store = _Store(store_url)
    with store.scratch() as scratch:
        for remote, path in connector_for(source).fetch(ready, scratch):
            delivery, is_new = _land_one(connection, source, store, remote, path, now)
            path.unlink(missing_ok=True)
            if is_new:
                report.landed.append(delivery)
            else:
                report.duplicates += 1
            if (done := len(report.landed) + report.duplicates) % _SAY_EVERY == 0:
                logger.info("%s: %d of %d fetched", source.id, done, len(ready))
    return report


def open_delivery(store_url: str, landed_path: str) -> BinaryIO:
    """Open the bytes of a delivery as received. `landed_path` is the ledger's."""
    store = _Store(store_url)
    return cast(BinaryIO, store.files.open(f"{store.root}/{landed_path}", "rb"))


def _survey(connection: Connection, source: Source, now: datetime) -> _Survey:
    listed = {(r.name, r.size_bytes or 0, r.modified_at): r for r in connector_for(source).list(connection, now)}
    first_seen = _note(connection, source.id, listed, now)
    ready, waiting = [], 0
    for key, remote in listed.items():
        if key not in first_seen or remote.problem:
            continue
        if remote.is_whole or (remote.is_whole is None and first_seen[key] <= now - SETTLED_AFTER):
            ready.append(remote)
        else:
            waiting += 1
    return _Survey(
        ready=sorted(ready, key=lambda remote: (remote.modified_at, remote.name)),
        waiting=waiting,
        problems=[f"{remote.name}: {remote.problem}" for remote in listed.values() if remote.problem],
        newest=max(listed.values(), key=lambda remote: remote.modified_at, default=None),
    )


def _note(connection: Connection, source_id: str, listed: dict[_Key, Remote], now: datetime) -> dict[_Key, datetime]:
    """Make the open sightings of the source those of this listing; return them with the time each was first seen."""
    lines = [(*key, remote.problem or "") for key, remote in listed.items()]
    columns = [list(column) for column in zip(*lines, strict=True)] or [[]] * 4
    unnested = "select * from unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[])"
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.look'), hashtext(%s))", [source_id])
        connection.execute(
            f"""
            delete from ops.sighting
            where
                source_id = %s and delivery_id is null
                and (name, size_bytes, modified_at, coalesce(problem, '')) not in ({unnested})
            """,  # noqa: S608
            [source_id, *columns],
        )
        connection.execute(
            f"""
            insert into ops.sighting (source_id, name, size_bytes, modified_at, problem, seen_at)
            select %s, l.name, l.size_bytes, l.modified_at, nullif(l.problem, ''), %s
            from ({unnested}) as l (name, size_bytes, modified_at, problem)
            on conflict do nothing
            """,  # noqa: S608
            [source_id, now, *columns],
        )
        rows = connection.execute(
            """
            select name, size_bytes, modified_at, seen_at from ops.sighting
            where source_id = %s and delivery_id is null
            """,
            [source_id],
        ).fetchall()
    # In a transaction of the caller's the block above is only a savepoint.
    connection.commit()
    return {cast(_Key, row[:3]): cast(datetime, row[3]) for row in rows}


def _land_one(
    connection: Connection, source: Source, store: "_Store", remote: Remote, path: Path, now: datetime
) -> tuple[Delivery, bool]:
    """Return the delivery that the bytes at `path` are, and whether it is new."""
    is_window = remote.window_end is not None
    suffix = _SUFFIX.search(remote.name.lower())
    content_hash = _hash(path, is_gzip=is_window)
    values = {
        "source_id": source.id,
        "content_hash": content_hash,
        "name": remote.name,
        "size_bytes": path.stat().st_size,
        "version_at": now if is_window else remote.modified_at,
        "window_start": remote.window_start,
        "window_end": remote.window_end,
        "first_day": remote.first_day,
        "last_day": remote.last_day,
        "landed_path": f"{source.id}/{remote.first_day or now.date()}/{content_hash}"
        + (".jsonl.gz" if is_window else suffix[0] if suffix else ""),
        "landed_at": now,
    }
    # Bytes first: a row of the ledger never names bytes that are not there.
    if (delivery := _known(connection, values)) is None:
        store.put(path, str(values["landed_path"]))
    is_new = False
    with connection.transaction():
        # What a crash of the server forgets, the next look finds again; what builds on it syncs with its own commit.
        connection.execute("set local synchronous_commit = off")
        if delivery is None:
            inserted = _one(connection, _INSERT, values)
            is_new = inserted is not None
            # Nothing inserted: another process was faster, and has committed.
            delivery = inserted or _known(connection, values)
        assert delivery is not None  # noqa: S101
        connection.execute(
            """
            insert into ops.sighting (source_id, name, size_bytes, modified_at, delivery_id, seen_at)
            values (%s, %s, %s, %s, %s, %s)
            on conflict (source_id, name, size_bytes, modified_at) do update set delivery_id = excluded.delivery_id
            """,
            [source.id, remote.name, remote.size_bytes or 0, remote.modified_at, delivery.delivery_id, now],
        )
    connection.commit()
    return delivery, is_new


_COLUMNS = ", ".join(column.name for column in fields(Delivery))
_INSERT = f"""
    insert into ops.delivery ({_COLUMNS.removeprefix("delivery_id, ")})
    values ({", ".join(f"%({column.name})s" for column in fields(Delivery) if column.name != "delivery_id")})
    on conflict do nothing
    returning {_COLUMNS}
"""  # noqa: S608


def _known(connection: Connection, values: dict[str, object]) -> Delivery | None:
    """Return the delivery of the same content, window and days, if there is one."""
    query = f"""
        select {_COLUMNS} from ops.delivery
        where
            source_id = %(source_id)s and content_hash = %(content_hash)s
            and (window_start, window_end, first_day, last_day) is not distinct from
            (%(window_start)s::timestamptz, %(window_end)s::timestamptz, %(first_day)s::date, %(last_day)s::date)
    """  # noqa: S608
    return _one(connection, query, values)


def _one(connection: Connection, query: str, values: dict[str, object]) -> Delivery | None:
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(query, values).fetchone()


def _hash(path: Path, is_gzip: bool) -> str:
    """Return the SHA-256 of the bytes, or of what they unpack to."""
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


class _Store:
    """The landing store: a folder on any file system that fsspec knows. What is in it is never changed."""

    def __init__(self, url: str) -> None:
        self.files, self.root = url_to_fs(url)
        self._is_local = isinstance(self.files, LocalFileSystem)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an own local folder for bytes on their way; removed afterwards, after a kill by a later call."""
        parent = None
        if self._is_local:
            parent = Path(self.root) / ".incoming"
            # Readable for us alone: these are people's data.
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in parent.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if left.stat().st_mtime < time.time() - _SCRATCH_KEPT_S:
                        shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix="engage-") as folder:
            yield Path(folder)

    def put(self, path: Path, landed_path: str) -> None:
        """Store the file `path` (and, where that is cheaper, move it), whole or not at all."""
        target = f"{self.root}/{landed_path}"
        self.files.makedirs(str(Path(target).parent), exist_ok=True)
        if not self._is_local:
            self.files.put_file(str(path), target)
            return
        # On disk before the ledger says so, also when the power fails.
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(target)
