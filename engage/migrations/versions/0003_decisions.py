"""What people decided about held batches and quarantined rows, and who looked at them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DECISIONS = """
create table ops.decision (
    decision_id bigint generated always as identity primary key,
    batch_id bigint not null references ops.batch,
    action text not null check (action in ('release', 'reject')),
    is_whole boolean not null,
    rule_ids text[] not null default '{}',
    row_numbers bigint[] not null default '{}',
    reason text not null check (btrim(reason) <> ''),
    decided_by text not null check (btrim(decided_by) <> ''),
    database_role text not null default session_user,
    decided_at timestamptz not null,
    check (is_whole or rule_ids <> '{}')
);
comment on table ops.decision is
    'What a person decided about a batch or rows of it; the gate does it when it processes the batch again.';
comment on column ops.decision.is_whole is 'About the batch as a whole; else only about the rows that are named.';
comment on column ops.decision.row_numbers is 'The rows of rule_ids that are meant, as they were when it was decided.';
comment on column ops.decision.decided_by is 'As the person is called: ENGAGE_USER, or the operating system''s name.';
create index on ops.decision (batch_id);

create table ops.audit (
    audit_id bigint generated always as identity primary key,
    happened_at timestamptz not null,
    database_role text not null default session_user,
    person text not null,
    action text not null,
    batch_id bigint,
    rows bigint
);
comment on table ops.audit is 'Who was shown what, written before it is shown.';
"""

STATES = """
alter table ops.batch
    drop constraint batch_state_check,
    add constraint batch_state_check check (state in ('loading', 'published', 'held', 'superseded', 'rejected')),
    add column is_released boolean not null default false,
    add column held_since timestamptz;
comment on column ops.batch.is_released is 'Published because a person vouched for it, whatever its score.';
update ops.batch set held_since = finished_at where state = 'held';

alter table quarantine.row
    drop constraint row_state_check,
    add constraint row_state_check check (state in ('quarantined', 'superseded', 'rejected'));

create or replace view ops.coverage as
select
    d.source_id,
    d.day,
    max(b.batch_id) as batch_id,
    min(b.quality_score) as quality_score,
    bool_and(b.is_released or b.quality_score >= p.min_quality)
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
    'The days a source covers, and whether what covers them is of sufficient quality or a person vouched for it. No row: not covered, never zero.';
"""


def upgrade() -> None:
    """Add them; Alembic runs it once, in a transaction."""
    for script in (DECISIONS, STATES):
        op.execute(script)
