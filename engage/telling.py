"""Who hears what about incidents: one message for each person and source, however many things go wrong at a time.

Everything is written to the outbox within the caller's transaction. When an incident begins and ends is incidents.py's.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engage import impact, letters, outbox, webhook
from engage.conditions import KINDS, Incident
from engage.incident_words import About
from engage.landing import disabled_since
from engage.letters import Frame, Letter
from engage.messaging import Messaging
from engage.sources import Source
from engage.warehouse import Connection

OURS = ("configuration",)
"""Kinds that an owner can do nothing about."""
ALSO_OURS = ("host_key", "configuration")
"""Kinds of which the data engineers hear, too."""
Address = tuple[str, str]
"""Channel and recipient."""
_TOLD = """
select distinct on (channel, recipient) message_id, channel, recipient, state, message_key
from ops.incident_message inner join ops.outbox using (message_id)
where incident_id = %s and purpose <> 'recovered'
order by channel, recipient, state in ('sent', 'previewed') desc, message_id
"""
_TAKE_BACK = """
update ops.outbox set state = 'suppressed', said_in = message_id, error = 'over before it was sent'
where message_id = %s and state in ('pending', 'suppressed')
"""


class Teller:
    """Writes what is to be said at one moment."""

    def __init__(
        self, connection: Connection, titles: Mapping[str, Mapping[str, str]], messaging: Messaging, now: datetime
    ) -> None:
        """`titles`: source -> rule -> its title."""
        self._connection = connection
        self._titles = titles
        self._messaging = messaging
        self._now = now
        self._hooks = {hook.name: hook for hook in messaging.webhooks}
        row = connection.execute("select time_zone from ops.scoring_parameter").fetchone()
        self._zone = ZoneInfo(str(row[0]) if row else "UTC")
        self.messages: list[int] = []
        """Numbers of the messages written."""

    def tell(
        self,
        source: Source,
        opened: Sequence[Incident],
        over: Sequence[Incident],
        late: Sequence[Incident],
        still: Sequence[Incident],
    ) -> None:
        """Write to everybody whom the news of a source concern: one message each for what begins, ends, lasts."""
        for address, some in self._audience(source, opened).items():
            self._write(source, address, "opened", letters.opened, some, still)
        # That a source which nobody collects any more is well again would not be true.
        is_off = disabled_since(self._connection, source, self._now) is not None
        for address, (some, key) in self._told_of(over).items():
            if not is_off:
                self._write(source, address, "recovered", letters.recovered, some, [*opened, *still], key)
        up = self._messaging.escalation
        for address, some in self._audience(source, late).items():
            # Who is above the owner hears of it as such, and not twice.
            if address != ("email", up):
                self._write(source, address, "reminded", letters.reminded, some)
        if up and late:
            self._write(source, ("email", up), "escalated", letters.escalated, late)

    def own_up(self, address: Address) -> None:
        """Name what was held back to somebody whom no message has reached since."""
        # A message written just now may have said it, or taken the last place of the hour.
        if self._is_full(address):
            return
        if spared := outbox.held_back(self._connection, *address):
            letter = letters.summary([one.subject for one in spared], self._messaging.base_url)
            self._put(f"held back:{spared[-1].message_id}", address, letter, False, spared, None)

    def _audience(self, source: Source, some: Sequence[Incident]) -> dict[Address, list[Incident]]:
        """Return who hears of these incidents, and of which, the gravest first."""
        heard: dict[Address, list[Incident]] = {}
        for one in sorted(some, key=lambda incident: KINDS.index(incident.kind)):
            people = [source.owner.email] * (one.kind not in OURS)
            people += [self._messaging.data_engineers] * (one.kind in ALSO_OURS)
            for address in dict.fromkeys([*(("email", who) for who in people), *(("webhook", n) for n in self._hooks)]):
                heard.setdefault(address, []).append(one)
        return heard

    def _told_of(self, over: Sequence[Incident]) -> dict[Address, tuple[list[Incident], str]]:
        """Return who has heard of these incidents, of which, and in which message first.

        What nobody has been sent yet is not sent any more.
        """
        told: dict[Address, tuple[list[Incident], str]] = {}
        for one in over:
            rows: list[Any] = self._connection.execute(_TOLD, [one.incident_id]).fetchall()
            for message, channel, recipient, state, key in rows:
                if state in ("sent", "previewed"):
                    told.setdefault((channel, recipient), ([], key))[0].append(one)
                else:
                    self._connection.execute(_TAKE_BACK, [message])
        # A webhook may have left the configuration since.
        return {address: what for address, what in told.items() if address[0] == "email" or address[1] in self._hooks}

    def _write(
        self,
        source: Source,
        address: Address,
        purpose: str,
        compose: Callable[[Sequence[Incident], Frame], Letter],
        some: Sequence[Incident],
        also: Sequence[Incident] = (),
        answers: str | None = None,
    ) -> None:
        is_full = self._is_full(address)
        spared = [] if is_full else outbox.held_back(self._connection, *address)
        frame = Frame(
            About(source, self._zone, self._titles.get(source.id, {}), self._messaging.data_engineers),
            self._messaging.base_url,
            self._now,
            [one.subject for one in spared],
            also,
            impact.of(self._connection, source, self._now),
        )
        key = f"incident:{min(one.incident_id for one in some)}:{purpose}:{':'.join(address)}"
        message = self._put(key, address, compose(some, frame), is_full, spared, answers)
        for one in some:
            self._connection.execute(
                "insert into ops.incident_message values (%s, %s, %s) on conflict do nothing",
                [one.incident_id, message, purpose],
            )

    def _put(
        self,
        key: str,
        address: Address,
        letter: Letter,
        suppress: bool,
        spared: Sequence[outbox.Message],
        answers: str | None,
    ) -> int:
        channel, recipient = address
        body: dict[str, object] = {"in_reply_to": answers} if answers else {}
        if channel == "webhook":
            body = webhook.payload(self._hooks[recipient], letter.card)
        html = letter.html if channel == "email" else None
        draft = outbox.Draft(key, channel, recipient, letter.subject, letter.text, html, body)
        message = outbox.write(self._connection, draft, self._now, suppress, spared)
        self.messages.append(message)
        return message

    def _is_full(self, address: Address) -> bool:
        return outbox.is_full(self._connection, self._messaging, *address, self._now)
