"""What goes wrong with a source and who was told: incidents and the outbox."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = """
alter table ops.batch add column format_drift text[] not null default '{}';
comment on column ops.batch.format_drift is
    'What of the format is not as the source file says: new, missing or renamed columns. Headings only, never a value.';

create table ops.source_fault (
    source_id text primary key,
    kind text not null check (kind in ('unreachable', 'access_refused', 'host_key', 'configuration')),
    step text not null check (step in ('look', 'fetch')),
    since timestamptz not null,
    last_at timestamptz not null,
    message text not null
);
comment on table ops.source_fault is
    'Sources that could not be looked at or fetched from, since when; a success of the same step removes the row.';

create table ops.incident (
    incident_id bigint generated always as identity primary key,
    source_id text not null,
    kind text not null,
    opened_at timestamptz not null,
    last_seen_at timestamptz not null,
    resolved_at timestamptz,
    facts jsonb not null,
    reminded_at timestamptz,
    escalated_at timestamptz
);
create unique index on ops.incident (source_id, kind) where resolved_at is null;
comment on table ops.incident is 'Something wrong with a source, from when it was noticed until it was over.';
comment on column ops.incident.facts is 'Numbers, file names, rules, days; never a value of a row.';

create table ops.outbox (
    message_id bigint generated always as identity primary key,
    message_key text not null unique,
    channel text not null check (channel in ('email', 'webhook')),
    recipient text not null,
    subject text not null,
    text text not null,
    html text,
    payload jsonb not null default '{}',
    state text not null default 'pending' check (state in ('pending', 'sent', 'previewed', 'failed', 'suppressed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null,
    created_at timestamptz not null,
    sent_at timestamptz,
    error text,
    said_in bigint references ops.outbox
);
create index on ops.outbox (next_attempt_at) where state = 'pending';
create index on ops.outbox (channel, recipient, created_at);
comment on table ops.outbox is
    'Every message to a person or a channel, written in the transaction that decides on it and sent afterwards.';
comment on column ops.outbox.message_key is 'What the message is about: the same is written once, and names it to mail servers.';
comment on column ops.outbox.recipient is 'An e-mail address, or the name of a webhook in config/messaging.yaml.';
comment on column ops.outbox.payload is 'Of a webhook: the JSON to post. Of an e-mail: in_reply_to, the key it answers.';
comment on column ops.outbox.said_in is 'Of a suppressed message: the later one that mentions it.';

create table ops.incident_message (
    incident_id bigint not null references ops.incident,
    message_id bigint not null references ops.outbox,
    purpose text not null check (purpose in ('opened', 'recovered', 'reminded', 'escalated')),
    primary key (incident_id, message_id)
);
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    op.execute(STATEMENTS)
