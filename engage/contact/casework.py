"""What the CRM is asked to do: open a case, append to the open one, take back what had no ground.

Each is a row of `ops.case_action` and a message of the outbox, written with the decision. Which case it is stands in
open_cases.py, what is known for that in case_facts.py, how it travels in crm.py.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engage import crm, outbox
from engage.contact.case_facts import Facts, Item, new_items
from engage.contact.open_cases import Asked, Place, place
from engage.messaging import Messaging
from engage.warehouse import Connection

_OF_NOTIFICATION = """
select
    ca.case_action_id, ca.action_id, ca.student_id, ca.case_kind, ca.case_key,
    coalesce(o.reply ->> 'case_id', ca.case_id) as case_id, ca.message_id, o.state, o.payload,
    o.message_key, o.created_at as written_at
from ops.case_action as ca
inner join ops.action as a on ca.action_id = a.action_id
inner join ops.outbox as o on ca.message_id = o.message_id
where a.notification_id = %s and o.payload ->> 'type' <> 'case.withdraw' and o.state <> 'suppressed'
order by ca.message_id
for update of o
"""
_TAKE_BACK = """
insert into ops.action (action_key, kind, student_id, notification_id, rule_id, rule_version, target, created_at, state)
select %(key)s, 'case', student_id, notification_id, rule_id, rule_version, target, %(now)s, 'done'
from ops.action where action_id = %(action)s
on conflict (action_key) do nothing
returning action_id
"""
_WRITE = """
insert into ops.case_action
    (action_id, student_id, case_kind, action, case_key, case_id, created_at, message_id)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_RETRY = """
update ops.outbox set state = 'pending', attempts = 0, next_attempt_at = %(now)s, error = null
from ops.case_action as ca
where
    ca.message_id = outbox.message_id and outbox.kind = 'case' and outbox.state = 'failed'
    and (%(only)s::bigint[] is null or ca.case_action_id = any(%(only)s))
"""
WITHDRAWN = "The ground of this has gone; nothing needs to be done about it any more."


def decide(connection: Connection, messaging: Messaging, now: datetime) -> dict[str, int]:
    """Turn the open actions of kind case into case actions with their messages; return how many came to what.

    open, append: written. changed: not sent yet, and goes elsewhere by now. suppressed: nobody is told, ops.action says
    why. Repeatable; does not commit.
    """
    _one_at_a_time(connection)
    return _settle(connection, messaging, now, new_items(connection))


def withdraw(connection: Connection, notification_id: int, now: datetime) -> int:
    """Tell the CRM that a notification has no ground any more; return how many case actions that concerns.

    What was not sent is not sent any more; the CRM is told all the same, as it may have been taken without our having
    heard. Repeatable; does not commit.
    """
    _one_at_a_time(connection)
    cursor = connection.cursor(row_factory=class_row(_Row))
    rows = cursor.execute(_OF_NOTIFICATION, [notification_id]).fetchall()
    for row in rows:
        if row.state in ("pending", "failed"):
            _suppress(connection, row.message_id, row.action_id, "superseded before the CRM had taken it")
        given = {"key": f"withdrawal:{row.case_action_id}", "now": now, "action": row.action_id}
        if (made := connection.execute(_TAKE_BACK, given).fetchone()) is None:
            continue
        changed = {"action": "withdraw", "note": WITHDRAWN, "occurred_at": now.isoformat()}
        data = row.payload["data"] | changed | {"withdraws": crm.identity(row.message_key, row.written_at)}
        there = Place("append", row.case_key, row.case_id)
        _write(connection, int(str(made[0])), row.student_id, row.case_kind, there, data, now)
    return len(rows)


def retry(connection: Connection, messaging: Messaging, only: Sequence[int] | None, now: datetime) -> int:
    """Put case actions that were given up back into the queue, all or these; return how many. Commits.

    They keep their keys, and go to the case that is open by now.
    """
    _one_at_a_time(connection)
    count = connection.execute(_RETRY, {"now": now, "only": None if only is None else list(only)}).rowcount
    _settle(connection, messaging, now, [])
    connection.commit()
    return count


def _settle(connection: Connection, messaging: Messaging, now: datetime, new: list[Item]) -> dict[str, int]:
    """Place what waits to be sent anew, then what is new."""
    facts = Facts(connection, messaging, new, now)
    became: Counter[str] = Counter()
    for item in [*facts.waiting, *new]:
        if why := facts.why_not(item):
            _suppress(connection, item.message_id, item.action_id, why)
            became["suppressed"] += 1
            continue
        asked = facts.asked.setdefault(item.student_id, [])
        there = place(facts.listed.get(item.student_id, []), asked, now, facts.used_key(item))
        asked.append(Asked(there.case_key, there.case_id, now, facts.today, None))
        if item.payload is None:
            data = _data(item, messaging, now)
            _write(connection, item.action_id, item.student_id, item.case_kind, there, data, now)
            became[there.action] += 1
        elif (there.action, there.case_key, there.case_id) != (item.action, item.case_key, item.case_id):
            _change(connection, item, item.payload["data"], there)
            became["changed"] += 1
    return dict(became)


@dataclass(frozen=True)
class _Row:
    """A row of `ops.case_action` with its message."""

    case_action_id: int
    action_id: int
    student_id: str
    case_kind: str
    case_key: UUID
    case_id: str | None
    message_id: int
    state: str
    payload: dict[str, Any]
    message_key: str
    written_at: datetime


def _data(item: Item, messaging: Messaging, now: datetime) -> dict[str, object]:
    """Return what the CRM is told: no name and no address, it knows its students by their number."""
    reason = item.reason or item.rule_title or item.case_kind
    link = messaging.student_url
    days = {"trigger_date": item.trigger_date, "week_start": item.week_start}
    return {
        "student_id": item.student_id,
        "kind": item.case_kind,
        "note": reason[:1].upper() + reason[1:],
        "rule": {"id": item.rule_id, "title": item.rule_title},
        "notification_id": item.notification_id,
        **{name: None if day is None else day.isoformat() for name, day in days.items()},
        "evidence": item.evidence or {},
        "occurred_at": now.isoformat(),
        "link": link and link.replace("{student_id}", quote(item.student_id, safe="")),
    }


def _write(
    connection: Connection, action_id: int, student: str, kind: str, there: Place, data: dict[str, Any], now: datetime
) -> None:
    """Write a case action with its message, and the action as done."""
    content = {"action": there.action, **data, "case_key": str(there.case_key), "case_id": there.case_id}
    payload = {"type": f"case.{content['action']}", "timestamp": data["occurred_at"], "data": content}
    draft = outbox.Draft(
        f"case:{action_id}", "webhook", "crm", f"Case: {content['action']}", str(data["note"]), None, payload, "case",
        f"case:{hashlib.sha256(student.encode()).hexdigest()[:32]}",
    )  # fmt: skip
    message_id = outbox.write(connection, draft, now, suppress=False)
    connection.execute(_WRITE, [action_id, student, kind, there.action, there.case_key, there.case_id, now, message_id])
    connection.execute(
        "update ops.action set state = 'done', message_id = %s where action_id = %s", [message_id, action_id]
    )


def _change(connection: Connection, item: Item, data: dict[str, Any], there: Place) -> None:
    """Send a case action elsewhere than was written."""
    content = {**data, "action": there.action, "case_key": str(there.case_key), "case_id": there.case_id}
    connection.execute(
        "update ops.outbox set payload = payload || %s, subject = %s where message_id = %s",
        [Jsonb({"type": f"case.{there.action}", "data": content}), f"Case: {there.action}", item.message_id],
    )
    connection.execute(
        "update ops.case_action set action = %s, case_key = %s, case_id = %s where action_id = %s",
        [there.action, there.case_key, there.case_id, item.action_id],
    )


def _suppress(connection: Connection, message_id: int | None, action_id: int, why: str) -> None:
    connection.execute("update ops.action set state = 'suppressed', why = %s where action_id = %s", [why, action_id])
    connection.execute(
        "update ops.outbox set state = 'suppressed', error = %s where message_id = %s", [why, message_id]
    )


def _one_at_a_time(connection: Connection) -> None:
    connection.execute("select pg_advisory_xact_lock(hashtext('engage.contact.casework'))")
