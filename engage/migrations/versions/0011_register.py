"""What the register of processing says of a source, and which sources are contact points of sponsored students."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = """
alter table ops.source
    add column system text,
    add column is_contact_point boolean not null default false,
    add column purpose text,
    add column lawful_basis text not null default 'not recorded yet',
    add column dpia_reference text not null default 'not recorded yet',
    add column dpia_date date,
    add column owner_name text not null default 'not recorded yet',
    add column retention_days integer;
comment on column ops.source.is_contact_point is 'What it records counts as contact with a sponsored student.';
comment on column ops.source.retention_days is 'How long its rows and the bytes it delivered are kept.';

create table ops.setting (
    name text primary key,
    content jsonb not null
);
comment on table ops.setting is 'What is in force of config/sponsorship.yaml and config/student_view.yaml, for dbt.';

create table raw.characteristics (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    student_id text not null,
    characteristic text not null,
    member text not null
) partition by list (source_id);
comment on table raw.characteristics is
    'Protected characteristics, where the institution supplies them: for the rates by group of the governance summary alone.';
create index on raw.characteristics (as_of_date);
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    op.execute(STATEMENTS)
