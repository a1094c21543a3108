"""What people decide about access: a login gets a role, of staff with those students whom it is about; until when, why.

A grant is written down first and closed when it is taken back, never deleted; members of the database's roles are made
to follow (`state`). What a login sees of whom follows from the grants by itself: ops.staff_access is a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from engage import clock
from engage.access import state
from engage.access.rules import ROLES, STAFF
from engage.decisions import DecisionError
from engage.warehouse import Connection

SCOPES: tuple[LiteralString, ...] = ("staff_id", "student_id", "programme_code", "faculty_code")
Scope = tuple[str, str]
"""One of SCOPES and its value."""
_LOGIN = """
select
    rolcanlogin,
    rolsuper or rolbypassrls or pg_has_role(oid, (select nspowner from pg_namespace where nspname = 'ops'), 'usage')
from pg_roles where rolname = %s
"""
_GRANT = """
insert into ops.access_grant (
    login, database_role, staff_id, student_id, programme_code, faculty_code, last_day, granted_at, granted_by, reason
)
select
    %(login)s, %(role)s, %(staff_id)s, %(student_id)s, %(programme_code)s, %(faculty_code)s,
    %(last_day)s, %(now)s, %(by)s, %(reason)s
where not exists (
    select from ops.access_in_force as g
    where
        (g.login, g.database_role, g.last_day, g.staff_id, g.student_id, g.programme_code, g.faculty_code)
        is not distinct from (
            %(login)s, %(role)s, %(last_day)s::date, %(staff_id)s::text, %(student_id)s::text, %(programme_code)s::text,
            %(faculty_code)s::text
        )
)
"""
_REVOKE = """
update ops.access_grant as g set revoked_at = %(now)s, revoked_by = %(by)s, revoke_reason = %(reason)s
where
    g.login = %(login)s and g.revoked_at is null and (%(role)s::text is null or g.database_role = %(role)s)
    and (
        %(everything)s
        or g.staff_id = any(%(staff_id)s) or g.student_id = any(%(student_id)s)
        or g.programme_code = any(%(programme_code)s) or g.faculty_code = any(%(faculty_code)s)
    )
"""
# Who was made a member by hand: so that the record says who was, and that it is over.
_ADOPT = """
insert into ops.access_grant (
    login, database_role, staff_id, granted_at, granted_by, reason, revoked_at, revoked_by, revoke_reason
)
select
    m.rolname, g.rolname, case g.rolname when %(staff)s then '' end, %(now)s, 'by hand', 'nobody had granted it',
    %(now)s, %(by)s, %(reason)s
from pg_auth_members as a
inner join pg_roles as g on a.roleid = g.oid
inner join pg_roles as m on a.member = m.oid
where
    m.rolname = %(login)s and g.rolname = any(%(roles)s)
    and not exists (select from ops.access_grant as k where k.login = m.rolname and k.database_role = g.rolname)
group by m.rolname, g.rolname
"""


@dataclass(frozen=True)
class Signed:
    """Who decides, when and why."""

    by: str
    now: datetime
    reason: str


def grant(
    connection: Connection, login: str, role: str, scopes: Sequence[Scope], last_day: date | None, signed: Signed
) -> int:
    """Give a login a role, of staff with each of these scopes; return how many grants that adds.

    Raises DecisionError with the reason where that is not possible: it names no student.
    """
    _check_reason(signed)
    if (role == STAFF) != bool(scopes):
        raise DecisionError(
            f"{STAFF} is for the students of somebody: say whose, with --staff-id, --student, --programme or --faculty"
            if role == STAFF
            else f"{role} is not about some students: only {STAFF} is"
        )
    if last_day is not None and last_day < clock.local(connection, signed.now).date():
        raise DecisionError("--until is in the past")
    _check_login(connection, login)
    said = {"login": login, "role": role, "last_day": last_day}
    said |= {"now": signed.now, "by": signed.by, "reason": signed.reason}
    with connection.transaction():
        added = 0
        for given in [dict([scope]) for scope in scopes] or [{}]:
            added += connection.execute(_GRANT, {**said, **dict.fromkeys(SCOPES), **given}).rowcount
        _follow(connection, login)
    return added


def revoke(connection: Connection, login: str, role: str | None, scopes: Sequence[Scope], signed: Signed) -> int:
    """Take grants back: of a role or of all, with these scopes or with all; return how many.

    Raises DecisionError where there was nothing to take back.
    """
    _check_reason(signed)
    said = {"login": login, "role": role, "now": signed.now, "by": signed.by, "reason": signed.reason}
    given = {name: [value for kind, value in scopes if kind == name] for name in SCOPES}
    with connection.transaction():
        closed = connection.execute(_REVOKE, {**said, **given, "everything": not scopes}).rowcount
        if not scopes:
            roles = [role] if role else list(ROLES)
            closed += connection.execute(_ADOPT, {**said, "roles": roles, "staff": STAFF}).rowcount
        if not closed:
            raise DecisionError(f"{login} has no such grant")
        _follow(connection, login)
    return closed


def _check_reason(signed: Signed) -> None:
    if not signed.reason.strip():
        raise DecisionError("--reason is missing: why is kept with every grant")


def _check_login(connection: Connection, login: str) -> None:
    found = connection.execute(_LOGIN, [login]).fetchone()
    if not found or not found[0]:
        raise DecisionError(
            f"there is no login {login}: have the administrator of the database make it "
            "(create role ... login password ...)"
        )
    if found[1]:
        raise DecisionError(
            f"{login} reads everything as it is: no role and no policy holds back an owner or a superuser"
        )


def _follow(connection: Connection, login: str) -> None:
    """Make the login a member of what it was granted, and of nothing else that was granted here."""
    if [one for one in state.apply(connection) if one.who == login and one.mending is not None]:
        raise DecisionError(
            f"the role in ENGAGE_DATABASE_URL may not make {login} a member, or take that back: "
            "have it granted the roles with admin option (docs/privacy.md)"
        )
