"""The figures of the governance summary, edition by edition: rounded and suppressed, the only thing that role reads."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = """
create table governance.edition (
    edition_id text primary key,
    kind text not null check (kind in ('weekly', 'monthly', 'termly', 'on_request')),
    title text not null,
    period_start date not null,
    period_end date not null check (period_end >= period_start),
    data_as_of timestamptz not null,
    config_version text not null,
    made_at timestamptz not null,
    previous_edition_id text references governance.edition
);
comment on table governance.edition is 'Each governance summary ever made; none is changed afterwards.';
comment on column governance.edition.edition_id is 'Kind and last day, such as weekly-2026-11-15; on request with a number besides.';
comment on column governance.edition.previous_edition_id is 'The one before of its kind, which it is compared with.';

create table governance.figure (
    edition_id text not null references governance.edition,
    figure_id text not null,
    period_start date not null,
    dimension text not null,
    member text not null,
    category text not null default '',
    value double precision,
    base integer,
    suppressed text check (suppressed in ('small', 'secondary')),
    primary key (edition_id, figure_id, period_start, dimension, member, category),
    check ((value is null) = (suppressed is not null))
);
comment on table governance.figure is
    'Every number about people: counts to the nearest 5, shares and averages of few people left out.';
comment on column governance.figure.period_start is 'Monday of the week, or the first day of the edition''s period.';
comment on column governance.figure.dimension is 'all, faculty, programme, year_of_study, mode, or a characteristic.';
comment on column governance.figure.member is 'all, or the code of the group.';
comment on column governance.figure.category is 'Band, kind, status or type that the figure is divided by; empty: undivided.';
comment on column governance.figure.base is 'Of a share or an average: of how many people, to the nearest 5.';
comment on column governance.figure.suppressed is
    'small: too few people. secondary: it would give away another one that is suppressed or rounded to 0.';

create table governance.source_week (
    edition_id text not null references governance.edition,
    source_id text not null,
    title text not null,
    week_start date not null,
    days_expected integer not null,
    days_complete integer not null,
    days_stale integer not null,
    mean_quality double precision,
    incidents_opened integer not null,
    primary key (edition_id, source_id, week_start)
);
comment on table governance.source_week is 'Freshness, quality and coverage of the sources; nothing of people.';

create table governance.change (
    edition_id text not null references governance.edition,
    position integer not null,
    changed_on date not null,
    kind text not null check (kind in ('configuration', 'restatement', 'rule', 'source')),
    what text not null,
    primary key (edition_id, position)
);
comment on table governance.change is 'What was decided in the period: keys and numbers, without names and reasons.';

create table governance.source_register (
    edition_id text not null references governance.edition,
    source_id text not null,
    title text not null,
    system text,
    category text,
    purpose text,
    lawful_basis text not null,
    dpia_reference text not null,
    dpia_date date,
    owner_name text not null,
    retention_days integer not null,
    in_use boolean not null,
    primary key (edition_id, source_id)
);
comment on table governance.source_register is 'What is processed, why, on which basis and for how long.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    op.execute(STATEMENTS)
