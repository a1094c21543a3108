"""Incidents: what is wrong becomes known, stays known and is over. Known once, however often it is looked at.

What counts as wrong is conditions.py's, who is told of it telling.py's, sending outbox.py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import cast

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engage import conditions, outbox
from engage.conditions import Condition, Incident, Key
from engage.messaging import Messaging
from engage.sources import Source
from engage.telling import Address, Teller
from engage.warehouse import Connection

_COLUMNS = ", ".join(column.name for column in fields(Incident))
_OPEN = f"select {_COLUMNS} from ops.incident where resolved_at is null order by incident_id"  # noqa: S608
_BEGIN = f"""
insert into ops.incident (source_id, kind, opened_at, last_seen_at, facts)
values (%(source)s, %(kind)s, %(now)s, %(now)s, %(facts)s)
returning {_COLUMNS}
"""  # noqa: S608
_SPARED = """
select channel, recipient from ops.outbox
where state = 'suppressed' and said_in is null and kind = 'owner'
group by channel, recipient
"""


@dataclass(frozen=True)
class Plan:
    """What is to be done about the incidents now."""

    new: list[Condition]
    still: list[Incident]
    """Open before, with the facts of now."""
    over: list[Incident]
    late: list[Incident]
    """Those of which the owner is to hear once more."""
    spared: list[Address]
    """Recipients who can now be told what was held back."""

    def __bool__(self) -> bool:
        """Say whether there is something to write; that an incident is still so is nothing new."""
        return bool(self.new or self.over or self.late or self.spared)


@dataclass
class Changes:
    """What one call of `refresh` did."""

    opened: int = 0
    resolved: int = 0
    reminded: int = 0
    messages: list[int] = field(default_factory=list)
    """Numbers of the messages written, also of those held back."""


def is_due(connection: Connection, sources: Mapping[str, Source], messaging: Messaging, now: datetime) -> bool:
    """Say whether there is something to tell anybody, or a message to send. Reads only."""
    return bool(plan(connection, sources, messaging, now)) or outbox.is_due(connection, messaging, now)


def open_incidents(connection: Connection) -> list[Incident]:
    """Return what is known to be wrong, the oldest first."""
    return connection.cursor(row_factory=class_row(Incident)).execute(_OPEN).fetchall()


def plan(connection: Connection, sources: Mapping[str, Source], messaging: Messaging, now: datetime) -> Plan:
    """Compare what is wrong at `now` with what is known to be. Reads only."""
    wrong, known = conditions.wrong_now(connection, sources, messaging, now), open_incidents(connection)
    keys: set[Key] = {(one.source_id, one.kind) for one in known}
    still = []
    for one in known:
        key = one.source_id, one.kind
        if key in wrong.found.keys() | wrong.undecided:
            facts = wrong.found[key].facts if key in wrong.found else one.facts
            still.append(replace(one, facts=facts, last_seen_at=now))
    lasting = {one.incident_id for one in still}
    hooks = {hook.name for hook in messaging.webhooks}
    spared = cast(list[Address], connection.execute(_SPARED).fetchall())
    return Plan(
        new=[one for key, one in wrong.found.items() if key not in keys],
        still=still,
        over=[replace(one, resolved_at=now) for one in known if one.incident_id not in lasting],
        late=[one for one in still if _is_late(one, sources[one.source_id], now)],
        spared=[
            (channel, recipient)
            for channel, recipient in spared
            if (channel == "email" or recipient in hooks)
            and not outbox.is_full(connection, messaging, channel, recipient, now)
        ],
    )


def _is_late(one: Incident, source: Source, now: datetime) -> bool:
    """Say whether to remind: once, and once more whenever a batch is held after that and the owner has had their time.

    Without the latter, what nobody decides on would hide all that is held after it.
    """
    told_at = one.reminded_at or one.opened_at
    newest = datetime.fromisoformat(str(one.facts.get("newest", one.facts["since"])))
    is_news = one.reminded_at is None or newest > told_at
    return is_news and told_at + timedelta(hours=source.owner.escalate_after_h) <= now


def refresh(
    connection: Connection,
    sources: Mapping[str, Source],
    titles: Mapping[str, Mapping[str, str]],
    messaging: Messaging,
    now: datetime,
) -> Changes:
    """Open, close and escalate incidents, and write what is to be said about them; all or nothing. Commits.

    `titles`: source -> rule -> its title. Sends nothing.
    """
    connection.commit()
    with connection.transaction(), connection.cursor(row_factory=class_row(Incident)) as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('engage.incidents'))")
        todo = plan(connection, sources, messaging, now)
        opened = []
        for new in todo.new:
            given = {"source": new.source_id, "kind": new.kind, "now": now, "facts": Jsonb(new.facts)}
            opened += cursor.execute(_BEGIN, given).fetchall()
        for one in todo.still:
            cursor.execute(
                "update ops.incident set last_seen_at = %s, facts = %s where incident_id = %s",
                [now, Jsonb(one.facts), one.incident_id],
            )
        over, late = [one.incident_id for one in todo.over], [one.incident_id for one in todo.late]
        cursor.execute("update ops.incident set resolved_at = %s where incident_id = any(%s)", [now, over])
        cursor.execute(
            "update ops.incident set reminded_at = %(now)s, escalated_at = case when %(up)s then %(now)s end"
            " where incident_id = any(%(late)s)",
            {"now": now, "up": messaging.escalation is not None, "late": late},
        )
        teller = Teller(connection, sources, titles, messaging, now)
        teller.tell(opened, todo.over, todo.late, todo.still)
        for address in todo.spared:
            teller.own_up(address)
    connection.commit()
    return Changes(len(opened), len(over), len(late), teller.messages)
