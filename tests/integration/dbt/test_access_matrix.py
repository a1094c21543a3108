"""A real login of every role tries every table, view and function, and what the server itself could be asked to do.

What came of it is the matrix of docs/privacy.md. When it is another, look whether it should be, and write it anew by
`ENGAGE_WRITE_PAGES=1 .venv/bin/pytest -n 0 tests/integration/dbt/test_access_matrix.py`.
"""

import os
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import psycopg
import pytest
from psycopg import sql

from engage import access
from engage.access.rules import ROLES, SCHEMAS, STAFF
from engage.settings import PROJECT
from engage.warehouse import connect, with_database
from tests.integration.dbt import readers

Connection = psycopg.Connection[Any]
PAGE = PROJECT / "docs" / "privacy.md"
BEGIN, END = "<!-- what every role may do, written by test_access_matrix.py -->\n", "<!-- until here -->\n"
REFUSED = psycopg.errors.InsufficientPrivilege
NOT_FOR_VIEWS = (
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.WrongObjectType,
    psycopg.errors.GeneratedAlways,
)
WRITES = {
    "adds": "insert into {0} default values",
    "changes": "update {0} set {1} = {1}",
    "deletes": "delete from {0}",
    "empties": "truncate {0}",
}
# Every one of these is to be refused to everybody.
NEVER = {
    "read a file of the server": [
        "select pg_read_file('postgresql.conf')",
        "select pg_read_binary_file('postgresql.conf')",
        "select pg_stat_file('postgresql.conf')",
        "select lo_import('/etc/passwd')",
        "create temporary table t (line text); copy t from '/etc/passwd'",
        "copy marts.student from '/etc/passwd'",
    ],
    "list a folder of the server": ["select pg_ls_dir('.')", "select pg_ls_logdir()", "select pg_ls_waldir()"],
    "write a file of the server": [
        "select lo_export(1, '/tmp/engage_was_here')",
        "copy (select 1) to '/tmp/engage_was_here'",
    ],
    "run a program on the server": ["copy (select 1) to program 'true'", "copy marts.student from program 'true'"],
    "read passwords, or statistics with values": ["select from pg_authid", "select from pg_statistic"],
    "become somebody else": [
        *(f"set role {role}" for role in ("engage", "pg_read_all_data", "pg_monitor")),
        "set session authorization engage",
        "create role another login",
        "alter role engage nologin",
        "grant pg_read_all_data to current_user",
    ],
    "make a table, view, function, schema or database": [
        *(f"create table {schema}.mine (n integer)" for schema in (*SCHEMAS, "public")),
        *(f"create view {schema}.mine as select 1" for schema in (*SCHEMAS, "public")),
        "create temporary table mine (n integer)",
        "create function public.mine() returns integer language sql as 'select 1'",
        "create function pg_temp.mine() returns integer language sql as 'select 1'",
        "create schema mine",
        "create database mine",
        "create publication mine for all tables",
    ],
    "change how the server or row-level security works": [
        "alter system set log_statement = 'all'",
        "alter table marts.weekly_score disable row level security",
        "drop policy engage_staff on marts.weekly_score",
        "create policy mine on marts.weekly_score using (true)",
        "alter view marts.student set (security_barrier = false)",
        "set session_replication_role = replica",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'engage' and pid <> pg_backend_pid()",
    ],
}


@pytest.fixture
def tried(url: str) -> Iterator[tuple[Connection, dict[str, Connection]]]:
    """The owner's connection, and one of each login, to a warehouse with rows of s1 and s2; staff may see s1."""
    with connect(url, autocommit=True) as owner, readers.logins(url) as addresses:
        access.apply(owner)
        readers.fill(owner, ["s1", "s2"])
        owner.execute(
            "insert into ops.access_grant (login, database_role, student_id, granted_at, granted_by, reason)"
            " values (%s, %s, 's1', now(), 'x', 'x')",
            [readers.login_of(STAFF), STAFF],
        )
        # Into the database gets who has a role: the login without one is let in so that it can try.
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(addresses[readers.NOBODY])
        owner.execute(f"grant connect on database models to {readers.NOBODY}")
        opened = {login: connect(address) for login, address in addresses.items()}
        yield owner, opened
        for connection in opened.values():
            connection.close()


def reads(login: Connection, schema: str, name: str, kind: str, is_about_students: bool) -> str:
    relation = sql.Identifier(schema, name)
    statement = "select last_value from {}" if kind == "S" else "select * from {}"
    found = attempt(login, sql.SQL(statement).format(relation))
    if found is None:
        return ""
    if schema == "marts" and is_about_students:
        seen = attempt(login, sql.SQL("select distinct student_id from {} order by 1").format(relation))
        return {("s1", "s2"): "reads", ("s1",): "reads own students", (): "sees no row"}[
            tuple(s for (s,) in seen or [])
        ]
    return "reads"


def attempt(login: Connection, statement: sql.SQL | sql.Composed) -> list[Any] | None:
    """Return the rows of a statement, which is undone; None if it was refused."""
    try:
        with login.transaction(force_rollback=True):
            cursor = login.execute(statement)
            return cursor.fetchall() if cursor.description else []
    except (REFUSED, *NOT_FOR_VIEWS):
        return None
    except psycopg.IntegrityError:
        return []  # It might have, had the row been a better one.


def writes(login: Connection, owner: Connection, schema: str, name: str) -> list[str]:
    query = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped limit 1"
    relation = sql.Identifier(schema, name)
    column = owner.execute(query, [relation.as_string(owner)]).fetchall()[0][0]
    return [
        word
        for word, statement in WRITES.items()
        if attempt(login, sql.SQL(statement).format(relation, sql.Identifier(column))) is not None
    ]


def matrix(owner: Connection, logins: dict[str, Connection]) -> str:
    """Return the lines of the page."""
    found = []
    for schema, name, kind, is_about_students in readers.relations(owner):
        outcome = []
        for login in logins.values():
            words = [reads(login, schema, name, kind, is_about_students)]
            words += writes(login, owner, schema, name) if kind != "S" else []
            outcome.append(", ".join(filter(None, words)) or "-")
        found.append((schema, outcome, name))
    lines = [f"| what | {' | '.join([*ROLES, 'any other login'])} |", "| --- " * (len(logins) + 1) + "|"]
    for schema, group in groupby(found, key=lambda one: one[0]):
        rows = list(group)
        outcomes = sorted({tuple(o) for _, o, _ in rows}, key=lambda o: (o.count("-"), o))
        for same in outcomes:
            names = [name for _, o, name in rows if tuple(o) == same]
            is_rest = set(same) == {"-"}
            said = "all" if len(outcomes) == 1 else "everything else" if is_rest else ", ".join(f"`{n}`" for n in names)
            what = f"`{schema}`: {said}"
            lines.append(f"| {what} | {' | '.join(same)} |")
    return "\n".join(lines) + "\n"


def test_the_page_says_what_every_role_may_do(tried: tuple[Connection, dict[str, Connection]]) -> None:
    owner, logins = tried
    said = matrix(owner, logins)
    routines = owner.execute(
        "select p.oid::regprocedure::text, p.pronargs from pg_proc as p"
        " inner join pg_namespace as n on p.pronamespace = n.oid where n.nspname = any(%s) order by 1",
        [list(SCHEMAS)],
    ).fetchall()
    assert routines
    for routine, arguments in routines:
        call = sql.SQL(f"select {routine.split('(')[0]}({', '.join(['null'] * arguments)})")
        assert [name for name, login in logins.items() if attempt(login, call) is not None] == [], routine
    said += (
        f"\nThe {len(routines)} functions of the warehouse (" + ", ".join(f"`{r.split('(')[0]}`" for r, _ in routines)
    ) + ") may be called by nobody but the owner.\n"  # fmt: skip
    said += f"\nTried by every one of them, and refused: {'; '.join(NEVER)}.\n"
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    expected = f"{before}{BEGIN}\n{said}\n{END}{after}"
    if os.environ.get("ENGAGE_WRITE_PAGES"):
        PAGE.write_text(expected)
    else:
        assert page == expected


def test_what_is_refused_to_everybody(tried: tuple[Connection, dict[str, Connection]]) -> None:
    _, logins = tried
    for login in logins.values():
        login.autocommit = True  # Some of it is refused in a transaction, whoever asks.
        for statement in [one for several in NEVER.values() for one in several]:
            with pytest.raises(REFUSED):
                login.execute(statement)


def test_nobody_becomes_a_member_of_another_role(tried: tuple[Connection, dict[str, Connection]]) -> None:
    _, logins = tried
    for name, login in logins.items():
        for role in [*ROLES, *logins]:
            if role != name and readers.login_of(role) != name:
                with pytest.raises(REFUSED), login.transaction():
                    login.execute(f"set role {role}")


def test_a_warehouse_as_dbt_makes_it_is_as_was_decided(url: str) -> None:
    """Also of marts that are added later: one about students that does not protect their rows is found here."""
    with connect(url) as owner:
        access.apply(owner)
        assert [(one.who, one.what, one.difference) for one in access.audit(owner)] == []


def test_dagsters_storage_is_for_nobody_else(postgres_url: str) -> None:
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute("create database beside")
        try:
            with connect(with_database(postgres_url, "beside")) as owner:
                access.shut(owner)
            with readers.logins(with_database(postgres_url, "beside")) as addresses:
                for address in addresses.values():
                    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                        connect(address)
        finally:
            server.execute("drop database beside with (force)")
