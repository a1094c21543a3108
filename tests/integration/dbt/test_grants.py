"""A BI tool reads every mart but the visa team's, and nothing else. All roles: tests/integration/access."""

import logging
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from engage import dbt
from engage.warehouse import connect, migrate, with_database
from tests.integration.dbt.conftest import Project


@pytest.fixture
def reader(url: str) -> Iterator[str]:
    """The address of a login role of a BI tool, member of engage_bi."""
    with connect(url, autocommit=True) as owner:
        owner.execute("create role bi_tool login password 'x' in role engage_bi")
        parts = psycopg.conninfo.conninfo_to_dict(url)
        yield f"postgresql://bi_tool:x@{parts['host']}:{parts['port']}/{parts['dbname']}"
        owner.execute("drop role bi_tool")


def relations(url: str) -> list[tuple[str, str]]:
    with connect(url) as owner:
        found = owner.execute(
            "select schemaname, tablename from pg_tables union all select schemaname, viewname from pg_views"
        ).fetchall()
    names = [(str(schema), str(name)) for schema, name in found]
    return [name for name in names if name[0] not in ("pg_catalog", "information_schema")]


def readable(address: str, names: list[tuple[str, str]]) -> set[tuple[str, str]]:
    found = set()
    with connect(address, autocommit=True) as bi:
        for name in names:
            try:
                bi.execute(sql.SQL("select from {} limit 1").format(sql.Identifier(*name)))
                found.add(name)
            except psycopg.errors.InsufficientPrivilege:
                pass
    return found


def test_a_bi_tool_reads_every_mart_and_nothing_else(url: str, reader: str, project: Project) -> None:
    names = relations(url)
    marts = {name for name in names if name[0] == "marts"} - {("marts", "sponsored_contact_point")}
    assert len(marts) > 5 and {"raw", "ops", "quarantine", "pii", "intermediate", "staging"} <= {s for s, _ in names}
    assert readable(reader, names) == marts
    # One is a table that is replaced, one is kept; and dbt takes back what was granted besides.
    with connect(url) as owner:
        owner.execute("revoke select on marts.weekly_score from engage_bi")
        owner.execute("create role other")
        owner.execute("grant select on marts.weekly_score to other")
    dbt.run(url, ["run", "--select", "student", "weekly_score"], project.home)
    assert readable(reader, names) == marts
    with connect(url) as owner:
        assert owner.execute("select has_table_privilege('other', 'marts.weekly_score', 'select')").fetchone() == (
            False,
        )
        owner.execute("drop role other")


def test_a_server_without_the_role_says_so_once_and_works(
    postgres_url: str, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    owner = with_database(postgres_url, "postgres")
    with connect(owner, autocommit=True) as server:
        server.execute("alter role engage_bi rename to engage_bi_elsewhere")
        server.execute("create role plain login password 'x'")
        server.execute("create database models owner plain")
        try:
            parts = psycopg.conninfo.conninfo_to_dict(owner)
            url = f"postgresql://plain:x@{parts['host']}:{parts['port']}/models"
            with caplog.at_level(logging.WARNING):
                migrate(url)
                migrate(url)
            assert [r.message.startswith("the role engage_bi is not there") for r in caplog.records] == [True]
            dbt.run(url, ["run", "--select", "+student"], project.home)
        finally:
            server.execute("drop database models with (force)")
            server.execute("drop role plain")
            server.execute("alter role engage_bi_elsewhere rename to engage_bi")
