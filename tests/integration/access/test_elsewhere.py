"""A server that somebody else administers: what the owner of the warehouse may do, and what is said of the rest."""

from collections.abc import Iterator

import psycopg
import pytest

from engage import access
from engage.access import grants
from engage.access.rules import ROLES
from engage.decisions import DecisionError
from engage.warehouse import connect, migrate, with_database
from tests.integration.access.conftest import NOW

SIGNED = grants.Signed("Grace", NOW, "because")


@pytest.fixture
def server(postgres_url: str, migrated_template: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The administrator's connection, beside a database whose owner is no superuser; the roles are there already."""
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as administrator:
        administrator.execute("create role plain_owner login password 'x'")
        administrator.execute("create role some_reader login password 'x'")
        administrator.execute("create database theirs owner plain_owner")
        try:
            yield administrator
        finally:
            administrator.execute("drop database theirs with (force)")
            administrator.execute(f"drop owned by plain_owner cascade; drop owned by {', '.join(ROLES)}")
            administrator.execute("drop role plain_owner, some_reader")


def theirs(postgres_url: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(postgres_url)
    return f"postgresql://plain_owner:x@{parts['host']}:{parts['port']}/theirs"


def test_privileges_are_the_owners_to_give_and_members_need_the_administrator(
    server: psycopg.Connection[tuple[object, ...]], postgres_url: str
) -> None:
    url = theirs(postgres_url)
    migrate(url)
    with connect(url, autocommit=True) as owner:
        assert access.apply(owner) == []
        with pytest.raises(DecisionError, match="admin option"):
            grants.grant(owner, "some_reader", "engage_bi", [], None, SIGNED)
        assert owner.execute("select count(*) from ops.access_grant").fetchone() == (0,), "nothing half"
        server.execute("grant engage_bi to plain_owner with admin option")
        assert access.audit(owner) == []
        assert grants.grant(owner, "some_reader", "engage_bi", [], None, SIGNED) == 1
        assert access.audit(owner) == []
        assert grants.revoke(owner, "some_reader", None, [], SIGNED) == 1
        assert access.audit(owner) == []


def test_who_was_a_reader_before_grants_were_kept_goes_on_being_one(
    server: psycopg.Connection[tuple[object, ...]], postgres_url: str
) -> None:
    server.execute("grant engage_bi to some_reader")
    migrate(theirs(postgres_url))
    with connect(theirs(postgres_url), autocommit=True) as owner:
        assert access.apply(owner) == []
        known = owner.execute("select login, database_role, granted_by from ops.access_in_force").fetchall()
        assert known == [("some_reader", "engage_bi", "upgrade")]
