"""What an institution decides beyond the score itself: thresholds, rating, sets of peer groups, hours of publication.

And of every decision: who took it, when, and why. The role that reads the marts.
"""

import logging

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

PARAMETERS = """
alter table ops.scoring_parameter
    add column attention_below integer not null default 350,
    add column concern_below integer not null default 300,
    add column decline_over integer not null default 100,
    add column lasting_weeks integer not null default 3,
    add column recovery_from integer not null default 50,
    add column good_attendance_pct double precision not null default 80,
    add column attendance_fall_pct double precision not null default 10,
    add column cohort_share double precision not null default 0.4,
    add column cohort_fall_over integer not null default 100,
    add column cohort_activity_share double precision not null default 0.5,
    add column full_time_days integer not null default 7,
    add column part_time_days integer not null default 21,
    add column part_time_modes text[] not null default '{PT}',
    add column rating_cuts double precision[] not null default '{0.25,0.6,1.4,2.2}',
    add column review_after_days integer not null default 21,
    add column publish_at time not null default '08:00',
    add column wait_until time not null default '14:00';
comment on column ops.scoring_parameter.wait_until is
    'On the Monday: until then a week waits for a late source, and is published without it after.';

alter table ops.peer_level
    add column peer_set text not null default 'published',
    drop constraint peer_level_peer_level_key,
    add unique (peer_set, peer_level);
comment on column ops.peer_level.position is '1 is the finest level of its set; positions of other sets follow.';
comment on column ops.peer_level.peer_set is 'published is what scores are published by; other sets are for analysis.';
"""

DECISIONS = """
create table ops.config_change (
    change_id bigint generated always as identity primary key,
    config_version text not null references ops.config_version,
    previous text references ops.config_version,
    difference text[] not null default '{}',
    changed_at timestamptz not null,
    author text check (btrim(author) <> ''),
    reason text check (btrim(reason) <> ''),
    check ((author is null) = (reason is null))
);
comment on table ops.config_change is
    'Every time a configuration came into force, one that had been before, too: who decided it, when and why.';
comment on column ops.config_change.author is 'Null where a run met files that nobody had recorded before.';
comment on column ops.config_change.difference is 'What differs from the previous version, a line for every key.';
insert into ops.config_change (config_version, previous, changed_at)
select config_version, lag(config_version) over (order by recorded_at, config_version), recorded_at
from ops.config_version
order by recorded_at, config_version;

alter table ops.publication
    add column config_version text references ops.config_version,
    add column asked_by text,
    add column published_without text[] not null default '{}';
comment on column ops.publication.published_without is
    'Sources that were late, and that the week did not wait for any longer.';
comment on column ops.publication.asked_by is 'Who restated it; null as first published.';
comment on table ops.audit is 'Who was shown what, written before it is shown, and who had what restated.';
"""

DAYS = """
create table ops.day_version (
    source_id text not null,
    day date not null,
    version bigint not null,
    primary key (source_id, day)
);
comment on table ops.day_version is 'How often daily_activity has rebuilt a day; written in its own transaction.';

create table ops.built_day (
    mart text not null,
    source_id text not null,
    day date not null,
    state text not null,
    primary key (mart, source_id, day)
);
comment on table ops.built_day is
    'What each day of a daily mart was built from; what is another now is built anew. Empty it to build the mart anew.';
comment on column ops.built_day.source_id is 'Empty for what belongs to the day and to no source.';
"""

LOAD = """
create function load.attempt(statement text, zone text) returns bigint language plpgsql as $$
declare
    written bigint;
begin
    perform set_config('timezone', zone, true);
    execute statement;
    get diagnostics written = row_count;
    return written;
exception
    when data_exception then return null;
end
$$;
comment on function load.attempt is
    'Rows written by a statement in a session of this time zone, until the end of the transaction; null, and nothing'
    ' done, if a value cannot be read. What is caught here gets into no log of the server: it quotes the value.';
"""

# Roles belong to the whole server: another of its databases may have made this one, at this very moment even.
ROLES = """
create schema if not exists marts;
do $$
begin
    create role engage_bi nologin;
exception
    when duplicate_object or unique_violation or insufficient_privilege then null;
end
$$;
do $$
begin
    if to_regrole('engage_bi') is not null then
        grant usage on schema marts to engage_bi;
    end if;
end
$$;
"""
NO_ROLE = (
    "the role engage_bi is not there, and may not be created by the role in ENGAGE_DATABASE_URL: "
    "nobody else can read the marts until a database administrator has made it (docs/run-it.md)"
)


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    for script in (PARAMETERS, DECISIONS, DAYS, LOAD, ROLES):
        op.execute(script)
    if op.get_bind().exec_driver_sql("select to_regrole('engage_bi')").scalar() is None:
        logging.getLogger(__name__).warning(NO_ROLE)
