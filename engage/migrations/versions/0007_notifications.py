"""From a number to somebody who calls: notifications, exemptions with their history, rules, actions, cases, ladders."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PARAMETERS = """
alter table ops.scoring_parameter
    add column silent_days integer not null default 7,
    add column low_activity_at_most integer not null default 2,
    add column low_activity_days integer not null default 14 check (low_activity_days in (14, 21)),
    add column hold_days integer not null default 14,
    add column contact_pause_days integer not null default 14;
comment on column ops.scoring_parameter.hold_days is 'A notification held for longer is closed as undetermined.';
"""

EXEMPTIONS = """
alter table ops.exemption
    add column created_at timestamptz,
    add column created_by text,
    add column deleted_at timestamptz;
comment on column ops.exemption.deleted_at is 'Of one that had not begun: it never exempts. One that had begun ends earlier instead.';
create index on ops.exemption (student_id);

create table ops.exemption_change (
    change_id bigint generated always as identity primary key,
    exemption_id bigint not null references ops.exemption,
    action text not null check (action in ('add', 'extend', 'move', 'delete')),
    exemption_type text not null,
    starts_on date not null,
    ends_on date not null,
    changed_at timestamptz not null,
    changed_by text not null check (btrim(changed_by) <> ''),
    reason text
);
create index on ops.exemption_change (exemption_id);
comment on table ops.exemption_change is 'Who made an exemption what it then was, and when; a row for each change, the first one, too.';

-- An exemption begins the day after it was made: those who are exempt stay so.
update ops.exemption set created_at = least((starts_on - 2)::timestamptz, now()), created_by = 'before 0007';
insert into ops.exemption_change (exemption_id, action, exemption_type, starts_on, ends_on, changed_at, changed_by)
select exemption_id, 'add', exemption_type, starts_on, ends_on, created_at, 'not recorded'
from ops.exemption
order by exemption_id;
alter table ops.exemption
    alter column created_at set not null,
    alter column created_at set default now();
"""

NOTIFICATIONS = """
create table ops.notification (
    notification_id bigint generated always as identity primary key,
    student_id text not null,
    rule_id text not null,
    rule_version text,
    kind text not null check (kind in ('no_digital_activity', 'low_activity', 'score')),
    trigger_date date not null,
    week_start date,
    noticed_at timestamptz not null,
    raised_at timestamptz,
    resolved_at timestamptz,
    status text not null check (status in ('raised', 'held', 'dropped', 'undetermined', 'superseded')),
    reason text not null,
    evidence jsonb not null,
    unique (rule_id, student_id, trigger_date),
    check (status <> 'raised' or raised_at is not null)
);
create index on ops.notification (student_id, trigger_date);
create index on ops.notification (trigger_date);
create index on ops.notification (status) where status = 'held';
comment on table ops.notification is
    'What a student triggered, when and why: detected silence under the rule of its kind, scores under the rule that met them.';
comment on column ops.notification.trigger_date is 'By definition, whenever it was noticed; of a score rule the Monday after the week.';
comment on column ops.notification.resolved_at is 'When a hold was resolved, or what was raised was superseded.';
"""

RULES = """
create table ops.rule_version (
    rule_id text not null,
    rule_version text not null,
    content jsonb not null,
    recorded_at timestamptz not null,
    primary key (rule_id, rule_version)
);
comment on table ops.rule_version is 'Every content of a rule that was ever activated, by its digest.';

create table ops.rule_activation (
    activation_id bigint generated always as identity primary key,
    rule_id text not null,
    rule_version text not null,
    action text not null check (action in ('activate', 'deactivate')),
    effective_from date not null,
    decided_at timestamptz not null,
    decided_by text not null check (btrim(decided_by) <> ''),
    reason text not null check (btrim(reason) <> ''),
    foreign key (rule_id, rule_version) references ops.rule_version
);
comment on table ops.rule_activation is 'Who switched a rule on or off, when and why; the last row of a rule holds.';
comment on column ops.rule_activation.effective_from is 'Notifications that trigger, and weeks whose Monday after is, on or after this day are its business.';

create table ops.rule_week (
    rule_id text not null,
    rule_version text not null,
    week_start date not null,
    revision smallint not null,
    evaluated_at timestamptz not null,
    primary key (rule_id, rule_version, week_start)
);
comment on table ops.rule_week is 'Up to which weeks, and revisions of them, each active rule on scores has been evaluated.';

create table ops.notification_fact (
    notification_id bigint primary key references ops.notification,
    on_date date not null,
    week_start date,
    revision smallint,
    score smallint,
    recent_scores smallint[],
    lowest_before smallint,
    change_1w smallint,
    change_4w smallint,
    declining boolean,
    consistently_low boolean,
    weeks_below_350 integer,
    attendance_4w double precision,
    mode text,
    programme_code text,
    faculty_code text,
    year_of_study text,
    campus_residence text,
    exemption_types text[],
    open_case boolean,
    last_contact_date date
);
comment on table ops.notification_fact is
    'What alert rules ask of the student of a notification of silence, as of its trigger date; kept when it is first raised.';
comment on column ops.notification_fact.week_start is 'The newest week published and over then; scores and trends are of that week.';

create table ops.rule_decision (
    rule_id text not null,
    rule_version text not null,
    notification_id bigint not null references ops.notification,
    is_met boolean not null,
    decided_at timestamptz not null,
    primary key (notification_id, rule_id, rule_version)
);
comment on table ops.rule_decision is 'For which notifications a rule has been asked, once each, and whether it was met.';
"""

OUTBOX = """
alter table ops.outbox
    add column kind text not null default 'owner'
        check (kind in ('owner', 'digest', 'immediate', 'student', 'correction', 'case')),
    add column order_key text,
    add column reply jsonb;
create index on ops.outbox (order_key, message_id) where order_key is not null and state = 'pending';
comment on column ops.outbox.kind is 'What the message is: to the owner of a source, to staff, to a student, or a case action for the CRM.';
comment on column ops.outbox.order_key is 'Messages with the same key leave in the order in which they were written.';
comment on column ops.outbox.reply is 'Of a case action: what the CRM answered of it, an id only.';
"""

ACTIONS = """
create table ops.ladder_run (
    ladder_run_id bigint generated always as identity primary key,
    ladder_id text not null,
    student_id text not null,
    notification_id bigint not null references ops.notification,
    started_on date not null,
    steps jsonb not null,
    stop_when text[] not null default '{answered}',
    answered_outcomes text[] not null default '{reached}',
    in_vacations boolean not null default false,
    unique (ladder_id, notification_id)
);
create index on ops.ladder_run (student_id);
comment on table ops.ladder_run is 'A ladder of contacts begun for a student; how far it is follows from the contacts, see marts.contact_step.';
comment on column ops.ladder_run.steps is 'The steps as configured when it began, those for the residence of the student only.';
comment on column ops.ladder_run.in_vacations is 'Steps are due in vacations, too; as all else of its ladder, as configured when it began.';

create table ops.action (
    action_id bigint generated always as identity primary key,
    action_key text not null unique,
    kind text not null check (kind in ('email_student', 'notify', 'case', 'ladder', 'contact_step', 'correction')),
    student_id text not null,
    notification_id bigint references ops.notification,
    rule_id text,
    rule_version text,
    target text not null,
    staff_id text,
    is_immediate boolean not null default false,
    ladder_run_id bigint references ops.ladder_run,
    step_number smallint,
    content jsonb not null default '{}',
    created_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'done', 'suppressed')),
    why text,
    message_id bigint references ops.outbox
);
create index on ops.action (state, kind) where state = 'open';
create index on ops.action (notification_id);
create index on ops.action (message_id);
comment on table ops.action is
    'What is to be done about a notification or a step that is due, written in the transaction that decides on it; done once.';
comment on column ops.action.target is 'Who is told: student, tutor or another role, of a correction an e-mail address. Else the kind of case or the ladder.';
comment on column ops.action.staff_id is 'Which of several people with the role this is for: there is a row for each.';
comment on column ops.action.state is 'open: waits. done: stands in message_id, a case action or a ladder run. suppressed: why says why not.';

create table ops.case_action (
    case_action_id bigint generated always as identity primary key,
    action_id bigint not null unique references ops.action,
    student_id text not null,
    case_kind text not null,
    action text not null check (action in ('open', 'append')),
    case_key uuid not null,
    case_id text,
    created_at timestamptz not null,
    message_id bigint not null references ops.outbox
);
create index on ops.case_action (student_id);
comment on table ops.case_action is 'What the CRM was asked to do: open a case, or append to the one that is open.';
comment on column ops.case_action.case_key is 'Our name of the case: an open and the appends that follow it have the same.';
comment on column ops.case_action.case_id is 'The CRM''s own, where it was known when the action was written.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    for script in (PARAMETERS, EXEMPTIONS, NOTIFICATIONS, RULES, OUTBOX, ACTIONS):
        op.execute(script)
