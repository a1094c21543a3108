"""Logins as an institution has them, and a warehouse in which every mart about students has rows of several."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from engage.access.rules import ROLES, SCHEMAS
from engage.warehouse import connect
from tests.integration.dbt import casework

Connection = psycopg.Connection[Any]
NOBODY = "read_nobody"
"""A login without any role."""
DAY = date(2090, 7, 1)
RELATIONS = """
select n.nspname, c.relname, c.relkind::text, exists (
    select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'student_id' and not a.attisdropped
)
from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
order by 1, 2
"""


def login_of(role: str) -> str:
    """Return the login that is a member of a role."""
    return role.replace("engage_", "read_")


@contextlib.contextmanager
def logins(url: str) -> Iterator[dict[str, str]]:
    """Make a login for every role and one without; yield their addresses by login."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    members = {login_of(role): role for role in ROLES} | {NOBODY: ""}
    with connect(url, autocommit=True) as owner:
        for login, role in members.items():
            owner.execute(f"create role {login} login password 'x' {f'in role {role}' if role else ''}")
        try:
            yield {name: f"postgresql://{name}:x@{parts['host']}:{parts['port']}/{parts['dbname']}" for name in members}
        finally:
            for login in members:
                owner.execute(f"drop owned by {login}")
                owner.execute(f"drop role {login}")


def relations(connection: Connection) -> list[tuple[str, str, str, bool]]:
    """Return schema, name, kind and whether it is about students, of all that is there."""
    return connection.execute(RELATIONS, [list(SCHEMAS)]).fetchall()


def marts_about_students(connection: Connection) -> list[str]:
    """Return the names of the marts with a student_id."""
    return [name for schema, name, kind, is_about in relations(connection) if schema == "marts" and is_about]


def fill(connection: Connection, students: Sequence[str]) -> None:
    """Give each of the students a row in every mart that has a student_id."""
    for student in students:
        given = [student]
        casework.notify(connection, student, DAY)
        connection.execute(
            "insert into intermediate.int_student (student_id, status, is_sponsored) values (%s, 'active', true)", given
        )
    connection.execute(
        "insert into marts.weekly_score_source (week_start, revision, peer_level, peer_group, source_id, reason)"
        " values (%s, 0, '', '', 'vle', 'counted')",
        [DAY],
    )
    for schema, name, kind, is_about in relations(connection):
        if schema == "marts" and is_about and kind != "v":
            table = sql.Identifier(schema, name)
            also = {"weekly_score_revision": {"week_start": DAY, "revision": 0}}.get(name, {})
            columns = sql.SQL(", ").join(map(sql.Identifier, ["student_id", *also]))
            values = sql.SQL(", ").join(map(sql.Placeholder, ["student_id", *also]))
            query = sql.SQL("insert into {} ({}) values ({})").format(table, columns, values)
            for student in students:
                connection.execute(query, {"student_id": student, **also})
    for name in marts_about_students(connection):
        seen = sql.SQL("select distinct student_id from {}").format(sql.Identifier("marts", name))
        assert set(students) <= {s for (s,) in connection.execute(seen)}, f"put rows into marts.{name}"
