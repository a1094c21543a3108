"""What was told of a student and does not hold: what has not left is taken back, and whoever was told hears that it was
wrong. How a correction is worded and sent is people_letters.py's and bundles.py's.
"""

from collections.abc import Sequence
from datetime import datetime

from engage import outbox
from engage.warehouse import Connection

BEFORE_TOLD = "superseded before anybody was told"
_TELLING = "('notify', 'email_student', 'contact_step')"
_OPEN = f"""
update ops.action set state = 'suppressed', why = '{BEFORE_TOLD}'
where notification_id = any(%(gone)s) and state = 'open' and kind <> 'correction'
"""  # noqa: S608
_TOLD = f"""
select o.message_id
from ops.outbox as o
where o.message_id in (
    select message_id from ops.action where notification_id = any(%(gone)s) and state = 'done' and kind in {_TELLING}
)
order by o.message_id
for update
"""  # noqa: S608
# The rest of what a message told is told anew, without those who are no longer in it.
_REOPEN = f"""
update ops.action set
    state = case when notification_id = any(%(gone)s) and kind <> 'correction' then 'suppressed' else 'open' end,
    why = case when notification_id = any(%(gone)s) and kind <> 'correction' then '{BEFORE_TOLD}' end,
    message_id = null
where message_id = any(%(back)s) and state = 'done'
"""  # noqa: S608
_CORRECT = f"""
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, is_immediate, content, created_at
)
select
    'correction:' || a.notification_id || ':' || lower(o.recipient) || ':' || max(o.message_id),
    'correction', a.student_id, a.notification_id, min(a.rule_id), min(a.rule_version), lower(o.recipient),
    bool_or(a.is_immediate or a.target = 'student'),
    jsonb_build_object(
        'of', jsonb_agg(distinct o.message_id),
        'to', case when bool_and(a.target = 'student') then 'student' else 'staff' end
    ),
    %(now)s
from ops.action as a
inner join ops.outbox as o using (message_id)
where
    a.notification_id = any(%(gone)s) and a.state = 'done' and a.kind in {_TELLING}
    and o.state in ('pending', 'sent', 'previewed')
    and not exists (
        select from ops.action as c
        where
            c.notification_id = a.notification_id and c.kind = 'correction' and c.target = lower(o.recipient)
            and c.content -> 'of' @> to_jsonb(o.message_id) and c.state <> 'suppressed'
    )
group by a.student_id, a.notification_id, lower(o.recipient)
-- suppressed because it was raised again, and gone once more
on conflict (action_key) do update set
    state = 'open', why = null, content = excluded.content, created_at = excluded.created_at
where ops.action.state = 'suppressed'
"""  # noqa: S608
# Corrected data may be corrected back: what was withdrawn is raised again under the same number.
_AGAIN = f"""
with again as (
    update ops.action as a set
        state = case a.kind when 'correction' then 'suppressed' else 'open' end,
        why = case a.kind when 'correction' then 'raised again before it was corrected' end
    from ops.notification as n
    where
        n.notification_id = a.notification_id and n.status = 'raised'
        and case a.kind
            when 'correction' then a.state = 'open'
            else a.state = 'suppressed' and a.why = '{BEFORE_TOLD}'
        end
)
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, staff_id, is_immediate, content,
    created_at
)
select
    'again:' || c.action_id || ':' || a.action_id, a.kind, a.student_id, a.notification_id, a.rule_id, a.rule_version,
    a.target, a.staff_id, a.is_immediate, a.content, %(now)s
from ops.action as c
inner join ops.notification as n on n.notification_id = c.notification_id and n.status = 'raised'
inner join ops.action as a on a.notification_id = c.notification_id and c.content -> 'of' @> to_jsonb(a.message_id)
where
    c.kind = 'correction' and c.state = 'done' and a.kind in ('notify', 'email_student')
    and n.raised_at > c.created_at
on conflict (action_key) do nothing
"""  # noqa: S608
# What the CRM was told to withdraw is asked of it anew, also what it may not have taken: its number is used up.
_CASE_AGAIN = """
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, content, created_at
)
select
    'again:' || w.action_id || ':' || a.action_id, 'case', a.student_id, a.notification_id, a.rule_id, a.rule_version,
    a.target, a.content, %(now)s
from ops.notification as n
inner join ops.action as a on a.notification_id = n.notification_id and a.kind = 'case'
inner join ops.case_action as ca on ca.action_id = a.action_id
inner join ops.action as w on w.action_key = 'withdrawal:' || ca.case_action_id
where n.status = 'raised' and n.raised_at > w.created_at
on conflict (action_key) do nothing
"""


def write(connection: Connection, superseded: Sequence[int], now: datetime) -> int:
    """Take back what these notifications ask for, and ask for a correction to everybody who was told; return how many.

    What waits in the outbox and was never tried is rewritten without the student by the next bundles.write, or not sent
    at all. What was tried once may have arrived: it is sent, and corrected afterwards. What is raised again is told
    again, and its cases are asked for again: casework.decide follows. Repeatable; does not commit.
    """
    given = {"gone": list(superseded), "now": now}
    connection.execute(_AGAIN, given)
    connection.execute(_CASE_AGAIN, given)
    connection.execute(_OPEN, given)
    told = [int(str(message_id)) for (message_id,) in connection.execute(_TOLD, given).fetchall()]
    back = outbox.take_back(connection, told, "told of what does not hold; written anew without it")
    connection.execute(_REOPEN, {**given, "back": back})
    return connection.execute(_CORRECT, given).rowcount
