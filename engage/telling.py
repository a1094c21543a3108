"""Who hears what about incidents: one message for each person and source, however many things go wrong at a time.

Everything is written to the outbox within the caller's transaction. When an incident begins and ends is incidents.py's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from engage import impact, letters, outbox, webhook
from engage.conditions import ACCESS, KINDS, SHARED, Incident
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
select distinct on (o.channel, o.recipient)
    o.message_id, o.channel, o.recipient, o.message_key,
    o.state in ('sent', 'previewed') or (o.state = 'suppressed' and o.said_in <> o.message_id) as is_told,
    array(select incident_id from ops.incident_message where message_id = o.message_id order by 1) as told_with
from ops.incident_message as m
inner join ops.outbox as o using (message_id)
where m.incident_id = %s and m.purpose <> 'recovered'
order by o.channel, o.recipient, o.state in ('sent', 'previewed') desc, o.message_id
"""
_TAKE_BACK = """
update ops.outbox set state = 'suppressed', said_in = message_id, error = 'over before it was sent'
where
    message_id = %s and state in ('pending', 'suppressed')
    and not exists (
        select from ops.incident_message as m
        inner join ops.incident as i using (incident_id)
        where m.message_id = ops.outbox.message_id and i.resolved_at is null
    )
"""
_THESE = "select {} from ops.incident where incident_id = any(%s) order by incident_id"


class Teller:
    """Writes what is to be said at one moment."""

    def __init__(
        self,
        connection: Connection,
        sources: Mapping[str, Source],
        titles: Mapping[str, Mapping[str, str]],
        messaging: Messaging,
        now: datetime,
    ) -> None:
        """`titles`: source -> rule -> its title."""
        self._connection = connection
        self._sources = sources
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
        opened: Sequence[Incident],
        over: Sequence[Incident],
        late: Sequence[Incident],
        still: Sequence[Incident],
    ) -> None:
        """Write to everybody whom the news concern: a message for each source, or for each server with several."""
        now_open = [*opened, *still]
        for address, some in self._audience(opened):
            self._write(address, "opened", letters.opened, some, now_open)
        # That a source which nobody collects any more is well again would not be true.
        for address, some, key in self._told_of(over):
            if some := [one for one in some if self._is_collected(one.source_id)]:
                self._write(address, "recovered", letters.recovered, some, now_open, key)
        up = self._messaging.escalation
        for address, some in self._audience(late):
            # Who is above the owner hears of it as such, and not twice.
            if address != ("email", up):
                self._write(address, "reminded", letters.reminded, some, now_open)
        for some in self._bundles(late) if up else []:
            self._write(("email", str(up)), "escalated", letters.escalated, some, now_open)

    def own_up(self, address: Address) -> None:
        """Name what was held back to somebody whom no message has reached since."""
        # A message written just now may have said it, or taken the last place of the hour.
        if self._is_full(address):
            return
        if spared := outbox.held_back(self._connection, *address):
            letter = letters.summary([one.subject for one in spared], self._messaging.base_url)
            self._put(f"held back:{spared[-1].message_id}", address, letter, False, spared, None)

    def _audience(self, some: Sequence[Incident]) -> list[tuple[Address, list[Incident]]]:
        """Return who hears of these incidents, and of which in one message, the gravest first."""
        heard: dict[Address, list[Incident]] = {}
        for one in some:
            people = [self._sources[one.source_id].owner.email] * (one.kind not in OURS)
            people += [self._messaging.data_engineers] * (one.kind in ALSO_OURS)
            for address in dict.fromkeys([*(("email", who) for who in people), *(("webhook", n) for n in self._hooks)]):
                heard.setdefault(address, []).append(one)
        return [(address, bundle) for address, ones in heard.items() for bundle in self._bundles(ones)]

    def _bundles(self, some: Sequence[Incident]) -> list[list[Incident]]:
        """Divide them by source, but what has befallen several sources of a server at a time is one."""
        causes: dict[Any, list[Incident]] = {}
        for one in some:
            if one.kind in SHARED and (server := one.facts.get("server")):
                said = one.facts["message"] if one.kind == "access_refused" else None
                causes.setdefault((one.kind, server, said), []).append(one)
        bundles = {cause: ones for cause, ones in causes.items() if len(ones) > 1}
        together = {one.incident_id for ones in bundles.values() for one in ones}
        for one in some:
            if one.incident_id not in together:
                bundles.setdefault(one.source_id, []).append(one)
        order = list(self._sources)
        return [
            sorted(ones, key=lambda one: (KINDS.index(one.kind), order.index(one.source_id)))
            for ones in bundles.values()
        ]

    def _told_of(self, over: Sequence[Incident]) -> list[tuple[Address, list[Incident], str]]:
        """Return who has heard of these incidents, of which, and in which message first.

        What nobody has been sent yet is not sent any more. What was told of several sources at a time is over when it
        is so for all of them.
        """
        told: dict[Any, tuple[Address, list[Incident], str]] = {}
        for one in over:
            rows: list[Any] = self._connection.execute(_TOLD, [one.incident_id]).fetchall()
            for message, channel, recipient, key, is_told, told_with in rows:
                # A webhook may have left the configuration since.
                if channel != "email" and recipient not in self._hooks:
                    continue
                if not is_told:
                    self._connection.execute(_TAKE_BACK, [message])
                    continue
                all_told = self._incidents(told_with)
                if len({other.source_id for other in all_told}) == 1:
                    told.setdefault((channel, recipient, one.source_id), ((channel, recipient), [], key))[1].append(one)
                elif all(other.resolved_at for other in all_told):
                    told[message] = ((channel, recipient), all_told, key)
        return list(told.values())

    def _incidents(self, numbers: Sequence[int]) -> list[Incident]:
        columns = ", ".join(column.name for column in fields(Incident))
        cursor = self._connection.cursor(row_factory=class_row(Incident))
        return cursor.execute(_THESE.format(columns).encode(), [list(numbers)]).fetchall()

    def _is_collected(self, source_id: str) -> bool:
        source = self._sources.get(source_id)
        return source is not None and disabled_since(self._connection, source, self._now) is None

    def _about(self, some: Sequence[Incident], now_open: Sequence[Incident]) -> About:
        source = self._sources[some[0].source_id]
        return About(
            source,
            self._zone,
            self._titles.get(source.id, {}),
            self._messaging.data_engineers,
            tuple(self._sources[n].title for n in dict.fromkeys(one.source_id for one in some) if n != source.id),
            next((one.kind for one in now_open if one.source_id == source.id and one.kind in ACCESS), None),
        )

    def _heard(self, some: Sequence[Incident]) -> list[str]:
        """Return whom the first message about these incidents went to, by name."""
        owners = [self._sources[one.source_id].owner for one in some if one.kind not in OURS]
        people = [f"{owner.name} ({owner.email})" for owner in owners]
        return list(dict.fromkeys(people)) or [self._messaging.data_engineers]

    def _write(
        self,
        address: Address,
        purpose: str,
        compose: Callable[[Sequence[Incident], Frame], Letter],
        some: Sequence[Incident],
        now_open: Sequence[Incident],
        answers: str | None = None,
    ) -> None:
        """Write one message about these incidents. `now_open`: all that is wrong now, of any source."""
        is_full = self._is_full(address)
        spared = [] if is_full else outbox.held_back(self._connection, *address)
        concerned = list(dict.fromkeys(one.source_id for one in some))
        mentioned = {one.incident_id for one in some}
        also = [one for one in now_open if one.source_id in concerned and one.incident_id not in mentioned]
        frame = Frame(
            self._about(some, now_open),
            self._messaging.base_url,
            self._now,
            [one.subject for one in spared],
            also if purpose in ("opened", "recovered") else [],
            [
                (source, impact.of(self._connection, source, self._now))
                for source in map(self._sources.__getitem__, concerned)
            ],
            self._heard(some),
        )
        again = f"@{self._now.isoformat()}" if purpose in ("reminded", "escalated") and some[0].reminded_at else ""
        key = f"incident:{min(mentioned)}:{purpose}{again}:{':'.join(address)}"
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
