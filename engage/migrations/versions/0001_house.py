"""The schemas that dbt does not own: ledger, coverage, configuration, published source rows, quarantine, people."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CONFIGURATION = """
create table ops.config_version (
    config_version text primary key,
    content jsonb not null,
    recorded_at timestamptz not null
);
comment on table ops.config_version is 'Every scoring configuration ever used, named by its content.';

-- What is in force now, spread into columns for dbt; rewritten whole whenever the configuration files change.
create table ops.scoring_parameter (
    only_row boolean primary key default true check (only_row),
    config_version text not null references ops.config_version,
    time_zone text not null,
    week_weights double precision[] not null,
    min_complete_days integer not null,
    min_eligible_days integer not null,
    min_group_size integer not null,
    min_institution_size integer not null,
    min_category_weight double precision not null,
    min_quality double precision not null,
    max_z double precision not null,
    calibration text not null check (calibration in ('normal_scores', 'zscore')),
    missing text not null check (missing in ('exclude', 'impute')),
    max_imputed_weeks integer not null,
    degraded_weeks integer not null
);
create table ops.category_weight (category text primary key, weight double precision not null);
create table ops.peer_level (
    position integer primary key,
    peer_level text not null unique,
    attributes text[] not null
);
comment on column ops.peer_level.position is '1 is the finest level.';
create table ops.source (
    source_id text primary key,
    title text not null,
    record text not null,
    relation text not null check (relation in ('append', 'replace_days', 'snapshot')),
    category text,
    weight double precision,
    is_digital boolean not null,
    enabled_from date,
    disabled_from date
);
create table ops.exemption (
    exemption_id bigint generated always as identity primary key,
    student_id text not null,
    exemption_type text not null,
    starts_on date not null,
    ends_on date not null check (ends_on >= starts_on)
);
comment on table ops.exemption is 'Both dates inclusive.';
"""

LEDGER = """
create table ops.delivery (
    delivery_id bigint generated always as identity primary key,
    source_id text not null,
    content_hash text not null,
    name text not null,
    size_bytes bigint not null,
    version_at timestamptz not null,
    window_start timestamptz,
    window_end timestamptz,
    first_day date,
    last_day date,
    landed_path text not null,
    landed_at timestamptz not null,
    unique nulls not distinct (source_id, content_hash, window_start, window_end, first_day, last_day)
);
comment on table ops.delivery is
    'What was received, identified by content and by the days it names: an empty file of Monday is not that of Tuesday.';
comment on column ops.delivery.version_at is 'The file''s own modification time, or when the API window was read: later corrects earlier.';

create table ops.sighting (
    source_id text not null,
    name text not null,
    size_bytes bigint not null,
    modified_at timestamptz not null,
    delivery_id bigint references ops.delivery,
    problem text,
    seen_at timestamptz not null,
    primary key (source_id, name, size_bytes, modified_at)
);
comment on table ops.sighting is 'Every remote file as it was seen once settled, and the delivery that its content was.';

create table ops.batch (
    batch_id bigint generated always as identity primary key,
    delivery_id bigint not null unique references ops.delivery,
    source_id text not null,
    state text not null check (state in ('loading', 'published', 'held', 'superseded')),
    attempts integer not null default 1,
    rows_read bigint,
    rows_dropped bigint,
    rows_accepted bigint,
    rows_quarantined bigint,
    quality_score double precision,
    broken_rules text[] not null default '{}',
    problem text,
    notes text[] not null default '{}',
    ref_kind text,
    is_stale boolean not null default false,
    last_event_at timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz,
    published_at timestamptz
);
comment on table ops.batch is 'A delivery loaded once. held: nothing of it is visible to anybody but the owner.';
comment on column ops.batch.notes is 'What was unusual about the delivery and did not stop it, such as a new column.';
comment on column ops.batch.is_stale is
    'A reference of its ref_kind has since become known, or names another student: to be processed again.';
create index on ops.batch (source_id, state);

create table ops.rule_result (
    batch_id bigint not null references ops.batch,
    rule_id text not null,
    scope text not null check (scope in ('row', 'batch')),
    is_critical boolean not null,
    weight double precision not null,
    rows_checked bigint,
    rows_failed bigint,
    share_met double precision not null,
    problem text,
    primary key (batch_id, rule_id)
);

create table ops.batch_day (
    batch_id bigint not null references ops.batch,
    source_id text not null,
    day date not null,
    is_covered boolean not null,
    is_current boolean not null,
    primary key (batch_id, day)
);
comment on column ops.batch_day.is_current is 'false once a later version of the day was published.';
create index on ops.batch_day (source_id, day) where is_current;

create view ops.coverage as
select
    d.source_id,
    d.day,
    max(b.batch_id) as batch_id,
    min(b.quality_score) as quality_score,
    bool_and(b.quality_score >= p.min_quality)
    and not exists (
        select 1
        from ops.batch_day as open_day
        inner join ops.batch as open_batch using (batch_id)
        inner join ops.source as s on open_batch.source_id = s.source_id
        where
            open_day.source_id = d.source_id and open_day.day = d.day
            and open_batch.state <> 'published' and open_batch.state <> 'superseded' and s.relation = 'append'
    ) as is_complete
from ops.batch_day as d
inner join ops.batch as b using (batch_id)
cross join ops.scoring_parameter as p
where d.is_current and b.state = 'published'
group by d.source_id, d.day
having bool_or(d.is_covered);
comment on view ops.coverage is
    'The days a source covers, and whether what covers them is of sufficient quality. No row: not covered, never zero.';

create table ops.touched_day (
    source_id text not null,
    day date not null,
    is_claimed boolean not null default false,
    touched_at timestamptz not null default now(),
    primary key (source_id, day, is_claimed)
);
comment on table ops.touched_day is
    'Days whose published rows changed. dbt claims, rebuilds and deletes them in one transaction with daily_activity.';

create table ops.rebuilt_day (source_id text not null, day date not null, primary key (source_id, day));
comment on table ops.rebuilt_day is 'The days that the last run of daily_activity rebuilt: where its nightly tests look.';

create table ops.publication (
    week_start date not null check (extract(isodow from week_start) = 1),
    revision smallint not null,
    state text not null check (state in ('pending', 'published')),
    reason text,
    data_as_of timestamptz not null,
    published_at timestamptz not null,
    primary key (week_start, revision)
);
comment on table ops.publication is 'Weeks to score (pending) and weeks scored for good (published).';
"""

ROWS = """
create table raw.activity (
    source_id text not null,
    activity_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    event_id text,
    student_id text not null,
    occurred_at timestamptz,
    resource_type text,
    resource_ref text,
    quantity bigint not null,
    duration_s double precision
) partition by list (source_id);
comment on table raw.activity is 'Published interactions. activity_date is the institution''s calendar day.';

create index on raw.activity (activity_date);

create table raw.attendance (
    source_id text not null,
    activity_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    event_id text,
    student_id text not null,
    starts_at timestamptz not null,
    ends_at timestamptz,
    session_type text,
    is_mandatory boolean not null,
    is_attended boolean not null,
    is_late boolean,
    recorded_at timestamptz
) partition by list (source_id);

create index on raw.attendance (activity_date);

create table raw.students (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    student_id text not null,
    is_sponsored boolean
) partition by list (source_id);

create index on raw.students (as_of_date);

create table raw.enrolments (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    student_id text not null,
    programme_code text,
    programme_name text,
    faculty_code text,
    year_of_study text,
    mode text,
    entry_band text,
    cohort text,
    campus_residence text,
    tutor_id text,
    status text not null,
    status_from date,
    status_to date
) partition by list (source_id);
comment on column raw.enrolments.status_to is 'The first day on which the status no longer holds; null is open.';
create index on raw.enrolments (as_of_date);

create table raw.term_calendar (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    row_number bigint not null,
    term_code text not null,
    kind text not null,
    starts_on date not null,
    ends_on date not null,
    programme_code text,
    cohort text
) partition by list (source_id);
comment on table raw.term_calendar is 'Both dates inclusive; an empty programme or cohort means all.';

create table quarantine.row (
    batch_id bigint not null,
    source_id text not null,
    row_number bigint not null,
    rule_id text not null,
    field text,
    reason text not null,
    student_ref text,
    record jsonb not null,
    state text not null default 'quarantined' check (state in ('quarantined', 'superseded')),
    quarantined_at timestamptz not null,
    primary key (batch_id, row_number, rule_id)
);
comment on table quarantine.row is 'Rows kept out, each with the rule it breaks. row_number is the line of the file.';
create index on quarantine.row (source_id, student_ref) where rule_id = 'known_student' and state = 'quarantined';

create table pii.student (
    student_id text primary key,
    given_name text,
    family_name text,
    email text,
    as_of_date date not null
);
create table pii.identity_sighting (
    source_id text not null,
    as_of_date date not null,
    batch_id bigint not null,
    ref_kind text not null,
    ref text not null,
    student_id text not null
);
create index on pii.identity_sighting (batch_id);
create index on pii.identity_sighting (ref_kind, ref);
comment on table pii.identity_sighting is
    'What snapshots of students said, without what the snapshot before had said already.';
create table pii.identity (
    ref_kind text not null,
    ref text not null,
    student_id text not null,
    valid_from date not null,
    valid_to date not null,
    primary key (ref_kind, ref, valid_from)
);
comment on table pii.identity is 'Which reference names which student, from valid_from until before valid_to; rebuilt from the sightings.';
"""


def upgrade() -> None:
    """Create everything; Alembic runs it once, in a transaction."""
    for schema in ("load", "raw", "quarantine", "pii", "governance"):
        op.execute(f"create schema if not exists {schema}")
    op.execute("comment on schema load is 'Working tables of the batch being loaded; never read by anything else.'")
    for script in (CONFIGURATION, LEDGER, ROWS):
        op.execute(script)
