"""The warehouse connection: open it, bring its schemas up to date. No SQL about sources or batches here."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

Connection = psycopg.Connection[tuple[object, ...]]


def connect(url: str, autocommit: bool = False) -> psycopg.Connection[tuple[object, ...]]:
    """Open a connection in UTC. `url` is `postgresql://...`."""
    return psycopg.connect(url, autocommit=autocommit, application_name="engage", options="-c timezone=UTC")


def migrate(url: str) -> None:
    """Create or upgrade the schemas that dbt does not own. Safe to run at any time, by several at once."""
    engine = sqlalchemy.create_engine(sqlalchemy_url(url))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("select pg_advisory_xact_lock(hashtext('engage.migrate'))"))
        connection.execute(sqlalchemy.text("create schema if not exists ops"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


def ensure_database(server_url: str, name: str) -> str:
    """Create database `name` on the server if it is not there; return its URL."""
    with connect(with_database(server_url, "postgres"), autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.ensure_database'))")
        if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
    return with_database(server_url, name)


def with_database(url: str, name: str) -> str:
    """Return `url` pointing at another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def sqlalchemy_url(url: str) -> str:
    """Return `url` for SQLAlchemy with the driver named, for `postgresql://` means another driver since 2.1."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
