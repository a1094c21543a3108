"""Writes the marts as CSV files whose bytes depend on nothing but the rows: not on the machine, the plan or the order.

So that two installations can be compared, and a table be kept as it was. Reads only; knows no mart by name.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from psycopg.sql import SQL, Identifier

from engage.warehouse import Connection

_MARTS = """
select c.relname
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = 'marts' and c.relkind in ('r', 'p', 'v') and not c.relispartition
order by c.relname collate "C"
"""
# What a value looks like as text, and in which order rows come, is else a matter of the session and of the server.
# Files go further than tables: in them nobody is sponsored.
_SESSION = """
select
    set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),
    set_config('intervalstyle', 'iso_8601', true), set_config('extra_float_digits', '1', true),
    set_config('engage.as_reader', 'on', true)
"""
_ROWS = SQL("""copy (select m.* from marts.{} as m order by m::text collate "C") to stdout (format csv, header)""")


@dataclass(frozen=True)
class Exported:
    """One file written."""

    mart: str
    rows: int
    sha256: str


def marts(connection: Connection) -> list[str]:
    """Return the names of the tables and views of the schema `marts`, sorted."""
    return [cast(str, name) for (name,) in connection.execute(_MARTS).fetchall()]


def export(connection: Connection, folder: Path, names: list[str]) -> Iterator[Exported]:
    """Write `<mart>.csv` for each name, all as of one moment, times in UTC; yield each when it is complete.

    A file is there whole or not at all. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        # Before there is a snapshot: a table that dbt makes anew after it has no rows in it.
        for name in names:
            connection.execute(SQL("lock table marts.{} in access share mode").format(Identifier(name)))
        connection.execute(_SESSION)
        for name in names:
            yield _write(connection, folder, name)


def _write(connection: Connection, folder: Path, name: str) -> Exported:
    digest, unfinished = hashlib.sha256(), folder / f".{name}.csv"
    with connection.cursor() as cursor:
        with unfinished.open("wb") as file, cursor.copy(_ROWS.format(Identifier(name))) as rows:
            for block in rows:
                digest.update(block)
                file.write(block)
        unfinished.replace(folder / f"{name}.csv")
        return Exported(name, cursor.rowcount, digest.hexdigest())
