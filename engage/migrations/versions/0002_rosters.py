"""Rosters of a whole university, where a delivery read up to, and what was dropped and why."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RECORDS = """
create table raw.staff_links (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    staff_id text not null,
    student_id text not null,
    role text not null,
    valid_from date,
    valid_to date
) partition by list (source_id);
comment on table raw.staff_links is 'Who teaches or supports whom; valid_to is the first day on which it no longer holds, null is open.';
create index on raw.staff_links (as_of_date);

create table raw.modules (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    module_code text not null,
    title text,
    faculty_code text,
    starts_on date,
    ends_on date
) partition by list (source_id);
comment on table raw.modules is 'What is taught, both dates inclusive.';
create index on raw.modules (as_of_date);

create table raw.cases (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    case_id text not null,
    student_id text not null,
    kind text,
    status text not null,
    opened_at timestamptz not null,
    closed_at timestamptz,
    assigned_to text
) partition by list (source_id);
comment on table raw.cases is 'Cases of the CRM.';
create index on raw.cases (as_of_date);

create table raw.contacts (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    contact_id text not null,
    student_id text not null,
    case_id text,
    contacted_at timestamptz not null,
    channel text,
    outcome text,
    contacted_by text
) partition by list (source_id);
comment on table raw.contacts is 'Contacts with students that the CRM knows.';
create index on raw.contacts (as_of_date);

create table raw.exemptions (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    exemption_ref text not null,
    student_id text not null,
    exemption_type text not null,
    starts_on date not null,
    ends_on date not null,
    created_on date,
    created_by text
) partition by list (source_id);
comment on table raw.exemptions is 'The bulk list of exemptions, both dates inclusive.';
create index on raw.exemptions (as_of_date);

create table raw.student_notes (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    note_id text not null,
    student_id text not null,
    note text not null,
    written_at timestamptz not null
) partition by list (source_id);
comment on table raw.student_notes is 'What students say themselves about their circumstances; read by the owner only.';
create index on raw.student_notes (as_of_date);

create table pii.staff (
    staff_id text primary key,
    staff_name text,
    staff_email text,
    as_of_date date not null
);
"""

LEDGER = """
alter table ops.delivery add column read_to bigint;
comment on column ops.delivery.read_to is 'The highest id that a reading of a replica brought; the next one goes on from there.';
alter table ops.batch add column dropped jsonb not null default '{}';
comment on column ops.batch.dropped is 'Rows left out by declared rules: reason -> how many.';
"""


def upgrade() -> None:
    """Add them; Alembic runs it once, in a transaction."""
    for script in (RECORDS, LEDGER):
        op.execute(script)
