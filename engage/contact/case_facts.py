"""What is known when it is decided where case actions go: the actions that wait, the lists of the CRM, what we asked.

Only read here; which case an action belongs to stands in open_cases.py, what is then written in casework.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from psycopg.rows import class_row

from engage.contact.open_cases import Asked, Listed
from engage.messaging import Messaging
from engage.warehouse import Connection

_ITEMS = """
select
    a.action_id, a.student_id, a.target as case_kind, a.rule_id, a.notification_id,
    rv.content ->> 'title' as rule_title, n.trigger_date, n.week_start, n.status, n.reason, n.evidence,
    ca.message_id, ca.action, ca.case_key, ca.case_id, o.payload
from ops.action as a
left join ops.notification as n on a.notification_id = n.notification_id
left join ops.rule_version as rv on a.rule_id = rv.rule_id and a.rule_version = rv.rule_version
left join ops.case_action as ca on a.action_id = ca.action_id
left join ops.outbox as o on ca.message_id = o.message_id
"""
_NEW = f"{_ITEMS} where a.kind = 'case' and a.state = 'open' order by a.action_id for update of a"
_WAITING = f"{_ITEMS} where ca.message_id = any(%s) order by ca.message_id"
# What is being sent at this moment is left to its sender.
_UNSENT = """
select message_id from ops.outbox
where kind = 'case' and state = 'pending' and payload ->> 'type' <> 'case.withdraw'
for update skip locked
"""
_ASKED = """
select
    ca.student_id, ca.case_key, coalesce(o.reply ->> 'case_id', ca.case_id) as case_id, ca.created_at as asked_at,
    (ca.created_at at time zone %(zone)s)::date as asked_on,
    case when o.state <> 'pending' then o.sent_at end as sent_at
from ops.case_action as ca
inner join ops.outbox as o on ca.message_id = o.message_id
where
    ca.student_id = any(%(students)s) and ca.message_id <> all(%(unsent)s)
    and o.state = any(%(states)s) and o.payload ->> 'type' <> 'case.withdraw'
order by ca.message_id
"""
_GIVEN_UP = """
select distinct on (ca.student_id) ca.student_id, ca.case_key
from ops.case_action as ca
inner join ops.outbox as o on ca.message_id = o.message_id
where ca.student_id = any(%(students)s) and o.state in ('failed', 'suppressed')
order by ca.student_id asc, ca.message_id desc
"""
_LISTED = """
select
    student_id, case_id, opened_at, closed_at,
    -- midnight: a list of days
    case
        when (opened_at at time zone %(zone)s)::time = '00:00' then (opened_at at time zone %(zone)s)::date
    end as opened_on
from intermediate.int_case
where student_id = any(%(students)s)
"""
_STATUS = "select student_id, status from marts.student where student_id = any(%(students)s)"
_CLOCK = """
select zone, (%s at time zone zone)::date
from (select coalesce((select time_zone from ops.scoring_parameter), 'Europe/London') as zone) as institution
"""


@dataclass(frozen=True)
class Item:
    """An action that waits: for a decision, or decided and not sent yet."""

    action_id: int
    student_id: str
    case_kind: str
    rule_id: str | None
    notification_id: int | None
    rule_title: str | None
    trigger_date: date | None
    week_start: date | None
    status: str | None
    """Of the notification."""
    reason: str | None
    evidence: dict[str, Any] | None
    message_id: int | None
    action: str | None
    case_key: UUID | None
    case_id: str | None
    payload: dict[str, Any] | None


def new_items(connection: Connection) -> list[Item]:
    """Return the open actions of kind case, the oldest first; they are ours until the transaction ends."""
    return connection.cursor(row_factory=class_row(Item)).execute(_NEW).fetchall()


class Facts:
    """What waits to be sent, and what is known of the students of all that waits."""

    def __init__(self, connection: Connection, messaging: Messaging, new: Sequence[Item], now: datetime) -> None:
        unsent = [number for (number,) in connection.execute(_UNSENT).fetchall()]
        self.waiting = connection.cursor(row_factory=class_row(Item)).execute(_WAITING, [unsent]).fetchall()
        zone, self.today = cast(tuple[str, date], connection.execute(_CLOCK, [now]).fetchone())
        # While nothing is sent, what was previewed stands for it.
        states = messaging.told
        students = sorted({item.student_id for item in [*self.waiting, *new]})
        given: dict[str, object] = {"students": students, "unsent": unsent, "states": states, "zone": zone}
        self.listed: dict[str, list[Listed]] = {}
        self.asked: dict[str, list[Asked]] = {}
        for student, *columns in cast(list[Any], connection.execute(_ASKED, given).fetchall()):
            self.asked.setdefault(student, []).append(Asked(*columns))
        for student, *columns in _rows(connection, "intermediate.int_case", _LISTED, given) or []:
            self.listed.setdefault(student, []).append(Listed(*columns))
        statuses = _rows(connection, "marts.student", _STATUS, given)
        self._status = None if statuses is None else dict(statuses)
        self._given_up = dict(cast(list[Any], connection.execute(_GIVEN_UP, given).fetchall()))
        self._has_nowhere_to_go = messaging.delivery == "send" and messaging.crm is None

    def why_not(self, item: Item) -> str | None:
        """Say why nobody is to be told."""
        if item.status == "superseded":
            return "superseded before anybody was told"
        if self._status is not None and self._status.get(item.student_id) != "active":
            return "the student is not active"
        return "no CRM is configured" if self._has_nowhere_to_go and item.payload is None else None

    def used_key(self, item: Item) -> UUID | None:
        """Return the key under which the CRM may know a case of which we have not heard."""
        return item.case_key or self._given_up.get(item.student_id)


def _rows(connection: Connection, relation: str, query: str, given: dict[str, object]) -> list[Any] | None:
    """Return what a query finds; None while its relation has not been made."""
    if connection.execute("select to_regclass(%s)", [relation]).fetchone() == (None,):
        return None
    return connection.execute(query, given).fetchall()
