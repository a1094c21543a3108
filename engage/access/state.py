"""What is and what should be: the differences, and their mending. What should be is rules.py's, what is catalog.py's.

Nothing is executed that makes no difference: looking every night leaves the catalog as it was.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from engage.access import catalog
from engage.access.catalog import Found, Privilege
from engage.access.rules import ROLES, RULES, STAFF, USAGE
from engage.warehouse import Connection

_MINE = "((( SELECT jsonb_object_agg(m.student_id, true) AS mine FROM ops.my_student m))[student_id] IS NOT NULL)"
_OWN = (_MINE, f"({_MINE} AND (student_id = ANY (ARRAY( SELECT m.student_id FROM ops.my_student m))))")  # noqa: S608
"""The conditions of dbt_project/macros/row_level_security.sql, as the server writes them."""
_NOT_MENDED = (
    psycopg.errors.InsufficientPrivilege,  # another's right
    *(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject, psycopg.errors.InternalError_),  # being made anew
)


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be."""

    who: str
    """A role or a login; PUBLIC is everybody."""
    what: str
    difference: str
    mending: Composed | None = None
    """The statement that would; None: there is none."""
    is_for_a_person: bool = False
    """Not mended unasked."""


def audit(connection: Connection) -> list[Difference]:
    """Return all that is not as was decided: privileges, members, policies. Empty: all is so. Reads only."""
    found = catalog.read(connection)
    return [*_of_roles(found), *_of_privileges(found), *_of_rows(found), *_of_members(found)]


def apply(connection: Connection) -> list[Difference]:
    """Mend what can be mended, in one transaction; return what is left. Safe to run at any time, by several at once.

    Who was made a member of a role by hand stays one: that is for a person to decide.
    """
    left = audit(connection)
    if not any(map(_may_be_mended, left)):
        return left
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.access'))")
        for one in filter(_may_be_mended, audit(connection)):
            _try(connection, one.mending)
        return audit(connection)


def shut(connection: Connection) -> None:
    """Let nobody but its owner into the connected database, in which no table is for readers."""
    found = connection.execute(
        "select datname from pg_database where datname = current_database() and pg_has_role(datdba, 'usage')"
        " and exists (select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0)"
    ).fetchone()
    if found:
        _try(connection, SQL("revoke all on database {} from public").format(Identifier(str(found[0]))))


def _may_be_mended(one: Difference) -> bool:
    return one.mending is not None and not one.is_for_a_person


def _try(connection: Connection, statement: Composed | None) -> None:
    with contextlib.suppress(*_NOT_MENDED), connection.transaction():
        if statement is not None:
            connection.execute(statement)


def _wanted(found: Found) -> Iterator[Privilege]:
    database = found.owners["database"]
    if found.owners["owner"] != found.owners["of_database"]:
        yield Privilege("database", (database,), None, found.owners["owner"], "CONNECT")
    for role in found.roles:
        yield Privilege("database", (database,), None, role, "CONNECT")
        for schema in USAGE[role]:
            if schema in found.schemas:
                yield Privilege("schema", (schema,), None, role, "USAGE")
    for rule in RULES:
        for one in found.relations:
            if (
                rule.role in found.roles
                and one["schema"] == rule.schema
                and (not rule.only or one["name"] in rule.only)
                and one["name"] not in rule.besides
                and (not rule.own_students or (one["is_about_students"] and one["shows_own_students"]))
            ):
                for privilege in rule.privileges:
                    yield Privilege("table", (one["schema"], one["name"]), None, rule.role, privilege)


def _of_privileges(found: Found) -> Iterator[Difference]:
    wanted = set(_wanted(found))
    for one in sorted(wanted - found.privileges.keys(), key=str):
        yield Difference(one.grantee or "PUBLIC", str(one), "missing", one.granting())
    for one, may_be_passed_on in sorted(found.privileges.items(), key=str):
        if one not in wanted:
            yield Difference(one.grantee or "PUBLIC", str(one), "not granted", one.revoking())
        elif may_be_passed_on:
            yield Difference(one.grantee or "PUBLIC", str(one), "may be passed on", one.revoking(only_option=True))


def _of_roles(found: Found) -> Iterator[Difference]:
    for role in ROLES:
        if role not in found.roles:
            yield Difference(role, "the role", "not there", SQL("create role {} nologin").format(Identifier(role)))
        elif found.roles[role]:
            yield Difference(role, "the role", "may log in", SQL("alter role {} nologin").format(Identifier(role)))


def _of_rows(found: Found) -> Iterator[Difference]:
    for one in found.relations:
        if one["schema"] == "marts" and one["is_about_students"] and not one["is_secured"]:
            yield Difference("PUBLIC", f"marts.{one['name']}", "without row-level security: dbt makes it")
    for policy in found.policies:
        role = policy["policy"]
        says = _OWN if role == STAFF else ("true",)
        if role not in ROLES or policy["roles"] != [role] or policy["says"] not in says:
            what = f"policy {role} on {policy['schema']}.{policy['name']}"
            drop = SQL("drop policy {} on {}").format(Identifier(role), Identifier(policy["schema"], policy["name"]))
            yield Difference(", ".join(policy["roles"]) or "PUBLIC", what, "not as dbt makes it", drop)


def _of_members(found: Found) -> Iterator[Difference]:
    granted = {(one["login"], one["database_role"]) for one in found.granted}
    are = {(one["member"], one["role"]) for one in found.members}
    for one in found.granted:
        login, role = one["login"], one["database_role"]
        if not one["is_there"]:
            yield Difference(login, f"member of {role}", "there is no such login")
        elif (login, role) not in are and role in found.roles:
            yield Difference(login, f"member of {role}", "missing", _member("grant {role} to {login}", login, role))
    for one in found.members:
        login, role = one["member"], one["role"]
        what, leaving = f"member of {role}", _member("revoke {role} from {login} cascade", login, role)
        if login in ROLES:
            yield Difference(login, what, "not granted", leaving)
        elif role not in ROLES:
            yield Difference(login, what, "no privilege holds it back")
        elif (login, role) not in granted:
            is_over = one["was_granted"]
            yield Difference(login, what, "over" if is_over else "given by hand", leaving, is_for_a_person=not is_over)
        elif one["may_be_passed_on"]:
            passing = _member("revoke admin option for {role} from {login} cascade", login, role)
            yield Difference(login, what, "may be passed on", passing)
        if role in ROLES and one["is_above"]:
            yield Difference(login, what, "no privilege holds it back: superuser, bypassrls or createrole")


def _member(words: str, login: str, role: str) -> Composed:
    return SQL(words).format(role=Identifier(role), login=Identifier(login))
