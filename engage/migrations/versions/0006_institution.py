"""What an institution decides beyond the score itself: thresholds, rating, sets of peer groups, hours of publication.

And of every decision: who took it, when, and why.
"""

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
alter table ops.config_version
    add column author text,
    add column reason text,
    add column previous text references ops.config_version,
    add column difference text[] not null default '{}';
comment on column ops.config_version.author is 'Null where a run met files that nobody had recorded before.';
comment on column ops.config_version.difference is 'What differs from the previous version, a line for every key.';

alter table ops.publication
    add column config_version text references ops.config_version,
    add column asked_by text,
    add column published_without text[] not null default '{}';
comment on column ops.publication.published_without is
    'Sources that were late, and that the week did not wait for any longer.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    for script in (PARAMETERS, DECISIONS):
        op.execute(script)
