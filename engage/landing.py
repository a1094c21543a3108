"""Land: from what a transport shows to bytes in the landing store and rows in the ledger, each delivery exactly once.

Nothing of what the bytes mean, and nothing about how they travel, belongs here.
"""

import gzip
import hashlib
import io
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast
from zoneinfo import ZoneInfo

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engage import faults
from engage.connectors import AccessError, Remote, TransportError, connector_for
from engage.connectors.windows import institution_zone
from engage.landing_store import Store
from engage.sources import Source
from engage.warehouse import Connection

SETTLED_AFTER = timedelta(seconds=5)
"""A file whose size and time stand still for so long is whole."""
_SAY_EVERY = 500
_AT_ONCE, _AT_ONCE_S, _WRITERS = 100, 1.0, 8
"""Entered in one transaction: so many files, or those of so many seconds; and how many are stored side by side."""
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?(\.(gz|zip|bz2|xz))?$")

logger = logging.getLogger(__name__)
_Key = tuple[str, int, datetime]
_Arrived = tuple[Remote, Path]
_Row = dict[str, Any]


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
    read_to: int | None
    """Of a replica: the highest id read."""


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
    disabled_since: date | None = None
    """The source is disabled: it was not looked at."""


def disabled_since(connection: Connection, source: Source, now: datetime) -> date | None:
    """Return `disabled_from` once that day has begun where the institution is; None: the source is collected."""
    if source.disabled_from is None:
        return None
    zone = institution_zone(connection) or ZoneInfo(source.format.time_zone)
    return source.disabled_from if now.astimezone(zone).date() >= source.disabled_from else None


def look(connection: Connection, source: Source, now: datetime) -> list[Remote]:
    """List the source, note what is new in `ops.sighting`, return what is to land: oldest first, held windows last.

    Of a disabled source: nothing, without asking it. Commits. Raises TransportError, AccessError, ConfigurationError.
    """
    if disabled_since(connection, source, now):
        return []
    with faults.noted(connection, source.id, "look", now):
        return _survey(connection, source, now)[0]


def land(
    connection: Connection, source: Source, store_url: str, now: datetime, limit: int | None = None
) -> LandingReport:
    """Look, fetch what is ready (at most `limit`), keep its bytes, enter it into the ledger; commit every second.

    `store_url` is a folder or any fsspec URL. May be killed anywhere and called again. Raises TransportError and
    AccessError; what was landed before stays landed.
    """
    if since := disabled_since(connection, source, now):
        return LandingReport(disabled_since=since)
    with faults.noted(connection, source.id, "look", now):
        settled, report = _survey(connection, source, now)
    with faults.noted(connection, source.id, "fetch", now):
        if ready := settled[:limit]:
            _fetch(connection, source, Store(store_url), ready, report, now)
    return report


def _fetch(
    connection: Connection, source: Source, store: Store, ready: Sequence[Remote], report: LandingReport, now: datetime
) -> None:
    """Bring these into store and ledger; say in the report which are new."""
    done = 0
    with store.scratch() as scratch:
        for some in filter(None, _portions(connector_for(source).fetch(ready, scratch))):
            landed = _land_some(connection, source, store, some, now)
            report.landed += landed
            report.duplicates += len(some) - len(landed)
            before, done = done, done + len(some)
            if done // _SAY_EVERY > before // _SAY_EVERY:
                logger.info("%s: %d of %d fetched", source.id, done, len(ready))
            for _, path in some:
                path.unlink(missing_ok=True)


def open_delivery(store_url: str, landed_path: str) -> BinaryIO:
    """Open the bytes of a delivery as received. `landed_path` is the ledger's."""
    store = Store(store_url)
    return cast(BinaryIO, store.files.open(f"{store.root}/{landed_path}", "rb"))


def _survey(connection: Connection, source: Source, now: datetime) -> tuple[list[Remote], LandingReport]:
    listed = {(r.name, r.size_bytes or 0, r.modified_at): r for r in connector_for(source).list(connection, now)}
    first_seen = _note(connection, source.id, listed, now)
    ready, waiting = list[Remote](), 0
    for key, remote in listed.items():
        if key not in first_seen or remote.problem:
            continue
        if remote.is_whole or (remote.is_whole is None and first_seen[key] <= now - SETTLED_AFTER):
            ready.append(remote)
        else:
            waiting += 1
    # A window that is only read again comes after all that are new.
    ready.sort(key=lambda r: (r.window_end not in (None, r.modified_at), r.modified_at, r.name))
    return ready, LandingReport(
        waiting=waiting,
        problems=[f"{remote.shown}: {remote.problem}" for remote in listed.values() if remote.problem],
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


def _portions(fetched: Iterable[_Arrived]) -> Iterator[list[_Arrived]]:
    """Yield what arrives in lists; also what arrived before an error of the transport."""
    some: list[_Arrived] = []
    since = time.monotonic()
    try:
        for one in fetched:
            some.append(one)
            if len(some) == _AT_ONCE or time.monotonic() - since > _AT_ONCE_S:
                yield some
                some, since = [], time.monotonic()
    except (TransportError, AccessError):
        yield some
        raise
    yield some


def _land_some(
    connection: Connection, source: Source, store: Store, some: Sequence[_Arrived], now: datetime
) -> list[Delivery]:
    """Store and enter these bytes; return the deliveries among them that are new."""
    rows = [_row(source, remote, path, now) for remote, path in some]
    known = _known(connection, source, rows)
    new: dict[_Identity, tuple[Path, _Row]] = {}
    for (remote, path), row in zip(some, rows, strict=True):
        if _identity(row) not in known:
            # From the ledger names go into messages; what a file was really called stands with its sightings.
            new.setdefault(_identity(row), (path, row | {"name": remote.shown}))
    # Bytes first: a row of the ledger never names bytes that are not there.
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda one: store.put(one[0], one[1]["landed_path"]), new.values()))
    with connection.transaction(), connection.cursor(row_factory=class_row(Delivery)) as cursor:
        # What a crash of the server forgets, the next look finds again; what builds on it syncs with its own commit.
        cursor.execute("set local synchronous_commit = off")
        # One at a time: two that enter the same files in different orders would wait for each other.
        cursor.execute("select pg_advisory_xact_lock(hashtext('engage.land'), hashtext(%s))", [source.id])
        landed = cursor.execute(_INSERT, [_json([row for _, row in new.values()])]).fetchall()
        # Of those not inserted another process was faster, and has committed.
        ids = _known(connection, source, rows)
        cursor.execute(_SENT_AGAIN, [_json([row for row in rows if row["window_end"] is None])])
        sightings = [
            {
                "source_id": source.id,
                "name": remote.name,
                "size_bytes": remote.size_bytes or 0,
                "modified_at": remote.modified_at,
                "delivery_id": ids[_identity(row)],
                "seen_at": now,
            }
            for (remote, _), row in zip(some, rows, strict=True)
        ]
        cursor.execute(_SEEN, [_json(sightings)])
    connection.commit()
    return landed


def _row(source: Source, remote: Remote, path: Path, now: datetime) -> _Row:
    """Return what the ledger says of these bytes."""
    is_window = remote.window_end is not None
    suffix = _SUFFIX.search(remote.name.lower())
    content_hash = _hash(path, is_gzip=is_window)
    return {
        "source_id": source.id,
        "content_hash": content_hash,
        "name": remote.name,
        "size_bytes": path.stat().st_size,
        # A time to come is that of a wrong clock: believed, it would overrule corrections once the clock is right.
        "version_at": now if is_window else min(remote.modified_at, now),
        "window_start": remote.window_start,
        "window_end": remote.window_end,
        "first_day": remote.first_day,
        "last_day": remote.last_day,
        "landed_path": f"{source.id}/{remote.first_day or now.date()}/{content_hash}"
        + (f".{source.format.kind}.gz" if is_window else suffix[0] if suffix else ""),
        "landed_at": now,
        "read_to": remote.read_to,
    }


_COLUMNS = ", ".join(column.name for column in fields(Delivery))
_GIVEN = _COLUMNS.removeprefix("delivery_id, ")
_INSERT = f"""
    insert into ops.delivery ({_GIVEN})
    select {_GIVEN} from jsonb_populate_recordset(null::ops.delivery, %s)
    on conflict do nothing
    returning {_COLUMNS}
"""  # noqa: S608
_SEEN = """
    insert into ops.sighting (source_id, name, size_bytes, modified_at, delivery_id, seen_at)
    select source_id, name, size_bytes, modified_at, delivery_id, seen_at
    from jsonb_populate_recordset(null::ops.sighting, %s)
    on conflict (source_id, name, size_bytes, modified_at)
    do update set delivery_id = excluded.delivery_id, seen_at = excluded.seen_at
"""
# What was overwritten under its own name, and then put back, is what its sender means now.
_SENT_AGAIN = """
    with again as (
        update ops.delivery as d set version_at = r.version_at
        from jsonb_populate_recordset(null::ops.delivery, %s) as r
        where
            (d.source_id, d.content_hash) = (r.source_id, r.content_hash)
            and (d.first_day, d.last_day) is not distinct from (r.first_day, r.last_day) and d.window_end is null
            and exists (
                select from ops.sighting as s
                where (s.source_id, s.name, s.delivery_id) = (r.source_id, r.name, d.delivery_id)
            )
            and exists (
                select from ops.sighting as s
                inner join ops.delivery as o using (delivery_id)
                where
                    (s.source_id, s.name) = (r.source_id, r.name)
                    and o.version_at > d.version_at and o.version_at < r.version_at
            )
        returning d.delivery_id
    )
    update ops.batch as b set is_stale = true from again where b.delivery_id = again.delivery_id
"""
_IDENTITY = ("content_hash", "window_start", "window_end", "first_day", "last_day")
_Identity = tuple[object, ...]


def _identity(row: _Row) -> _Identity:
    """Return what makes a delivery of a source that delivery."""
    return tuple(row[name] for name in _IDENTITY)


def _known(connection: Connection, source: Source, rows: Sequence[_Row]) -> dict[_Identity, object]:
    """Return the numbers of the deliveries whose bytes are among these."""
    query = (
        f"select delivery_id, {', '.join(_IDENTITY)} from ops.delivery where source_id = %s and content_hash = any(%s)"  # noqa: S608
    )
    hashes = list({row["content_hash"] for row in rows})
    return {found[1:]: found[0] for found in connection.execute(query, [source.id, hashes]).fetchall()}


def _json(rows: Sequence[_Row]) -> Jsonb:
    return Jsonb(rows, dumps=lambda value: json.dumps(value, default=str))


def _hash(path: Path, is_gzip: bool) -> str:
    """Return the SHA-256 of the bytes, or of what they unpack to."""
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()
