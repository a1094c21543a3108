"""What tests of every room share: a real Postgres for the session, and a migrated database of its own per test."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from engage.postgres import running
from engage.warehouse import connect, ensure_database, migrate, with_database

_TEMPLATE = "engage_template"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that is fast because it forgets on power failure."""
    unsafe = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with running(tmp_path_factory.mktemp("postgres"), unsafe) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """Name of the database that every test's own is cloned from; nobody may stay connected to it."""
    migrate(ensure_database(postgres_url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of an own, migrated and empty warehouse. Always the same name, so that what is parsed once stays valid."""
    name = sql.Identifier("warehouse")
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(migrated_template)))
        yield with_database(postgres_url, "warehouse")
        server.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
def warehouse(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An open connection to `database_url`."""
    with connect(database_url) as connection:
        yield connection
