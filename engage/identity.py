"""Who a reference names: what snapshots of students say about badges, user names and addresses becomes `pii.identity`.

The only module that writes `pii`. A snapshot that says what the one before it said leaves no trace.
"""

from psycopg import sql

from engage.records import IDENTITY_KINDS
from engage.statements import Statements
from engage.typed_statement import normalised


def take_back(statements: Statements) -> None:
    """Forget what a snapshot of students said that is visible no longer. The caller has removed its rows."""
    statements.run(
        """
        delete from pii.student as p using ops.batch_day as d
        where
            d.batch_id = %(batch)s and p.as_of_date = d.day
            and not exists (select from raw.students as r where r.student_id = p.student_id)
        """
    )
    take(statements, is_visible=False)


def take(statements: Statements, is_visible: bool = True) -> None:
    """Take names and references from the good rows of a snapshot of students that is being published.

    Batches whose rows would now name somebody else are marked stale, also those that others publish meanwhile: they
    hold the lock that is waited for here. Does nothing for a snapshot that a newer one of the same day has overtaken.
    """
    statements.run("select pg_advisory_xact_lock(hashtext('engage.identity'))")
    good = statements.parts["good"] if is_visible else sql.SQL("false")
    references = sql.SQL(", ".join(f"('{kind}', {normalised(kind, kind)})" for kind in IDENTITY_KINDS))
    for statement in _STATEMENTS:
        statements.run(statement, references=references, good=good)


def take_staff(statements: Statements) -> None:
    """Take names and addresses of staff from the good rows of a list of links that is being published."""
    statements.run(
        """
        insert into pii.staff (staff_id, staff_name, staff_email, as_of_date)
        select distinct on (r.staff_id) r.staff_id, r.staff_name, r.staff_email, r.day
        from (select * from {rows} where {good}) as r
        inner join ops.batch_day as d on d.batch_id = %(batch)s and d.day = r.day and d.is_current
        order by r.staff_id, r.row_number desc
        on conflict (staff_id) do update set
            staff_name = excluded.staff_name, staff_email = excluded.staff_email, as_of_date = excluded.as_of_date
        where pii.staff.as_of_date <= excluded.as_of_date
        """
    )


_STATEMENTS = (
    """
    create temporary table if not exists said (ref_kind text, ref text, student_id text, as_of_date date)
    on commit delete rows
    """,
    "create temporary table if not exists changed (ref_kind text, ref text) on commit delete rows",
    "create temporary table if not exists before (like pii.identity) on commit delete rows",
    # Two students with one reference on one day: always the same one of them, whatever the order of the rows.
    """
    insert into said
    select v.ref_kind, v.ref, min(r.student_id), r.day
    from (select * from {rows} where {good}) as r
    inner join ops.batch_day as d on d.batch_id = %(batch)s and d.day = r.day and d.is_current
    cross join lateral (values {references}) as v (ref_kind, ref)
    where v.ref is not null
    group by v.ref_kind, v.ref, r.day
    """,
    """
    insert into pii.student (student_id, given_name, family_name, email, as_of_date)
    select distinct on (student_id) student_id, given_name, family_name, email, day
    from {rows}
    where {good} and exists (select from said)
    order by student_id, row_number desc
    on conflict (student_id) do update set
        given_name = excluded.given_name, family_name = excluded.family_name,
        email = excluded.email, as_of_date = excluded.as_of_date
    where pii.student.as_of_date <= excluded.as_of_date
    """,
    # An earlier version of this snapshot, or an earlier attempt at it, said something else.
    """
    with gone as (
        delete from pii.identity_sighting as s
        using ops.batch_day as d
        where d.batch_id = %(batch)s and d.is_current and s.source_id = %(source)s and s.as_of_date = d.day
        returning s.ref_kind, s.ref
    )
    insert into changed select distinct ref_kind, ref from gone
    """,
    """
    with news as (
        insert into pii.identity_sighting (source_id, as_of_date, batch_id, ref_kind, ref, student_id)
        select %(source)s, said.as_of_date, %(batch)s, said.ref_kind, said.ref, said.student_id
        from said
        left join lateral (
            select s.student_id
            from pii.identity_sighting as s
            where s.ref_kind = said.ref_kind and s.ref = said.ref and s.as_of_date <= said.as_of_date
            order by s.as_of_date desc, s.student_id
            limit 1
        ) as last_said on true
        where last_said.student_id is distinct from said.student_id
        returning ref_kind, ref
    )
    insert into changed select ref_kind, ref from news except select ref_kind, ref from changed
    """,
    "insert into before select i.* from pii.identity as i inner join changed using (ref_kind, ref)",
    "delete from pii.identity as i using changed as c where i.ref_kind = c.ref_kind and i.ref = c.ref",
    # The first student ever seen with a reference has it from the beginning, a later one from when it was seen.
    """
    insert into pii.identity (ref_kind, ref, student_id, valid_from, valid_to)
    with daily as (
        select ref_kind, ref, s.as_of_date, min(s.student_id) as student_id
        from pii.identity_sighting as s
        inner join changed using (ref_kind, ref)
        group by ref_kind, ref, s.as_of_date
    ),
    compared as (
        select *, lag(student_id) over (partition by ref_kind, ref order by as_of_date) as previous from daily
    ),
    starts as (
        select
            ref_kind, ref, student_id,
            case when previous is null then '0001-01-01'::date else as_of_date end as valid_from
        from compared
        where previous is distinct from student_id
    )
    select
        ref_kind, ref, student_id, valid_from,
        lead(valid_from, 1, '9999-12-31'::date) over (partition by ref_kind, ref order by valid_from)
    from starts
    """,
    # Rows that waited for the reference, in batches held or published.
    """
    update ops.batch as b set is_stale = true
    from quarantine.row as q
    inner join changed as c on q.student_ref = c.ref
    where
        b.batch_id = q.batch_id and b.ref_kind = c.ref_kind and q.rule_id = 'known_student' and q.state = 'quarantined'
        and exists (select from pii.identity as i where i.ref_kind = c.ref_kind and i.ref = c.ref)
    """,
    # Days on which the reference named somebody else until now; snapshots after it may have left out what it changes.
    """
    with moved as (
        select
            o.ref_kind,
            greatest(o.valid_from, coalesce(n.valid_from, o.valid_from)) as first_day,
            least(o.valid_to, coalesce(n.valid_to, o.valid_to)) as end_day
        from before as o
        left join pii.identity as n
            on o.ref_kind = n.ref_kind and o.ref = n.ref and o.valid_from < n.valid_to and n.valid_from < o.valid_to
        where o.student_id is distinct from n.student_id
    )
    update ops.batch as b set is_stale = true
    from ops.batch_day as d
    inner join moved as m on d.day >= m.first_day
    where
        b.batch_id = d.batch_id and d.is_current and b.state in ('published', 'held') and b.batch_id <> %(batch)s
        and (
            (b.ref_kind = m.ref_kind and d.day < m.end_day)
            or (
                b.source_id = %(source)s
                and d.day > (select max(day) from ops.batch_day where batch_id = %(batch)s and is_current)
            )
        )
    """,
)
