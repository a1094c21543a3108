"""A test's own databases: cloned under a name that is always the same, and dropped afterwards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from engage.warehouse import Connection, connect, with_database

_SOMEBODY = "select exists (select from pg_stat_activity where datname = %s)"


@contextmanager
def cloned(server: str, template: str, name: str) -> Iterator[str]:
    """Yield the URL of a clone of the database `template`, to which nobody may be connected."""
    with connect(with_database(server, "postgres"), autocommit=True) as connection:
        clone(connection, template, name)
        try:
            yield with_database(server, name)
        finally:
            drop(connection, name)


def clone(connection: Connection, template: str, name: str) -> None:
    """Make the database `name`."""
    connection.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))


def everybody_out(connection: Connection, name: str) -> None:
    """End every connection to the database: a pool may keep some."""
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
    _wait(connection, name, 30)


def drop(connection: Connection, name: str) -> None:
    """Drop the database, whoever is connected."""
    # Who was closed a moment ago is still there: Postgres would sleep a tenth of a second over it.
    _wait(connection, name, 0.1)
    connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _wait(connection: Connection, name: str, within_s: float) -> None:
    until = time.monotonic() + within_s
    while connection.execute(_SOMEBODY, [name]).fetchone() == (True,) and time.monotonic() < until:
        time.sleep(0.002)
