"""`engage access`: who may read what, who decided it, and whether the database says the same.

What is granted is engage.access.grants'; what is found and mended engage.access.state's.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime

import click
from psycopg.rows import dict_row

from engage import access as rights
from engage import clock, decisions, runtime, warehouse
from engage.access import grants
from engage.access.rules import ROLES
from engage.commands.output import Function, json_option, show
from engage.settings import Settings

_LIST = """
select
    g.grant_id, g.login, g.database_role as role,
    coalesce(
        'staff ' || g.staff_id, 'student ' || g.student_id, 'programme ' || g.programme_code,
        'faculty ' || g.faculty_code
    ) as students,
    g.last_day,
    case
        when g.revoked_at is not null then 'taken back'
        when g.grant_id in (select grant_id from ops.access_in_force) then 'in force'
        else 'over'
    end as state,
    g.granted_at, g.granted_by, g.reason, g.revoked_at, g.revoked_by, g.revoke_reason
from ops.access_grant as g
where %(all)s or g.grant_id in (select grant_id from ops.access_in_force)
order by g.login, g.grant_id
"""
_ROLE = click.Choice(list(ROLES))


@click.group()
def access() -> None:
    """Who may read what: roles of the warehouse, and whose students a member of staff sees."""


def _scoped(function: Function) -> Function:
    """Add which students it is about, and who decides why."""
    for option in (
        click.option("--reason", default="", help="Why. Is kept; never name a student."),
        click.option("--by", help="Who decides; without it ENGAGE_USER, or the operating system's name."),
        click.option("--faculty", "faculty_code", multiple=True, help="Who is enrolled in this faculty."),
        click.option("--programme", "programme_code", multiple=True, help="Who is enrolled in this programme."),
        click.option("--student", "student_id", multiple=True, help="This student."),
        click.option("--staff-id", "staff_id", multiple=True, help="Whom a staff_links list links with this number."),
    ):
        function = option(function)
    return function


@access.command("grant")
@click.argument("login")
@click.argument("role", type=_ROLE)
@click.option("--until", "last_day", type=click.DateTime(["%Y-%m-%d"]), help="Last day; without it until taken back.")
@_scoped
def grant_role(
    login: str, role: str, last_day: datetime | None, by: str | None, reason: str, **scopes: tuple[str, ...]
) -> None:
    """Give LOGIN, which the database knows, a ROLE. engage_staff needs to be told whose students.

    Exit code 1: not possible, and why.
    """
    until = last_day.date() if last_day else None
    with _connected() as connection:
        added = grants.grant(connection, login, role, _scopes(scopes), until, _signed(by, reason))
    click.echo(f"granted {role} to {login}: {added} new" if added else f"{login} had all of it: nothing changed")


@access.command("revoke")
@click.argument("login")
@click.argument("role", type=_ROLE, required=False)
@_scoped
def revoke_role(login: str, role: str | None, by: str | None, reason: str, **scopes: tuple[str, ...]) -> None:
    """Take back what LOGIN was granted: all, all of ROLE, or only these students. Exit code 1: there was nothing."""
    with _connected() as connection:
        closed = grants.revoke(connection, login, role, _scopes(scopes), _signed(by, reason))
    click.echo(f"taken back from {login}: {closed}")


@access.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over or taken back, too.")
@json_option
def list_grants(everything: bool, as_json: bool) -> None:
    """List who was granted what, when, by whom, why and until when."""
    with _connected() as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_LIST, {"all": everything}).fetchall()
    show(rows, as_json, "nobody was granted anything")


@access.command("audit")
@json_option
@click.pass_context
def audit(context: click.Context, as_json: bool) -> None:
    """Say where the database differs from what was granted. Exit code 1: it does."""
    with _connected() as connection:
        left = rights.audit(connection)
    _tell(context, left, as_json)


@access.command("apply")
@json_option
@click.pass_context
def apply(context: click.Context, as_json: bool) -> None:
    """Mend what differs, as every start and every night do. Exit code 1: something is left for a person to decide."""
    with _connected() as connection:
        left = rights.apply(connection)
    _tell(context, left, as_json)


def _tell(context: click.Context, left: list[rights.Difference], as_json: bool) -> None:
    rows: list[dict[str, object]] = [
        {
            "who": one.who,
            "what": one.what,
            "difference": one.difference,
            "statement": one.mending.as_string() if one.mending is not None else None,
        }
        for one in left
    ]
    show(rows, as_json, "the database says what was granted, and nothing else")
    context.exit(1 if rows else 0)


def _scopes(given: dict[str, tuple[str, ...]]) -> list[grants.Scope]:
    return [(kind, value) for kind in grants.SCOPES for value in dict.fromkeys(given[kind])]


def _signed(by: str | None, reason: str) -> grants.Signed:
    return grants.Signed((by or "").strip() or decisions.person(), clock.now(), reason)


@contextlib.contextmanager
def _connected() -> Iterator[warehouse.Connection]:
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        yield connection
