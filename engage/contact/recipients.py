"""Who is meant: the open actions that tell somebody something, each with the address of its one reader.

Drops, with the reason, what is not to be told any more; what reaches nobody today stays open, and says why. What is
said is people_letters.py's, when it is written bundles.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engage.messaging import Messaging
from engage.warehouse import Connection

TOO_OLD = timedelta(days=14)
"""What nobody was told of for so long is no news."""
_ENDED, _STEP_DONE = "the ladder has ended", "the step was done"
"""Not told because of how far the ladder is; dbt_project/macros/ladder.sql knows these words."""
_NO_ADDRESS = "no address is known"
_ADDRESS = r"^[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>]+$"
# What each correction corrects: when it was told, and whether it still may be.
_TOLD = """
told as materialized (
    select
        a.action_id,
        max(coalesce(o.sent_at, o.created_at)) filter (where o.state = any(%(told)s)) as at,
        bool_or(o.state = 'pending') as is_under_way
    from ops.action as a
    cross join jsonb_array_elements_text(a.content -> 'of') as of (message_id)
    inner join ops.outbox as o on o.message_id = of.message_id::bigint
    where a.state = 'open' and a.kind = 'correction'
    group by a.action_id
)
"""
_HAS_STEPS = "select to_regclass('marts.contact_step') is not null"
_STEPS = """
create temporary table steps (ladder_run_id bigint, step_number integer, status text, run_status text) on commit drop
"""
_ADD_STEPS = "insert into steps select ladder_run_id::bigint, step_number, status, run_status from marts.contact_step"
# Contacts and exemptions are corrected, too: who was not told is told now.
_REVIVE = """
update ops.action as a set state = 'open', why = null, created_at = %(now)s
from steps
where
    a.ladder_run_id = steps.ladder_run_id and a.step_number = steps.step_number and steps.status = 'due'
    and a.state = 'suppressed' and a.why in (%(ended)s, %(step_done)s)
"""
_DROP = f"""
with {_TOLD},
judged as (
    select
        a.action_id,
        case
            when n.status <> 'raised' then 'the notification was withdrawn'
            when steps.run_status <> 'running' then %(ended)s
            when steps.status = 'done' then %(step_done)s
            when s.status <> 'active' then 'the student is not active any more'
            when a.created_at < %(oldest)s then 'too old to tell'
        end as why
    from ops.action as a
    left join ops.notification as n using (notification_id)
    left join marts.student as s on s.student_id = a.student_id
    left join steps on steps.ladder_run_id = a.ladder_run_id and steps.step_number = a.step_number
    where a.state = 'open' and a.kind in ('email_student', 'notify', 'contact_step')
    union all
    select
        a.action_id,
        case
            when told.at is null then 'it was never told'
            when told.at < %(correctable)s then 'it was told too long ago'
        end
    from ops.action as a
    left join told on told.action_id = a.action_id
    where a.state = 'open' and a.kind = 'correction'
)
update ops.action as a set state = 'suppressed', why = judged.why
from judged
where a.action_id = judged.action_id and a.state = 'open' and judged.why is not null
"""  # noqa: S608
_NEWEST = """
select
    s.source_id,
    greatest(
        (select max(r.as_of_date) from raw.{record} as r where r.source_id = s.source_id),
        -- a list without a row is a list
        (
            select max(d.day) from ops.batch_day as d inner join ops.batch as b using (batch_id)
            where d.source_id = s.source_id and d.is_current and d.is_covered and b.state = 'published'
        )
    ) as as_of_date
from ops.source as s
where s.record = '{record}'
"""
# Made once and counted: the newest list is a small part of all that were kept.
_LINKS = f"""
create temporary table links on commit drop as
with newest as materialized ({_NEWEST.format(record="staff_links")})
select distinct l.student_id, replace(lower(btrim(l.role)), ' ', '_') as role, l.staff_id
from newest
inner join staging.stg_feeds__staff_links as l using (source_id, as_of_date)
where l.valid_from <= %(today)s and l.valid_to > %(today)s
"""  # noqa: S608
_STAFF = """
waiting as (select * from ops.action where state = 'open' and kind in ('notify', 'contact_step')),
tutors as (
    select s.student_id, s.tutor_id as staff_id from marts.student as s
    where s.tutor_id <> '' and s.student_id in (select student_id from waiting)
),
staff as (
    select w.action_id, t.staff_id
    from waiting as w inner join tutors as t using (student_id)
    where w.target = 'tutor' and w.staff_id is null
    union
    select w.action_id, l.staff_id
    from waiting as w inner join links as l on w.student_id = l.student_id and w.target = l.role
    where w.staff_id is null and (w.target <> 'tutor' or w.student_id not in (select student_id from tutors))
    union
    select w.action_id, w.staff_id from waiting as w where w.staff_id is not null
)
"""
_FAN_OUT = f"""
with {_STAFF},
several as (
    select staff.*, row_number() over (partition by staff.action_id order by staff.staff_id) as number
    from staff
    where staff.action_id in (select action_id from staff group by action_id having count(*) > 1)
),
first as (
    update ops.action as a set staff_id = several.staff_id
    from several
    where several.number = 1 and a.action_id = several.action_id and a.state = 'open' and a.staff_id is null
    returning a.*
)
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, staff_id, is_immediate, ladder_run_id,
    step_number, content, created_at
)
select
    first.action_key || ':' || several.staff_id, first.kind, first.student_id, first.notification_id, first.rule_id,
    first.rule_version, first.target, several.staff_id, first.is_immediate, first.ladder_run_id, first.step_number,
    first.content, first.created_at
from first
inner join several on first.action_id = several.action_id and several.number > 1
on conflict (action_key) do nothing
"""  # noqa: S608
_WAITING = f"""
with {_TOLD},
{_STAFF}
select
    a.action_id, a.kind, a.student_id, a.target, a.notification_id, a.rule_id, a.is_immediate, a.step_number, a.content,
    n.kind as about, n.trigger_date, n.week_start, n.raised_at, n.reason, n.evidence,
    r.content ->> 'title' as rule_title,
    told.at as told_at,
    case
        when found.address ~ %(address)s and (a.kind = 'correction' or enrolled.student_id is not null)
            then found.address
    end as address,
    case
        when enrolled.student_id is null and a.kind <> 'correction' then 'the student is on no list'
        when found.staff_id is null and a.target <> 'student' then 'no ' || replace(a.target, '_', ' ') || ' is known'
        else '{_NO_ADDRESS}'
    end as why
from ops.action as a
left join ops.notification as n using (notification_id)
left join ops.rule_version as r on r.rule_id = a.rule_id and r.rule_version = a.rule_version
left join staff on staff.action_id = a.action_id
left join pii.staff as p on p.staff_id = staff.staff_id
left join marts.student as enrolled on enrolled.student_id = a.student_id
left join pii.student as s on a.target = 'student' and s.student_id = a.student_id
left join told on told.action_id = a.action_id
cross join lateral (
    select
        staff.staff_id,
        case
            when a.kind = 'correction' then a.target
            when a.target = 'student' then s.email
            else coalesce(nullif(p.staff_email, ''), %(roles)s::jsonb ->> a.target)
        end as address
) as found
where
    a.state = 'open' and a.kind in ('email_student', 'notify', 'contact_step', 'correction')
    -- a correction follows what it corrects
    and not coalesce(told.is_under_way, false)
    -- the step before was undone
    and not exists (
        select from steps
        where steps.ladder_run_id = a.ladder_run_id and steps.step_number = a.step_number and steps.status = 'waiting'
    )
order by a.action_id
"""  # noqa: S608
# Tomorrow's lists may know somebody.
_WHY = """
with said as materialized (
    select a.action_id, judged.why
    from unnest(%(actions)s::bigint[], %(whys)s::text[]) as judged (action_id, why)
    inner join ops.action as a on a.action_id = judged.action_id
    where a.state = 'open' and a.why is distinct from judged.why
    order by a.action_id
    for update of a
)
update ops.action as a set why = said.why from said where a.action_id = said.action_id
"""


@dataclass(frozen=True)
class Waiting:
    """An open action that tells somebody something, with its notification and its reader."""

    action_id: int
    kind: Literal["email_student", "notify", "contact_step", "correction"]
    student_id: str
    target: str
    notification_id: int | None
    rule_id: str | None
    is_immediate: bool
    step_number: int | None
    content: dict[str, Any]
    about: str | None
    """Kind of the notification."""
    trigger_date: date | None
    week_start: date | None
    raised_at: datetime | None
    reason: str | None
    evidence: dict[str, Any] | None
    rule_title: str | None
    told_at: datetime | None
    """Of a correction: when what it corrects was told last."""
    address: str | None
    why: str
    """Why there is no address, where there is none."""

    @property
    def to_student(self) -> bool:
        """Whether the student reads it."""
        return self.target == "student" or self.content.get("to") == "student"


def waiting(connection: Connection, messaging: Messaging, now: datetime, local: datetime) -> list[Waiting]:
    """Return what is open and may be told now, the oldest first; what reaches nobody waits, and says why. Commits.

    `local`: now, in the institution's zone; what is for a digest is left out before its hour. What is for several
    people with a role is a row for each from then on.
    """
    is_digest_time = local.time() >= messaging.digest_at
    correctable = now - timedelta(days=messaging.correct_within_days)
    connection.commit()
    with connection.transaction():
        # What was written a moment ago is in no statistics.
        connection.execute("analyze ops.action")
        connection.execute(_STEPS)
        if connection.execute(_HAS_STEPS).fetchone() == (True,):
            connection.execute(_ADD_STEPS)
            connection.execute("analyze steps")
        given = {"now": now, "oldest": now - TOO_OLD, "correctable": correctable, "told": messaging.told}
        given |= {"ended": _ENDED, "step_done": _STEP_DONE}
        connection.execute(_REVIVE, given)
        connection.execute(_DROP, given)
        connection.execute(_LINKS, {"today": local.date()})
        connection.execute("analyze links")
        connection.execute(_FAN_OUT)
        given = {"roles": Jsonb(messaging.roles), "address": _ADDRESS, "told": messaging.told}
        every = connection.cursor(row_factory=class_row(Waiting)).execute(_WAITING, given).fetchall()
        corrected = {str(one.address).lower() for one in every if one.kind == "correction" and one.is_immediate}
        # What holds now may stand in a correction that goes at once.
        found = [
            one
            for one in every
            if is_digest_time or one.is_immediate or one.to_student or str(one.address).lower() in corrected
        ]
        for one in found:
            # Nobody waits for a letter of a ladder: somebody else tries next.
            is_skipped = one.kind == "email_student" and one.step_number is not None and one.why == _NO_ADDRESS
            if one.address is None and is_skipped:
                suppress(connection, [one.action_id], one.why)
        whys = [None if one.address else one.why for one in found]
        connection.execute(_WHY, {"actions": [one.action_id for one in found], "whys": whys})
    return [one for one in found if one.address is not None]


def suppress(connection: Connection, action_ids: Sequence[int], why: str) -> None:
    """Record that nobody is told, and why. Does not commit."""
    connection.execute(
        "update ops.action set state = 'suppressed', why = %s where action_id = any(%s) and state = 'open'",
        [why, list(action_ids)],
    )


def newest_lists(record: str) -> str:
    """Return SQL for the date of the newest list of each source of a kind of record: source_id, as_of_date."""
    return _NEWEST.format(record=record)
