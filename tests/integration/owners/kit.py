"""What tests of messages share: a mail server that takes, refuses or drops as told; a desk that writes and sends."""

import asyncio
import socket
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from engage import incidents, outbox
from engage.incidents import Changes
from engage.messaging import Messaging
from engage.sources import Source
from engage.warehouse import connect
from tests.integration.gate.kit import ATTENDANCE, NOW, Gate

OWNER, ENGINEERS, BOSS = "ada@example.ac.uk", "engineers@example.ac.uk", "head@example.ac.uk"


class MailServer:
    """Keeps what it takes. `answers` are given instead of 250, one each; "drop" breaks the connection after DATA,
    "slow" takes it and says so a second later."""

    def __init__(self, **settings: Any) -> None:
        self.taken: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: list[str] = []
        self._settings = settings

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **self._settings)
        self._controller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer == "drop":
            assert server.transport is not None
            server.transport.close()
            return "250 nobody hears this"
        if answer == "slow":
            answer = "250 taken"
            await asyncio.sleep(1)
        if answer.startswith("250"):
            mail = message_from_bytes(cast(bytes, envelope.content), policy=policy.default)
            self.taken.append(mail)
            self.recipients += envelope.rcpt_tos
        return answer

    def texts(self) -> list[str]:
        """The plain text of each, as a person reads it."""
        return [str(part.get_content()) for mail in self.taken if (part := mail.get_body(("plain",)))]


class Desk:
    """One warehouse with the source `attendance`, its gate, and those who are told."""

    def __init__(self, gate: Gate, home: Path, smtp_port: int) -> None:
        self.gate = gate
        self.home = home
        self.now = NOW
        self.messaging = Messaging.model_validate(
            {
                "delivery": "send",
                "data_engineers": ENGINEERS,
                "escalation": BOSS,
                "smtp": {"host": "127.0.0.1", "port": smtp_port, "security": "none"},
            }
        )
        self.sources: dict[str, Source] = {}
        self.add("attendance")
        self.connection = connect(gate.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()
        self.gate.connection.close()

    def add(self, name: str, **changes: Any) -> Source:
        content = {**ATTENDANCE, "id": name, "title": name.title(), **changes}
        self.sources[name] = self.gate.source(content)
        return self.sources[name]

    def configure(self, **changes: Any) -> None:
        self.messaging = Messaging.model_validate(self.messaging.model_dump() | changes)

    def later(self, **passed: float) -> None:
        self.now += timedelta(**passed)

    def refresh(self) -> Changes:
        titles = {"attendance": {"readable": "Every row can be read"}}
        return incidents.refresh(self.connection, self.sources, titles, self.messaging, self.now)

    def send(self) -> dict[str, int]:
        return outbox.send_due(self.connection, self.messaging, self.home, self.now)

    def tell(self) -> dict[str, int]:
        """What the asset does."""
        self.refresh()
        return self.send()

    def deliver(self, rows: list[str], day: int, header: str = "", hours_ago: float = 0, source: str = "") -> None:
        """Put a file about a day of November through the gate; `hours_ago`: its own time."""
        header = header or "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended"
        one = self.sources[source or "attendance"]
        date = datetime(2026, 11, day).date()
        at = self.now - timedelta(hours=hours_ago)
        content = "\n".join([header, *rows, ""]).encode()
        self.gate.deliver(one, content, f"register_202611{day:02d}.csv", date, at)
        self.gate.process(one)

    def outbox(self, columns: str = "state") -> list[tuple[Any, ...]]:
        return self.gate.execute(f"select {columns} from ops.outbox order by message_id")


def row(number: int, day: int, student: str = "7001", start: str = "09:00") -> str:
    return f"e{day}-{number},{student},{day:02d}/11/2026 {start},Lecture,true,true"
