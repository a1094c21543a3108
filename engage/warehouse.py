"""The warehouse connection: open it, bring its schemas up to date. No SQL about sources or batches here."""

from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from engage.sources import ConfigurationError

Connection = psycopg.Connection[tuple[object, ...]]


def connect(url: str, autocommit: bool = False) -> psycopg.Connection[tuple[object, ...]]:
    """Open a connection in UTC. `url` is `postgresql://...`."""
    return psycopg.connect(url, autocommit=autocommit, application_name="engage", options="-c timezone=UTC")


def migrate(url: str) -> bool:
    """Create or upgrade the schemas that dbt does not own; say whether anything was new.

    Safe to run at any time, by several at once.

    Raises ConfigurationError when the role may not.
    """
    engine = sqlalchemy.create_engine(sqlalchemy_url(url))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("select pg_advisory_xact_lock(hashtext('engage.migrate'))"))
            connection.execute(sqlalchemy.text("create schema if not exists ops"))
            config.attributes["connection"] = connection
            before = _version(connection)
            command.upgrade(config, "head")
            return _version(connection) != before
    except sqlalchemy.exc.ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != psycopg.errors.InsufficientPrivilege.sqlstate:
            raise
        name = urlsplit(url).path.removeprefix("/")
        raise ConfigurationError(
            f"ENGAGE_DATABASE_URL: its role may not create schemas in {name} or change those there: let it own them"
        ) from None
    finally:
        engine.dispose()


def _version(connection: sqlalchemy.Connection) -> object:
    known = MigrationContext.configure(connection, opts={"version_table_schema": "ops"})
    return known.get_current_revision()


def ensure_database(server_url: str, name: str) -> str:
    """Create database `name` on the server if it is not there; return its URL.

    Raises ConfigurationError when the role may not.
    """
    # A role may be let into its own database only; an address without one is the embedded server's.
    url = server_url if urlsplit(server_url).path else with_database(server_url, "postgres")
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.ensure_database'))")
        if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            try:
                connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
            except psycopg.errors.InsufficientPrivilege:
                raise ConfigurationError(
                    f"the role may not create the database {name}: have it created with the role as its owner, "
                    "or name another in ENGAGE_DAGSTER_URL"
                ) from None
    return with_database(server_url, name)


def with_database(url: str, name: str) -> str:
    """Return `url` pointing at another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def sqlalchemy_url(url: str, options: str = "") -> str:
    """Return `url` for SQLAlchemy with the driver named, for `postgresql://` means another driver since 2.1.

    `options`: of the server, as on its command line (`-cwork_mem=1GB`).
    """
    added = f"{'&' if '?' in url else '?'}options={quote(options)}" if options else ""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1) + added
