"""A warehouse that had exemptions before they had a history: whoever is exempt stays so."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from psycopg import sql

import engage
from engage.warehouse import connect, ensure_database, migrate, sqlalchemy_url, with_database

EXEMPTIONS = [
    ("s1", "Authorised Absence", date(2026, 1, 5), date(2099, 1, 1)),
    ("s2", "Other", date(2098, 1, 1), date(2098, 2, 1)),
]


@pytest.fixture
def before(postgres_url: str) -> Iterator[str]:
    """URL of a warehouse of the release before, in which students are exempt."""
    url = ensure_database(postgres_url, "upgraded")
    config = Config()
    config.set_main_option("script_location", str(Path(engage.__file__).parent / "migrations"))
    engine = sqlalchemy.create_engine(sqlalchemy_url(url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create schema if not exists ops"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
    engine.dispose()
    with connect(url) as warehouse:
        warehouse.cursor().executemany(
            "insert into ops.exemption (student_id, exemption_type, starts_on, ends_on) values (%s, %s, %s, %s)",
            EXEMPTIONS,
        )
    yield url
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier("upgraded")))


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "Pacific/Honolulu"])
def test_whoever_was_exempt_before_the_upgrade_is_exempt_after_it(before: str, zone: str) -> None:
    migrate(before)

    with connect(before) as warehouse:
        # As int_exemption has it.
        starts = "greatest(starts_on, (created_at at time zone %s)::date + 1)"
        query = f"select student_id, exemption_type, {starts}, ends_on from ops.exemption order by exemption_id"
        assert warehouse.execute(query, [zone]).fetchall() == EXEMPTIONS
        history = warehouse.execute(
            "select e.student_id, c.action, c.exemption_type, c.starts_on, c.ends_on, c.changed_by,"
            " c.changed_at = e.created_at, c.changed_at <= now(), e.created_by"
            " from ops.exemption_change as c join ops.exemption as e using (exemption_id) order by c.change_id"
        ).fetchall()
        assert history == [
            (student, "add", *what, "not recorded", True, True, "before 0007") for student, *what in EXEMPTIONS
        ]
        ((is_set,),) = warehouse.execute(
            "insert into ops.exemption (student_id, exemption_type, starts_on, ends_on)"
            " values ('s3', 'Other', '2026-01-01', '2026-01-01') returning created_at = now()"
        ).fetchall()
        assert is_set
