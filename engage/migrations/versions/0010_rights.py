"""What people may ask of their data, and what has been deleted: requests, legal holds, deletions."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = """
create table ops.subject_request (
    request_id bigint generated always as identity primary key,
    kind text not null check (kind in ('access', 'erasure')),
    student_id text,
    received_on date not null,
    due_on date not null check (due_on > received_on),
    extended_to date,
    extension_reason text,
    recorded_at timestamptz not null,
    recorded_by text not null check (btrim(recorded_by) <> ''),
    completed_at timestamptz,
    completed_by text,
    content_hash text,
    check ((completed_at is null) = (completed_by is null))
);
comment on table ops.subject_request is 'Who asked for a copy or for erasure, until when it is due, and when it was done.';
comment on column ops.subject_request.student_id is 'Null once the student has been erased.';
comment on column ops.subject_request.content_hash is 'SHA-256 of the archive that was handed over.';

create table ops.legal_hold (
    hold_id bigint generated always as identity primary key,
    student_id text not null,
    reason text not null check (btrim(reason) <> ''),
    placed_at timestamptz not null,
    placed_by text not null check (btrim(placed_by) <> ''),
    released_at timestamptz,
    released_by text,
    check ((released_at is null) = (released_by is null))
);
create unique index on ops.legal_hold (student_id) where released_at is null;
comment on table ops.legal_hold is 'Students of whom nothing is deleted, however old, until the hold is released.';

create table ops.deletion_run (
    run_id bigint generated always as identity primary key,
    kind text not null check (kind in ('retention', 'erasure')),
    request_id bigint references ops.subject_request,
    begun_at timestamptz not null,
    finished_at timestamptz,
    asked_by text not null check (btrim(asked_by) <> ''),
    reason text,
    periods jsonb not null default '{}',
    rows_left bigint
);
comment on table ops.deletion_run is 'Each time something was deleted because its time was over, or because a student asked.';
comment on column ops.deletion_run.periods is 'Days kept by class, as configured then.';
comment on column ops.deletion_run.rows_left is 'What the proof afterwards still found that should be gone: 0.';

create table ops.deletion (
    run_id bigint not null references ops.deletion_run,
    place text not null,
    older_than date,
    rows bigint not null,
    held bigint not null default 0,
    way text not null check (way in ('deleted', 'blanked', 'partition_dropped', 'file_deleted', 'file_rewritten')),
    deleted_at timestamptz not null,
    primary key (run_id, place, way)
);
comment on table ops.deletion is 'How much of what went: counts only.';
comment on column ops.deletion.place is 'A table as schema.table, or landing, outbox, logs.';
comment on column ops.deletion.held is 'Rows or files that stayed because of a legal hold.';

create table ops.erased_student (
    digest text primary key,
    erased_at timestamptz not null,
    run_id bigint not null references ops.deletion_run
);
comment on table ops.erased_student is
    'Keyed digests of erased student numbers: so that a source that delivers one again is noticed.';

create table ops.kept_from (
    kind text not null check (kind in ('source', 'marts', 'settled')),
    source_id text not null default '',
    day date not null,
    primary key (kind, source_id)
);
comment on table ops.kept_from is
    'The first day of which there still are rows: nothing of the days before is loaded, made anew or restated.';
comment on column ops.kept_from.kind is
    'source: its rows and files. marts: their rows. settled: the days before stay as they are, for what they were made from may be gone.';

alter table ops.delivery add column redacted_at timestamptz, add column deleted_at timestamptz;
comment on column ops.delivery.redacted_at is 'When rows were taken out of the landed bytes: they are no longer those of content_hash.';
comment on column ops.delivery.deleted_at is 'When the landed bytes were deleted; the ledger keeps that they were received.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    op.execute(STATEMENTS)
