"""A growing table in a read replica, read on from the highest id that was landed: one reading becomes one delivery.

What the replica has, which ids a reading takes and what its errors mean belong here; which columns are read and what
they mean is the source's.
"""

import contextlib
import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.windows import beginning, held, landed_until, midnight, readings
from engage.sources import ConfigurationError, Source, resolve
from engage.transports import SqlReplica
from engage.warehouse import Connection

_REFUSED = re.compile("authentication failed|pg_hba.conf|does not exist|no password supplied|not permitted")
_CONNECT_S = 10
_BLOCK = 1 << 20
# What is known to have been replayed (of a standby), the highest id, the times of the first and the last row.
_EXTENT = """
select
    case when pg_is_in_recovery() then extract(epoch from pg_last_xact_replay_timestamp())::float8 end,
    (select max({id}) from {table}),
    (select min({time}) from {table}),
    (select max({time}) from {table} where {time} <= {until})
"""
# Ids are given out before their rows are committed, and rows are written later than what they tell of.
_RANGE = """
select
    (select max({id}) from {table} where {time} < {end}),
    (select min({id}) from {table} where {time} >= {begin} and {time} < {end})
"""
# JSON holds no control characters: with these as marks, a line is the item as it is.
_ROWS = """
copy (
    select row_to_json(q)::text from ({query}) as q
    where {id} between {low} and {high} and {time} >= {first}
    order by {id}
) to stdout (format csv, delimiter E'\\x01', quote E'\\x02')
"""
_LAST_SECOND = 2**62
_READ_BEFORE = "select max(read_to) from ops.delivery where source_id = %s and window_end <= %s"


@dataclass(frozen=True)
class _Extent:
    """What the replica has."""

    as_of: datetime
    """Everything committed before is there, as far as can be known."""
    oldest_at: datetime
    newest_id: int


class ReplicaConnector:
    """One table of one replica."""

    def __init__(self, source: Source, transport: SqlReplica) -> None:
        """Raise ConfigurationError when the address is none."""
        self._source = source
        self._transport = transport
        self._zone = ZoneInfo(source.format.time_zone)
        self._names = {
            "table": sql.Identifier(*transport.table.split(".")),
            "id": sql.Identifier(transport.id_column),
            "time": sql.Identifier(transport.time_column),
        }

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector. The windows end where the replica is known to be whole, not at `now`."""
        first = beginning(self._source, self._transport.start, self._zone)
        start = max(landed_until(connection, self._source.id) or first, first)
        fresh: Sequence[Remote] = []
        # Without asking the replica while nothing can be due.
        if self._grid(now) > start:
            with self._opened() as replica, replica.transaction():
                there = self._extent(replica, now)
            self._refuse_younger(there, self._read_before(connection, now))
            if there:
                fresh = self._windows(start, there, now)
        old = [
            remote for remote in held(connection, self._source.id, now) if cast(datetime, remote.window_start) >= first
        ]
        return [
            replace(remote, read_from=self._read_before(connection, cast(datetime, remote.window_start)))
            for remote in [*fresh, *old]
        ]

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. Each reading sees one state of the table."""
        read_to: dict[datetime | None, int] = {}
        with self._opened() as replica:
            for number, remote in enumerate(remotes):
                # Of windows that follow each other in one fetch the ledger does not know the first yet.
                before = max(filter(None, [remote.read_from, read_to.get(remote.window_start)]), default=None)
                path = into / str(number)
                with replica.transaction():
                    low, high = self._ids(replica, remote, before)
                    # No name and no time in the gzip header: the same rows are the same bytes.
                    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                        for lines in self._rows(replica, low, high):
                            file.write(lines)
                read_to[remote.window_end] = high
                yield replace(remote, read_to=high), path

    def _windows(self, start: datetime, there: _Extent, now: datetime) -> Sequence[Remote]:
        """Return the windows from `start` to where the replica is whole; the last may end within a day."""
        if there.oldest_at > start:
            # Of what came before, the log tells nothing (any more): that is no coverage, and no silence.
            start = midnight(there.oldest_at.astimezone(self._zone).date() + timedelta(days=1), self._zone)
        end = self._grid(min(now, there.as_of))
        return readings(start, end, self._transport.longest, self._zone)

    def _grid(self, moment: datetime) -> datetime:
        """Return the latest end of a reading whose rows have all been written at `moment`."""
        settled = moment - self._transport.lag
        day = midnight(settled.astimezone(self._zone).date(), self._zone)
        return day + (settled - day) // self._transport.every * self._transport.every

    def _extent(self, replica: Connection, until: datetime | None = None) -> _Extent | None:
        """Return what the replica has, leaving out rows dated after `until`; None: the table is empty."""
        last = int(until.timestamp()) if until else _LAST_SECOND
        replayed, newest_id, oldest, newest = cast(
            tuple[float | None, int | None, int | None, int | None],
            replica.execute(self._sql(_EXTENT, until=last)).fetchone(),
        )
        if newest_id is None or oldest is None or newest is None:
            return None
        # A standby is as new as what it last replayed; a copy of any other kind says so by its rows only.
        as_of = newest if replayed is None else replayed
        return _Extent(datetime.fromtimestamp(as_of, UTC), datetime.fromtimestamp(oldest, UTC), newest_id)

    def _ids(self, replica: Connection, remote: Remote, before: int | None) -> tuple[int, int]:
        """Return the first and the last id of a reading. Raises TransportError, AccessError."""
        begin, end = cast(datetime, remote.window_start), cast(datetime, remote.window_end)
        there = self._extent(replica)
        self._refuse_younger(there, before)
        if there is None or there.as_of < end + self._transport.lag:
            raise TransportError(f"{self._where}: the replica has less than when it was looked at; is it another one?")
        overlapping = int((begin - self._transport.overlap).timestamp())
        high, low = cast(
            tuple[int | None, int | None],
            replica.execute(self._sql(_RANGE, begin=overlapping, end=int(end.timestamp()))).fetchone(),
        )
        newest = max(high or 0, before or 0)
        return min(newest + 1 if low is None else low, newest + 1 if before is None else before + 1), newest

    def _refuse_younger(self, there: _Extent | None, before: int | None) -> None:
        """Raise AccessError when ids that were read are not there any more, whatever the replica has now."""
        if before is not None and (there is None or there.newest_id < before):
            found = there.newest_id if there else "none"
            raise AccessError(
                f"{self._where}: its highest id is {found}, but {before} was read before:"
                " the table was emptied or restored from an older copy; have the replica set right, or, if its ids have"
                " begun anew, disable this source and take the table up as a new one"
            )

    def _rows(self, replica: Connection, low: int, high: int) -> Iterator[bytes]:
        """Yield the rows with these ids as JSON Lines, many at a time."""
        declared = self._transport.query
        query = sql.SQL(declared) if declared else sql.SQL("select * from {}").format(self._names["table"])
        first = int(beginning(self._source, self._transport.start, self._zone).timestamp())
        block = bytearray()
        with replica.cursor().copy(self._sql(_ROWS, query=query, low=low, high=high, first=first)) as copy:
            for row in copy:
                block += row
                if len(block) > _BLOCK:
                    yield bytes(block)
                    block.clear()
        yield bytes(block)

    def _sql(self, statement: str, **given: sql.Composable | int) -> sql.Composed:
        # Literals in place of parameters: the declared query may hold per cent signs.
        values = {
            name: value if isinstance(value, sql.Composable) else sql.Literal(value) for name, value in given.items()
        }
        return sql.SQL(statement).format(**self._names, **values)

    def _read_before(self, connection: Connection, moment: datetime) -> int | None:
        """Return the highest id that readings up to the moment brought."""
        row = connection.execute(_READ_BEFORE, [self._source.id, moment]).fetchone()
        return cast(int | None, row and row[0])

    @property
    def _where(self) -> str:
        return f"{self._host}, {self._transport.table}"

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Connection]:
        """Yield a connection that cannot write, whose transactions each see one state."""
        url = resolve(self._transport.url)
        # Not the error itself: it quotes the address, which holds a password.
        wrong = ConfigurationError(
            f"{self._source.id}: transport.url: {self._transport.url} must read"
            " postgresql://user:password@host:port/database"
        )
        if not url.startswith(("postgresql://", "postgres://")):
            raise wrong
        try:
            said = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise wrong from None
        self._host = f"{said.get('host', 'localhost')}/{said.get('dbname', '')}"
        limit = int(self._transport.timeout_s * 1000)
        options = f"-c statement_timeout={limit} -c timezone=UTC -c client_encoding=UTF8"
        with (
            self._told(),
            psycopg.connect(
                url, autocommit=True, connect_timeout=_CONNECT_S, application_name="engage", options=options
            ) as replica,
        ):
            replica.read_only = True
            replica.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield replica

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the replica raises into TransportError or AccessError, without quoting an address or a row."""
        try:
            yield
        except psycopg.OperationalError as error:
            if error.sqlstate is None and _REFUSED.search(str(error)):
                raise AccessError(
                    f"{self._host}: refuses us; check user, password and database in {self._transport.url}, and that"
                    " the server lets this machine in (pg_hba.conf)"
                ) from None
            said = f"SQLSTATE {error.sqlstate}" if error.sqlstate else "cannot be reached, or broke the connection"
            raise TransportError(f"{self._where}: {said}") from None
        except psycopg.DatabaseError as error:
            raise AccessError(
                f"{self._where}: {_said(error)}; check table, query, id_column and time_column of the source, and that"
                " our role may read the tables"
            ) from None


def _said(error: psycopg.DatabaseError) -> str:
    """Return what is wrong with a statement; of what is wrong with a value only the code, for it quotes the value."""
    is_about_names = (error.sqlstate or "").startswith("42")
    return str(error.diag.message_primary) if is_about_names else f"SQLSTATE {error.sqlstate}"
