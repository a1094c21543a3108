"""The outbox: messages are written in the transaction that decides on them, and sent afterwards, at least once.

A message that was recorded as sent is never sent again; one whose sender was killed before it could record it is, under
the same Message-ID. What messages say is not known here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engage import clock, crm
from engage.mail import Mailer, compose
from engage.messaging import Messaging, Webhook
from engage.strict import ConfigurationError
from engage.undelivered import DeliveryError
from engage.warehouse import Connection
from engage.webhook import post

TO_PEOPLE = ("digest", "immediate", "student", "correction")
"""Kinds of messages to staff and students about students: they wait while it is quiet."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Draft:
    """A message that is to be written to somebody."""

    key: str
    """What it is about: a second draft of the same key is not written."""
    channel: str
    recipient: str
    subject: str
    text: str
    html: str | None = None
    payload: dict[str, object] = field(default_factory=dict)
    kind: str = "owner"
    order_key: str | None = None
    """It waits while an older message of the same key is pending."""


@dataclass(frozen=True)
class Message:
    """A row of `ops.outbox`."""

    message_id: int
    message_key: str
    channel: str
    recipient: str
    subject: str
    text: str
    html: str | None
    payload: dict[str, Any]
    state: str
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    sent_at: datetime | None
    error: str | None
    said_in: int | None
    kind: str
    order_key: str | None


_COLUMNS = ", ".join(column.name for column in fields(Message))
_NEXT = f"""
select {_COLUMNS} from ops.outbox as o
where
    state = 'pending' and next_attempt_at <= %(now)s and channel <> all(%(away)s) and kind <> all(%(quiet)s)
    -- what was given up holds nobody back
    and not exists (
        select from ops.outbox as older
        where older.order_key = o.order_key and older.state = 'pending' and older.message_id < o.message_id
    )
order by created_at, message_id
limit 1
for update skip locked
"""  # noqa: S608
_DONE = """
update ops.outbox set state = %s, attempts = attempts + 1, sent_at = %s, error = null, reply = %s where message_id = %s
"""
_NOT_DONE = """
update ops.outbox set state = %(state)s, attempts = attempts + 1, next_attempt_at = %(again)s, error = %(error)s
where message_id = %(message)s
"""
_POSTPONE = """
update ops.outbox set next_attempt_at = %(again)s
where message_id in (
    select message_id from ops.outbox
    where
        state = 'pending' and channel = %(channel)s and next_attempt_at < %(again)s
        -- one mail server takes all e-mails; every webhook is a server of its own
        and (channel = 'email' or recipient = %(recipient)s)
    for update skip locked
)
"""


def is_full(connection: Connection, messaging: Messaging, channel: str, recipient: str, now: datetime) -> bool:
    """Say whether this recipient was written to as often in the last hour as is allowed."""
    row = connection.execute(
        "select count(*) from ops.outbox"
        " where channel = %s and recipient = %s and state <> 'suppressed' and created_at > %s and kind = 'owner'",
        [channel, recipient, now - _HOUR],
    ).fetchone()
    return int(str(row and row[0])) >= messaging.limits.per_recipient_per_hour


def held_back(connection: Connection, channel: str, recipient: str) -> list[Message]:
    """Return the suppressed messages that no later one has mentioned yet."""
    return (
        connection.cursor(row_factory=class_row(Message))
        .execute(
            f"select {_COLUMNS} from ops.outbox where channel = %s and recipient = %s and state = 'suppressed'"  # noqa: S608
            " and said_in is null and kind = 'owner' order by message_id",
            [channel, recipient],
        )
        .fetchall()
    )


def find(connection: Connection, message_id: int) -> Message | None:
    """Return a message by its number."""
    query = f"select {_COLUMNS} from ops.outbox where message_id = %s"  # noqa: S608
    return connection.cursor(row_factory=class_row(Message)).execute(query, [message_id]).fetchone()


def write(connection: Connection, draft: Draft, now: datetime, suppress: bool, mentions: Sequence[Message] = ()) -> int:
    """Write a message into the caller's transaction; return its number, also if its key was there before.

    `suppress`: it is kept and not sent. `mentions`: suppressed messages of which this one speaks.
    """
    given = draft.__dict__ | {
        "payload": Jsonb(draft.payload),
        "state": "suppressed" if suppress else "pending",
        "now": now,
    }
    row = connection.execute(
        """
        insert into ops.outbox
            (message_key, channel, recipient, subject, text, html, payload, state, next_attempt_at, created_at, kind,
            order_key)
        values (%(key)s, %(channel)s, %(recipient)s, %(subject)s, %(text)s, %(html)s, %(payload)s, %(state)s, %(now)s,
            %(now)s, %(kind)s, %(order_key)s)
        on conflict (message_key) do update set message_key = excluded.message_key
        returning message_id
        """,
        given,
    ).fetchone()
    message_id = int(str(row and row[0]))
    connection.execute(
        "update ops.outbox set said_in = %s where message_id = any(%s)",
        [message_id, [message.message_id for message in mentions]],
    )
    return message_id


def take_back(connection: Connection, message_ids: Sequence[int], why: str) -> list[int]:
    """Let none of these messages leave any more; return those that certainly have not. Locks them; does not commit.

    One that was tried once may have arrived, whatever its sender was told.
    """
    rows = connection.execute(
        """
        update ops.outbox set state = 'suppressed', error = %s
        where message_id = any(%s) and (state = 'failed' or (state = 'pending' and attempts = 0))
        returning message_id
        """,
        [why, sorted(message_ids)],
    ).fetchall()
    return sorted(int(str(message_id)) for (message_id,) in rows)


def rewrite(connection: Connection, message_id: int, draft: Draft, now: datetime) -> None:
    """Give a message that was taken back another content, and let it leave. Does not commit."""
    connection.execute(
        """
        update ops.outbox set
            state = 'pending', attempts = 0, error = null, next_attempt_at = %(now)s, created_at = %(now)s,
            recipient = %(recipient)s, subject = %(subject)s, text = %(text)s, html = %(html)s
        where message_id = %(message_id)s and state = 'suppressed'
        """,
        draft.__dict__ | {"payload": None, "now": now, "message_id": message_id},
    )


def is_due(connection: Connection, messaging: Messaging, now: datetime) -> bool:
    """Say whether a message waits to be sent."""
    query = (
        "select exists (select from ops.outbox where state = 'pending' and next_attempt_at <= %s and kind <> all(%s))"
    )
    row = connection.execute(query, [now, _quiet(connection, messaging, now)]).fetchone()
    return bool(row and row[0])


def send_due(connection: Connection, messaging: Messaging, home: Path, now: datetime) -> dict[str, int]:
    """Send, or write as files, what is due; return how many messages took each state. Commits after each.

    Raises nothing of a server's: what it refuses is recorded in the message. A server that is away is not asked again
    for the others. May be killed anywhere, and run by several at once. What is about students waits while it is quiet.
    """
    became: dict[str, int] = {}
    away: list[str] = []
    quiet = _quiet(connection, messaging, now)
    connection.commit()
    with Mailer(messaging) as mailer:
        while True:
            with connection.transaction():
                cursor = connection.cursor(row_factory=class_row(Message))
                message = cursor.execute(_NEXT, {"now": now, "away": away, "quiet": quiet}).fetchone()
                if message is None:
                    return became
                state, is_away = _send(connection, messaging, mailer, home, message, now)
            connection.commit()
            became[state] = became.get(state, 0) + 1
            away += [message.channel] * (is_away and message.channel == "email")


def retry_failed(connection: Connection, now: datetime) -> int:
    """Put the messages that were given up back into the queue; return how many. Commits. Cases: see casework.retry."""
    count = connection.execute(
        "update ops.outbox set state = 'pending', attempts = 0, next_attempt_at = %s"
        " where state = 'failed' and kind <> 'case'",
        [now],
    ).rowcount
    connection.commit()
    return count


def _quiet(connection: Connection, messaging: Messaging, now: datetime) -> list[str]:
    """Return the kinds of messages that may not leave now."""
    return [*TO_PEOPLE] if messaging.quiet_hours.hold(clock.local(connection, now)) else []


def _send(
    connection: Connection, messaging: Messaging, mailer: Mailer, home: Path, message: Message, now: datetime
) -> tuple[str, bool]:
    """Send one message and record what became of it; return its state, and whether its server is away."""
    reply: dict[str, object] | None = None
    try:
        if messaging.delivery == "preview":
            preview(messaging, home, message)
        elif message.kind == "case":
            reply = crm.post(messaging, message)
        elif message.channel == "email":
            mailer.send(_email(messaging, message), message.recipient)
        else:
            post(_hook(messaging, message.recipient), message.payload)
    except (ConfigurationError, DeliveryError) as error:
        trouble = error if isinstance(error, DeliveryError) else DeliveryError(str(error), is_away=True)
        limits = messaging.limits
        wait_s = trouble.wait_s or limits.first_wait_s * 2 ** min(message.attempts, 30)
        again = now + timedelta(seconds=min(wait_s, limits.longest_wait_h * 3600))
        # A server that is away for days loses us nothing.
        given_up = trouble.is_final or (not trouble.is_away and message.attempts + 1 >= limits.attempts)
        state = "failed" if given_up else "pending"
        given = {"state": state, "again": again, "error": str(error), "message": message.message_id}
        connection.execute(_NOT_DONE, given)
        if trouble.is_away:
            given = {"again": again, "channel": message.channel, "recipient": message.recipient}
            connection.execute(_POSTPONE, given)
        return state, trouble.is_away
    state = "previewed" if messaging.delivery == "preview" else "sent"
    connection.execute(_DONE, [state, now, None if reply is None else Jsonb(reply), message.message_id])
    return state, False


def preview(messaging: Messaging, home: Path, message: Message) -> Path:
    """Write the message as it would travel to ENGAGE_HOME/outbox; return the file. Repeatable."""
    folder = home / "outbox"
    folder.mkdir(parents=True, exist_ok=True)
    is_mail = message.channel == "email"
    path = folder / f"{message.message_id:06d}-{message.channel}.{'eml' if is_mail else 'json'}"
    if is_mail:
        path.write_bytes(bytes(_email(messaging, message)))
    else:
        path.write_text(json.dumps(message.payload, indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def _hook(messaging: Messaging, name: str) -> Webhook:
    for hook in messaging.webhooks:
        if hook.name == name:
            return hook
    raise DeliveryError("config/messaging.yaml has no webhook of this name", is_final=True)


def _email(messaging: Messaging, message: Message) -> Any:
    return compose(
        messaging,
        message.recipient,
        message.subject,
        message.text,
        message.html,
        key=message.message_key,
        answers=message.payload.get("in_reply_to"),
        written_at=message.created_at,
        # What a student answers is for those who support students.
        reply_to=messaging.support if message.kind in TO_PEOPLE else messaging.reply_to,
    )
