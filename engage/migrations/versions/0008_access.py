"""Who may read what: the roles of the warehouse, and whose students a member of staff sees.

Privileges are not given here: engage.access keeps them as they should be, after every migration and every night.
"""

import logging

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Roles belong to the whole server: another of its databases may have made one, at this very moment even.
ROLE = """
do $$
begin
    create role {role} nologin;
exception
    when duplicate_object or unique_violation or insufficient_privilege then null;
end
$$;
"""
ROLES = ("engage_bi", "engage_loader", "engage_staff", "engage_visa", "engage_governance")
NO_ROLES = (
    "not there, and may not be created by the role in ENGAGE_DATABASE_URL: nobody can be granted these until a database "
    "administrator has made them (docs/privacy.md): %s"
)

GRANTS = """
create table ops.access_grant (
    grant_id bigint generated always as identity primary key,
    login text not null check (btrim(login) <> ''),
    database_role text not null check (
        database_role in ('engage_loader', 'engage_bi', 'engage_staff', 'engage_visa', 'engage_governance')
    ),
    staff_id text,
    student_id text,
    programme_code text,
    faculty_code text,
    last_day date,
    granted_at timestamptz not null,
    granted_by text not null check (btrim(granted_by) <> ''),
    reason text not null check (btrim(reason) <> ''),
    revoked_at timestamptz,
    revoked_by text check (btrim(revoked_by) <> ''),
    revoke_reason text,
    check (
        num_nonnulls(staff_id, student_id, programme_code, faculty_code)
        = case database_role when 'engage_staff' then 1 else 0 end
    ),
    check ((revoked_at is null) = (revoked_by is null))
);
create index on ops.access_grant (login);
comment on table ops.access_grant is
    'What a login of the database may read, who decided it and why; closed when it is taken back, never deleted.';
comment on column ops.access_grant.login is 'A role of the database server that may log in.';
comment on column ops.access_grant.staff_id is 'For engage_staff: the students whom a staff_links list links with this member of staff.';
comment on column ops.access_grant.student_id is 'For engage_staff: this one student.';
comment on column ops.access_grant.programme_code is 'For engage_staff: who is enrolled in this programme.';
comment on column ops.access_grant.faculty_code is 'For engage_staff: who is enrolled in a programme of this faculty.';
comment on column ops.access_grant.last_day is 'The last day on which it holds; null until it is taken back.';

-- who was a reader before grants were kept goes on being one
insert into ops.access_grant (login, database_role, granted_at, granted_by, reason)
select members.rolname, groups.rolname, now(), 'upgrade', 'a member of the role before grants were kept'
from pg_auth_members as m
inner join pg_roles as groups on m.roleid = groups.oid and groups.rolname = 'engage_bi'
inner join pg_roles as members on m.member = members.oid and members.rolcanlogin and members.rolname <> current_user
group by members.rolname, groups.rolname;
"""

STAFF = """
-- a list is asked for one member of staff on one day, each time that one reads a mart
drop index raw.staff_links_as_of_date_idx;
create index on raw.staff_links (as_of_date, staff_id);

create view ops.access_in_force as
select g.*
from ops.access_grant as g
where
    g.revoked_at is null
    -- it ends though no run comes any more
    and g.last_day >= (
        select (greatest(max(p.as_of), now()) at time zone coalesce(max(p.time_zone), 'UTC'))::date from ops.scoring_parameter as p
    ) is not false;
comment on view ops.access_in_force is 'The grants that hold today, by the clock of the institution.';

create view ops.staff_access as
-- lists are as of the last run that read them
with today as (
    select (coalesce(max(p.as_of), now()) at time zone coalesce(max(p.time_zone), 'UTC'))::date as day
    from ops.scoring_parameter as p
),
granted as not materialized (select * from ops.access_in_force where database_role = 'engage_staff'),
newest as not materialized (
    select
        s.source_id, s.record,
        greatest(
            case s.record
                when 'staff_links' then (select max(l.as_of_date) from raw.staff_links as l where l.source_id = s.source_id)
                else (select max(e.as_of_date) from raw.enrolments as e where e.source_id = s.source_id)
            end,
            -- a list without a row is a list
            (
                select max(d.day) from ops.batch_day as d inner join ops.batch as b using (batch_id)
                where d.source_id = s.source_id and d.is_current and d.is_covered and b.state = 'published'
            )
        ) as as_of_date
    from ops.source as s
    where
        s.record in ('staff_links', 'enrolments')
        and (s.disabled_from is null or s.disabled_from > (select day from today))
)
select
    g.login as database_role, g.staff_id, l.student_id, l.role as why, least(l.valid_to, g.last_day + 1) as valid_to
from granted as g
cross join newest as n
inner join raw.staff_links as l on l.source_id = n.source_id and l.as_of_date = n.as_of_date and l.staff_id = g.staff_id
where
    n.record = 'staff_links'
    and (l.valid_from is null or l.valid_from <= (select day from today))
    and (l.valid_to is null or l.valid_to > (select day from today))
union all
select g.login, null, e.student_id, case when g.faculty_code is null then 'programme' else 'faculty' end, g.last_day + 1
from granted as g
cross join newest as n
inner join raw.enrolments as e
    on
        e.source_id = n.source_id and e.as_of_date = n.as_of_date
        and (e.programme_code = g.programme_code or e.faculty_code = g.faculty_code)
where
    n.record = 'enrolments'
    and coalesce(g.programme_code, g.faculty_code) is not null
    and (e.status_from is null or e.status_from <= e.as_of_date)
    and (e.status_to is null or e.status_to > e.as_of_date)
union all
select g.login, null, g.student_id, 'grant', g.last_day + 1
from granted as g
where g.student_id is not null;
comment on view ops.staff_access is
    'Which students a login of staff sees today, and why: by the newest list of each source of staff_links, or by a grant.';
comment on column ops.staff_access.database_role is 'The login, as it calls itself to the database server.';
comment on column ops.staff_access.why is 'Role of the link; programme, faculty or grant where it is by a grant.';
comment on column ops.staff_access.valid_to is 'The first day on which it no longer holds, as far as is known; null is open.';

create view ops.my_student with (security_barrier) as
select a.student_id from ops.staff_access as a where a.database_role = current_user::text;
comment on view ops.my_student is 'The students whom the one who asks may see: what the row-level security of the marts reads.';

create view ops.reader as
select
    -- an owner may ask to be shown what others are; nobody else is shown more by asking
    pg_has_role(c.relowner, 'usage') and current_setting('engage.as_reader', true) is distinct from 'on' as is_owner,
    pg_has_role(c.relowner, 'usage')
    or exists (select from pg_roles as r where r.rolname = 'engage_bi' and pg_has_role(r.oid, 'usage')) as sees_all
from pg_class as c
where c.oid = 'ops.access_grant'::regclass;
comment on view ops.reader is
    'One row: has the one who asks the rights of the owner, and may all rows of the marts be seen. What marts that are views ask.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    for role in ROLES:
        op.execute(ROLE.format(role=role))
    for script in (GRANTS, STAFF):
        op.execute(script)
    is_there = "select to_regrole(%s) is not null"
    # 0006 has said it of engage_bi.
    if missing := [r for r in ROLES[1:] if not op.get_bind().exec_driver_sql(is_there, (r,)).scalar()]:
        logging.getLogger(__name__).warning(NO_ROLES, ", ".join(missing))
