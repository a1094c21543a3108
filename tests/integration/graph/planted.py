"""A small university in which every value of a person can be told: what it delivers, and who answers badly.

Names and words carry one mark, numbers begin with digits that nothing else here begins with, secrets carry a third.
"""

import asyncio
import json
import re
import socket
import threading
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.integration.graph.kit import rule, source

MARKS = re.compile(r"qzx\w*|(?<![0-9a-z])(?:8181|7272)\d{4}(?![0-9a-z])", re.IGNORECASE)
"""Finds a planted value, whole or in part."""
HUSH = "hushhushhush"
"""Stands in every secret that is a text."""
MANY = 40
NOTE, REASON, OUTCOME = "Qzxnote my mother is ill", "Qzxreason a bereavement", "qzxoutcome spoke to her sister"
START, TERM_ENDS = date(2026, 9, 28), date(2026, 12, 11)
DAYS = [START + timedelta(days=n) for n in range(15)]
SILENT = (0, 1, 2)
"""Who does nothing from the second day on."""


def student(n: int) -> str:
    return f"8181{n:04d}"


def badge(n: int) -> str:
    return f"7272{n:04d}"


def username(n: int) -> str:
    return f"qzxu{n:03d}"


def email(n: int) -> str:
    return f"qzxmail{n:03d}@students.example"


def given(n: int) -> str:
    return f"Qzxgiven{n:03d}"


def family(n: int) -> str:
    return f"Qzx-Family{n:03d}"


PLANTED = {f(n) for n in range(MANY) for f in (student, badge, username, email, given, family)}


def _columns(**names: Any) -> dict[str, Any]:
    return {key: name if isinstance(name, dict) else {"name": name} for key, name in names.items()}


def _list(name: str, record: str, **columns: Any) -> dict[str, Any]:
    return source(name, record=record, relation="snapshot", columns=_columns(**columns))


DAY, TIME = ["%Y-%m-%d"], ["%Y-%m-%d %H:%M"]
SOURCES = [
    _list(
        "roster", "students", student_id="id", given_name="given", family_name="family", email="email",
        username="user", badge="badge", is_sponsored="visa",
    ),
    _list(
        "enrolled", "enrolments", student_id="id", status="status", programme_code="programme", tutor_id="tutor",
        faculty_code="faculty", year_of_study="year", mode="mode",
    ),
    _list(
        "terms", "term_calendar", term_code="code", starts_on={"name": "from", "formats": DAY},
        ends_on={"name": "to", "formats": DAY},
    ),
    _list(
        "staff", "staff_links", staff_id="staff", student_id="id", role="role", staff_name="name", staff_email="email"
    ),
    _list(
        "cases", "cases", case_id="case", student_id="id", kind="kind", status="status",
        opened_at={"name": "at", "formats": TIME}, assigned_to="who",
    ),
    _list(
        "contacts", "contacts", contact_id="contact", student_id="id", contacted_at={"name": "at", "formats": TIME},
        channel="channel", outcome="outcome", contacted_by="who",
    ),
    _list(
        "exempt", "exemptions", exemption_ref="ref", student_id="id", exemption_type="type", created_by="by",
        starts_on={"name": "from", "formats": DAY}, ends_on={"name": "to", "formats": DAY},
    ),
    _list("traits", "characteristics", student_id="id", characteristic="what", member="group"),
    source(
        "gates", record="activity", relation="replace_days", category="library_access", identified_by="badge",
        columns=_columns(student_ref="badge", occurred_at={"name": "at", "formats": TIME}, resource_type="door"),
    ),
    source(
        "clicks", record="activity", relation="replace_days", category="vle", identified_by="username", digital=True,
        columns=_columns(student_ref="user", occurred_at={"name": "at", "formats": TIME}),
    ),
    source(
        "register", record="attendance", relation="replace_days", category="attendance", identified_by="email",
        columns=_columns(student_ref="email", starts_at={"name": "at", "formats": TIME}, attended="came"),
    ),
    source(
        "api", record="activity", relation="append", category="other", identified_by="username",
        format={"kind": "jsonl"},
        columns=_columns(event_id="id", student_ref="user", occurred_at={"name": "at", "formats": ["iso8601"]}),
        transport={
            "kind": "rest", "base_url": "${PLANTED_API}", "path": "/views", "token": "${PLANTED_TOKEN}",
            "paging": {"style": "link_header"}, "timeout_s": 2, "max_attempts": 1, "start": "2026-10-10",
        },
    ),
]  # fmt: skip
NOTES: dict[str, Any] = _list(
    "notes", "student_notes", note_id="id", student_id="who", note="text",
    written_at={"name": "at", "formats": ["iso8601"]},
)  # fmt: skip
NOTES["format"] = {"kind": "jsonl"}
NOTES["transport"]["pattern"] = r"notes_(?P<day>\d{8}).*\.jsonl"
SOURCES.append(NOTES)


def suite(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules that look at values, too: what a verdict says of them must not quote them."""
    found = [rule("readable", "load_error")]
    found += [rule("known_student", "unknown_student")] * (one["record"] in ("activity", "attendance"))
    found += [rule("named_day", "unnamed_day")] * (one["relation"] == "replace_days")
    kept = {"exemption_type": "^[A-Z]", "resource_type": "^[0-9]", "outcome": "^[a-z]", "note": "^[A-Z]"}
    for column in one["columns"]:
        if column in kept:
            shape = {"column": column, "regex": kept[column]}
            meta = {"id": f"shape_{column}", "title": f"Every {column} has its shape"}
            found.append({"type": "expect_column_values_to_match_regex", "kwargs": shape, "meta": meta})
    return found


def rosters() -> dict[str, list[str]]:
    """The lists as of the first day."""
    everybody = range(MANY)
    return {
        "roster": [
            "id,given,family,email,user,badge,visa",
            *(
                f"{student(n)},{given(n)},{family(n)},{email(n)},{username(n)},{badge(n)},{'Y' if n % 7 == 0 else 'N'}"
                for n in everybody
            ),
        ],
        "enrolled": [
            "id,status,programme,tutor,faculty,year,mode",
            *(f"{student(n)},active,P{n % 2},T1,F,1,FT" for n in everybody),
        ],
        "terms": ["code,from,to", f"T,{START},{TERM_ENDS}"],
        "staff": [
            "staff,id,role,name,email",
            *(f"T1,{student(n)},tutor,Qzxtutor Smith,qzxtutor@example.ac.uk" for n in everybody),
        ],
        "cases": ["case,id,kind,status,at,who", f"C1,{student(0)},engagement,open,2026-09-29 10:00,T1"],
        "contacts": [
            "contact,id,at,channel,outcome,who",
            f"K1,{student(1)},2026-09-30 10:00,phone,{OUTCOME},T1",
            f"K2,{student(2)},2026-09-30 25:61,phone,{OUTCOME} {given(2)},T1",
        ],
        "exempt": [
            "ref,id,type,by,from,to",
            f"E1,{student(5)},Authorised Absence,qzxclerk,2026-10-20,2026-10-25",
            f"E2,{student(6)},{REASON},qzxclerk,2026-10-20,2026-10-25",
        ],
        "traits": [
            "id,what,group",
            *(f"{student(n)},ethnicity,{'Qzxgroup' if n == 3 else 'White'}" for n in everybody),
        ],
        "notes": [json.dumps({"id": "N1", "who": student(0), "text": NOTE, "at": "2026-09-29T10:00:00Z"})],
    }


def days(day: date) -> dict[str, list[str]]:
    """The good files of a day."""
    active = [n for n in range(MANY) if n not in SILENT or day == START]
    return {
        "clicks": ["user,at", *(f"{username(n)},{day} {9 + (n + day.day) % 8:02d}:15" for n in active)],
        "gates": ["badge,at,door", *(f"{badge(n)},{day} 11:{n:02d},1" for n in active if (n + day.day) % 3)],
        "register": ["email,at,came", *(f"{email(n)},{day} 10:00,{'Y' if n in active else 'N'}" for n in range(MANY))],
    }


BAD = {
    "gates_20261013_qzxfile81810001.csv": f"badge,at,door\n{given(1)},{student(1)},{family(1)}\n".encode(),
    "gates_20261012_wide.csv": f"badge,at,door\n{badge(1)},2026-10-12 10:00,1,{email(1)},{given(1)}\n".encode(),
    "clicks_20261013.csv": f"{username(1)},{given(1)}\n{username(2)},{student(2)}\n".encode(),
    "clicks_20261012_quotes.csv": f'user,at\n"{username(1)},2026-10-12 10:00\n{email(1)},"x"y\n'.encode(),
    "register_20261013.csv": f"email,at,came\n{email(1)},2026-10-13 10:00,Qzx-Élodie\n".encode("latin-1"),
    "register_20261012_nul.csv": f"email,at,came\n{email(1)}\0,{given(1)},Y\n".encode(),
    "register_20261011_cut.csv": f'email,at,came\n{email(1)},2026-10-11 10:00,Y\n{email(2)},"2026-1'.encode(),
    "roster_20261013.csv": f"id,given,{given(3)},{email(3)},user,badge,visa\n{student(3)},a,b,c,d,e,Y\n".encode(),
    "notes_20261013.jsonl": f'{{"id": "N2", "who": "{student(4)}", "text": "{NOTE}"\n["{NOTE}"]\n'.encode(),
    "gates_20261011_strangers.csv": b"badge,at,door\n" + b"72729999,2026-10-11 10:00,qzxdoor\n" * 30,
    "exempt_20261013.csv": f"ref,id,type,by,from,to\nE3,81819999,{REASON},qzxclerk,never,ever\n".encode(),
}
"""Deliveries that no sender means, with people in every place that something may quote."""


class Answers:
    """An API and a CRM that fail as badly as can be: every refusal quotes people, and echoes what was sent."""

    def __init__(self) -> None:
        self.posts = 0
        self.gets: list[tuple[int, bytes]] = [
            (500, f"cannot serialise {given(1)} <{email(1)}>".encode()),
            (401, f'{{"message": "token {HUSH}token of {username(1)} has expired"}}'.encode()),
            (400, f'{{"error": "user {student(1)} is unknown"}}'.encode()),
            (200, f'[{{"id": "1", "user": "{username(1)}", "at": '.encode()),
            (200, json.dumps([given(1), {"id": 2}]).encode()),
        ]
        """Given one after another; then a page of items, some of which are wrong."""
        kit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = kit.gets.pop(0) if kit.gets else (200, kit.items())
                self.reply(status, body)

            def do_POST(self) -> None:
                kit.posts += 1
                self.reply(500 if kit.posts < 9 else 400, self.rfile.read(int(self.headers["Content-Length"])))

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status, f"sorry {given(2)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @staticmethod
    def items() -> bytes:
        good = {"id": "e1", "user": username(1), "at": "2026-10-10T10:00:00Z"}
        return json.dumps([good, good | {"id": "e2", "at": given(1)}, {"id": email(1), "user": student(2)}]).encode()

    def __enter__(self) -> "Answers":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Post:
    """A mail server that refuses whom it is to write to by name, and then what it is to carry by quoting it."""

    def __init__(self) -> None:
        self.refused = 0

    def __enter__(self) -> "Post":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(0)
        self.refused += 1
        if self.refused % 3 == 0:
            envelope.rcpt_tos.append(address)
            return "250 OK"
        return f"{550 if self.refused % 2 else 450} <{address}> {given(0)} is not known here"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return f"554 refused: about {student(0)} {NOTE}"
