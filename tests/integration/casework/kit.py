"""A CRM that keeps cases as docs/casework.md asks, over real HTTP; and an office that decides and sends."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from psycopg.types.json import Jsonb

from engage import outbox
from engage.contact import casework, corrections
from engage.messaging import Messaging
from engage.warehouse import Connection

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a known key!").decode()
DBT = """
create schema intermediate;
create table intermediate.int_case (
    source_id text, case_id text, student_id text, kind text, status text, opened_at timestamptz, closed_at timestamptz,
    assigned_to text
);
create table marts.student (student_id text, status text)
"""


@dataclass
class Case:
    case_id: str
    student_id: str
    opened_at: datetime
    key: str | None = None
    closed_at: datetime | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class Crm:
    """Verifies every message and keeps each once.

    `answers`: given instead of its own, one each: a status with headers and body; "lost": it takes the message and
    hangs up; "slow": it takes the message and answers too late.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.cases: list[Case] = []
        self.taken: dict[str, str] = {}
        """webhook-id -> id of the case."""
        self.posts: list[dict[str, Any]] = []
        """What was posted and signed, also what was refused."""
        self.last: tuple[dict[str, str], bytes] = ({}, b"")
        self.refused: list[str] = []
        self.answers: list[Any] = []
        self.refuses: Callable[[dict[str, Any]], int | None] = lambda data: None
        """Says an HTTP status for what it does not want."""
        self.says_ids = True
        self.clock = NOW
        self.slow_s = 1.0
        self.secret = SECRET
        crm = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                crm.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://localhost:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.last = dict(handler.headers.items()), body
        if why := mistrusted(self.secret, dict(handler.headers.items()), body):
            self.refused.append(why)
            return reply(handler, 401)
        data = json.loads(body)["data"]
        self.posts.append(data)
        given = self.answers.pop(0) if self.answers else None
        if isinstance(given, tuple):
            return reply(handler, *given)
        if (status := self.refuses(data)) is not None:
            return reply(handler, status)
        case_id = self.take(handler.headers["webhook-id"], data)
        if given == "lost":
            handler.connection.close()
            return None
        if given == "slow":
            time.sleep(self.slow_s)
        return reply(handler, 200, {}, {"case_id": case_id, "owner": "Ada"} if self.says_ids else None)

    def take(self, name: str, data: dict[str, Any]) -> str | None:
        """What docs/casework.md asks of a CRM."""
        if name in self.taken:
            return self.taken[name]
        if data["action"] == "withdraw":
            # Of what it was never told it knows nothing.
            case_id = self.taken[name] = self.taken.get(data["withdraws"], "")
            for case in self.cases:
                if case.case_id == case_id:
                    case.entries.append(data)
            return case_id or None
        mine = [case for case in self.cases if case.student_id == data["student_id"] and case.is_open]
        found = next((c for c in mine if c.case_id == data["case_id"]), None)
        found = found or next((c for c in reversed(mine) if c.key == data["case_key"]), None)
        if found is None:
            found = self.open(data["student_id"])
        found.key = data["case_key"]
        found.entries.append(data)
        self.taken[name] = found.case_id
        return found.case_id

    def open(self, student: str) -> Case:
        case = Case(f"C{len(self.cases) + 1}", student, self.clock)
        self.cases.append(case)
        return case


def mistrusted(secret: str, headers: dict[str, str], body: bytes) -> str | None:
    """Verify as Standard Webhooks 1.0.0 says, by nothing of ours; say what is wrong."""
    there = {name.lower(): value for name, value in headers.items()}
    try:
        name, seconds, given = (there[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError as missing:
        return f"{missing}"
    if abs(time.time() - int(seconds)) > 300:
        return "too old"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(
        hmac.new(key, b".".join([name.encode(), seconds.encode(), body]), hashlib.sha256).digest()
    )
    known = [one.split(",", 1)[1] for one in given.split(" ") if one.startswith("v1,")]
    return None if any(hmac.compare_digest(one.encode(), expected) for one in known) else "wrong signature"


def reply(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str] | None = None, said: object = None
) -> None:
    content = b"" if said is None else json.dumps(said).encode()
    try:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
    except OSError:
        # Whoever asked did not wait.
        handler.close_connection = True


class Office:
    """A warehouse in which rules ask for cases, and its messages are sent to a CRM."""

    def __init__(self, connection: Connection, crm: Crm, home: Path) -> None:
        self.connection, self.crm, self.home, self.now = connection, crm, home, NOW
        self.messaging = Messaging.model_validate(
            {
                "delivery": "send",
                "smtp": {"host": "127.0.0.1", "port": 1},
                "student_url": "https://sits.example.ac.uk/{student_id}",
                "crm": {"url": "${ENGAGE_CRM_URL}", "secret": "${ENGAGE_CRM_SECRET}", "timeout_s": 0.5},
                "limits": {"attempts": 4, "first_wait_s": 60},
            }
        )
        self.count = 0

    def configure(self, **changes: Any) -> None:
        self.messaging = Messaging.model_validate(self.messaging.model_dump() | changes)

    def later(self, **passed: float) -> None:
        self.now += timedelta(**passed)
        self.crm.clock = self.now

    def enrol(self, *students: str, status: str = "active") -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany("insert into marts.student values (%s, %s)", [(s, status) for s in students])
        self.connection.commit()

    def ask(self, student: str, kind: str = "engagement") -> int:
        """What a rule does; return the notification."""
        self.count += 1
        row = self.connection.execute(
            """
            with noticed as (
                insert into ops.notification (
                    student_id, rule_id, kind, trigger_date, noticed_at, raised_at, status, reason, evidence
                ) values (
                    %(student)s, %(rule)s, 'low_activity', %(day)s, %(now)s, %(now)s, 'raised', 'hardly any activity',
                    %(evidence)s
                )
                returning notification_id
            )
            insert into ops.action (action_key, kind, student_id, notification_id, rule_id, target, created_at)
            select
                'rule:' || %(rule)s || ':' || notification_id, 'case', %(student)s, notification_id, %(rule)s, %(kind)s,
                %(now)s
            from noticed
            returning notification_id
            """,
            {
                "student": student,
                "rule": f"rule{self.count}",
                "day": self.now.date(),
                "now": self.now,
                "evidence": Jsonb({"days": 14, "sources": {"vle": 1}}),
                "kind": kind,
            },
        ).fetchone()
        self.connection.commit()
        return int(str(row and row[0]))

    def decide(self) -> dict[str, int]:
        became = casework.decide(self.connection, self.messaging, self.now)
        self.connection.commit()
        return became

    def withdraw(self, notification: int) -> None:
        self.connection.execute(
            "update ops.notification set status = 'superseded' where notification_id = %s", [notification]
        )
        casework.withdraw(self.connection, notification, self.now)
        self.connection.commit()

    def raise_again(self, notification: int) -> None:
        """The data that withdrew it is withdrawn itself."""
        self.later(minutes=1)
        self.connection.execute(
            "update ops.notification set status = 'raised', raised_at = %s where notification_id = %s",
            [self.now, notification],
        )
        corrections.write(self.connection, [], self.now)
        self.connection.commit()

    def send(self) -> dict[str, int]:
        return outbox.send_due(self.connection, self.messaging, self.home, self.now)

    def retry(self, only: list[int] | None) -> int:
        return casework.retry(self.connection, self.messaging, only, self.now)

    def list_cases(self) -> None:
        """The newest list of the CRM arrives."""
        self.connection.execute("delete from intermediate.int_case")
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into intermediate.int_case values ('crm', %s, %s, 'any', 'any', %s, %s, null)",
                [(c.case_id, c.student_id, c.opened_at, c.closed_at) for c in self.crm.cases],
            )
        self.connection.commit()

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        query = (
            f"select {columns} from ops.case_action as ca join ops.outbox as o using (message_id)"
            " join ops.action as a using (action_id) order by ca.case_action_id"
        )
        found = self.connection.execute(query).fetchall()
        self.connection.commit()
        return found
