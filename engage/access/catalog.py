"""What the catalog of the server says of roles, privileges, policies and members. Reads only; judges nothing."""

from typing import Any, NamedTuple

from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier

from engage.access.rules import ROLES, SCHEMAS, STAFF
from engage.warehouse import Connection

Row = dict[str, Any]
ALL_DATA = (
    *("pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files"),
    "pg_execute_server_program",
)
"""Roles of the server itself whose members no privilege holds back."""
# Everything that anybody but an owner was given.
_GIVEN = """
with ours as (select oid, nspname, nspacl, nspowner from pg_namespace where nspname = any(%(schemas)s)),
relations as (
    select
        c.oid, n.nspname, c.relname, c.relacl, c.relowner,
        case c.relkind when 'S' then 'sequence' else 'table' end as kind
    from pg_class as c inner join ours as n on c.relnamespace = n.oid
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
),
given as (
    select 'database' as kind, array[d.datname::text] as name, null as part, a.grantee, a.privilege_type, a.is_grantable
    from pg_database as d cross join aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as a
    where d.datname = current_database() and a.grantee <> d.datdba
    union all
    select 'schema', array[n.nspname::text], null, a.grantee, a.privilege_type, a.is_grantable
    from ours as n cross join aclexplode(n.nspacl) as a
    where a.grantee <> n.nspowner
    union all
    select 'schema', array[n.nspname::text], null, a.grantee, a.privilege_type, a.is_grantable
    from pg_namespace as n cross join aclexplode(n.nspacl) as a
    where n.nspname = 'public' and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
    union all
    select r.kind, array[r.nspname::text, r.relname], null, a.grantee, a.privilege_type, a.is_grantable
    from relations as r cross join aclexplode(r.relacl) as a
    where a.grantee <> r.relowner
    union all
    select r.kind, array[r.nspname::text, r.relname], t.attname, a.grantee, a.privilege_type, a.is_grantable
    from relations as r inner join pg_attribute as t on r.oid = t.attrelid cross join aclexplode(t.attacl) as a
    where t.attacl is not null and a.grantee <> r.relowner
    union all
    select 'routine', array[p.oid::regprocedure::text], null, a.grantee, a.privilege_type, a.is_grantable
    from pg_proc as p
    inner join ours as n on p.pronamespace = n.oid
    cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    where a.grantee <> p.proowner
)
select
    g.kind, g.name, g.part, r.rolname as grantee, g.privilege_type as privilege,
    bool_or(g.is_grantable) as may_be_passed_on
from given as g left join pg_roles as r on g.grantee = r.oid
group by g.kind, g.name, g.part, r.rolname, g.privilege_type
"""
# What may be granted. A table shows staff their own students' rows by its policies; a view must ask for itself.
_RELATIONS = """
select
    n.nspname as schema, c.relname as name,
    exists (
        select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'student_id' and not a.attisdropped
    ) as is_about_students,
    asks.itself as is_secured,
    asks.itself
    and (
        c.relkind = 'v' or exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = %(staff)s)
    ) as shows_own_students
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
cross join lateral (
    select
        case
            when c.relkind = 'v' then
                'security_barrier=true' = any(c.reloptions)
                and exists (
                    select from pg_rewrite as r
                    inner join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                    where r.ev_class = c.oid and d.refobjid = 'ops.my_student'::regclass
                )
            else c.relrowsecurity
        end is true as itself
) as asks
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
"""
_POLICIES = """
select
    n.nspname as schema, c.relname as name, p.polname as policy,
    array(select r.rolname::text from pg_roles as r where r.oid = any(p.polroles)) as roles,
    regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\\s+', ' ', 'g') as says
from pg_policy as p
inner join pg_class as c on p.polrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = any(%(schemas)s)
"""
_ROLES = "select rolname as name, rolcanlogin as may_log_in from pg_roles where rolname = any(%(roles)s)"
_MEMBERS = """
select
    g.rolname as role, m.rolname as member, bool_or(a.admin_option) as may_be_passed_on,
    m.rolsuper or m.rolbypassrls or m.rolcreaterole as is_above,
    exists (select from ops.access_grant as k where k.login = m.rolname and k.database_role = g.rolname) as was_granted
from pg_auth_members as a
inner join pg_roles as g on a.roleid = g.oid
inner join pg_roles as m on a.member = m.oid
cross join (select nspowner as oid from pg_namespace where nspname = 'ops') as owner
where
    (
        g.rolname = any(%(roles)s) or m.rolname = any(%(roles)s) or g.rolname = any(%(all_data)s)
        -- Whoever may act as the owner. Who made a role may since Postgres 16 give it, and no more.
        or (
            g.oid = owner.oid
            and coalesce((to_jsonb(a) ->> 'set_option')::boolean or (to_jsonb(a) ->> 'inherit_option')::boolean, true)
        )
    )
    and m.oid <> owner.oid and not m.rolname ~ '^pg_'
group by g.rolname, m.oid, m.rolname, m.rolsuper, m.rolbypassrls, m.rolcreaterole
"""
_GRANTED = """
select g.login, g.database_role, r.rolname is not null as is_there
from (select distinct login, database_role from ops.access_in_force) as g
left join pg_roles as r on g.login = r.rolname
"""
_OWNERS = """
select pg_get_userbyid(nspowner) as owner, current_database() as database, pg_get_userbyid(datdba) as of_database
from pg_namespace cross join pg_database
where nspname = 'ops' and datname = current_database()
"""
_SCHEMAS = "select nspname as name from pg_namespace where nspname = any(%(schemas)s)"


class Privilege(NamedTuple):
    """What somebody may do with one thing."""

    kind: str
    """database, schema, table (views, too), sequence or routine."""
    name: tuple[str, ...]
    part: str | None
    """A column, where it is about that alone."""
    grantee: str | None
    """None is PUBLIC."""
    privilege: str

    def __str__(self) -> str:
        part = f" ({self.part})" if self.part else ""
        return f"{self.privilege}{part} on {self.kind} {'.'.join(self.name)}"

    def granting(self) -> Composed:
        """Return the statement that gives it."""
        return SQL("grant {} on {} {} to {}").format(*self._said())

    def revoking(self, only_option: bool = False) -> Composed:
        """Return the statement that takes it back, or only that it may be passed on; and what was passed on."""
        option = SQL("grant option for " if only_option else "")
        return SQL("revoke {}{} on {} {} from {} cascade").format(option, *self._said())

    def _said(self) -> tuple[Composed, Composed, Composed, Composed]:
        # Words, and names of routines with their arguments, are as the server wrote them.
        words = {word: Composed([SQL(word)]) for word in (self.kind, self.privilege, *self.name)}
        part = Composed([SQL(" ("), Identifier(self.part), SQL(")")]) if self.part else Composed([])
        return (
            words[self.privilege] + part,
            words[self.kind],
            words[self.name[0]] if self.kind == "routine" else Composed([Identifier(*self.name)]),
            Composed([SQL("public") if self.grantee is None else Identifier(self.grantee)]),
        )


class Found(NamedTuple):
    """All that is to be judged."""

    owners: Row
    schemas: list[str]
    roles: dict[str, bool]
    """Those of ours that are there, and whether they may log in."""
    privileges: dict[Privilege, bool]
    """What anybody but an owner was given, and whether it may be passed on."""
    relations: list[Row]
    policies: list[Row]
    members: list[Row]
    granted: list[Row]
    """Logins and roles of the grants in force."""


def read(connection: Connection) -> Found:
    """Return what is there in the connected warehouse, and on its server."""
    given = {"schemas": list(SCHEMAS), "roles": list(ROLES), "all_data": list(ALL_DATA), "staff": STAFF}
    with connection.cursor(row_factory=dict_row) as cursor:

        def rows(query: str) -> list[Row]:
            return cursor.execute(query, given).fetchall()

        return Found(
            owners=rows(_OWNERS)[0],
            schemas=[r["name"] for r in rows(_SCHEMAS)],
            roles={r["name"]: r["may_log_in"] for r in rows(_ROLES)},
            privileges={
                Privilege(r["kind"], tuple(r["name"]), r["part"], r["grantee"], r["privilege"]): r["may_be_passed_on"]
                for r in rows(_GIVEN)
            },
            relations=rows(_RELATIONS),
            policies=rows(_POLICIES),
            members=rows(_MEMBERS),
            granted=rows(_GRANTED),
        )
