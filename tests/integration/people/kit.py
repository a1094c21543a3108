"""What tests of messages to people share: a warehouse with what letters read, and an office that writes them."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from psycopg.types.json import Jsonb

from engage import outbox
from engage.contact import bundles, corrections
from engage.messaging import Messaging, load_messaging
from engage.settings import PROJECT, Settings
from engage.warehouse import connect

MODELS = PROJECT / "dbt_project" / "models"
NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
"""A Tuesday, eight o'clock by the clock on the wall, too."""
TUTOR, OTHER, STUDENT = "t.lovelace@example.ac.uk", "g.hopper@example.ac.uk", "s1@students.example.ac.uk"
CASES = """
create table intermediate.int_case (student_id text, case_id text, opened_at timestamptz, closed_at timestamptz);
create table intermediate.int_contact (student_id text, contact_id text, contacted_at timestamptz);
"""


def stand_in(connection: Any) -> None:
    """Make what dbt makes: tables as the contracts of the marts have them, views as the models of staging are."""
    for name in ("marts", "staging", "intermediate"):
        connection.execute(f"create schema if not exists {name}")
    for page in ("student", "score_trend", "daily_activity"):
        for model in yaml.safe_load((MODELS / "marts" / f"{page}.yml").read_text())["models"]:
            columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
            connection.execute(f"create table marts.{model['name']} ({columns})")
    for name in ("stg_feeds__staff_links", "stg_feeds__student_notes"):
        model = (MODELS / "staging" / f"{name}.sql").read_text()
        query = re.sub(r"\{\{ source\('(\w+)', '(\w+)'\) \}\}", r"\1.\2", model)
        connection.execute(f"create view staging.{name} as {query}")
    connection.execute(CASES)


class Office:
    """One warehouse, a folder of configuration and those who are told."""

    def __init__(self, url: str, home: Path, smtp_port: int) -> None:
        self.url = url
        self.connection = connect(url)
        self.now = NOW
        self.settings = replace(Settings.from_environment(), config=home / "config", home=home)
        self.settings.config.mkdir()
        self._content: dict[str, Any] = {
            "delivery": "send",
            "digest_at": "07:30",
            "reply_to": "engagement@example.ac.uk",
            "smtp": {"host": "127.0.0.1", "port": smtp_port, "security": "none", "timeout_s": 5},
            "roles": {"student_support": "support@example.ac.uk"},
            "student_url": "https://records.example.ac.uk/students/{student_id}",
        }
        self.configure()
        self.execute(
            "insert into ops.config_version values ('v', '{}', now());"
            "insert into ops.scoring_parameter values (default, 'v', 'Europe/London', '{1}', 5, 4, 30, 10, .5, 80, 3,"
            " 'normal_scores', 'exclude', 2, 3);"
            "insert into ops.source (source_id, title, record, relation, category, is_digital) values"
            " ('staff_links', 'Staff', 'staff_links', 'snapshot', null, false),"
            " ('student_notes', 'Notes', 'student_notes', 'snapshot', null, false),"
            " ('vle', 'Moodle', 'activity', 'append', 'vle', true);"
            "create table raw.staff_links_all partition of raw.staff_links default;"
            "create table raw.student_notes_all partition of raw.student_notes default"
        )
        stand_in(self.connection)
        self.staff("T1", TUTOR)
        self.connection.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()

    def configure(self, **changes: Any) -> None:
        self._content |= changes
        (self.settings.config / "messaging.yaml").write_text(yaml.safe_dump(self._content))

    @property
    def messaging(self) -> Messaging:
        return load_messaging(self.settings.config)

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.encode(), parameters)
        found = cursor.fetchall() if cursor.description else []
        self.connection.commit()
        return found

    def later(self, **passed: float) -> None:
        self.now += timedelta(**passed)

    def staff(self, staff_id: str, email: str | None) -> None:
        self.execute("insert into pii.staff values (%s, %s, %s, '2026-03-01')", [staff_id, "Staff", email])

    def student(self, student_id: str, name: str = "Ada", family: str = "King", tutor: str | None = "T1") -> None:
        self.execute(
            "insert into marts.student (student_id, programme_name, year_of_study, status, tutor_id)"
            " values (%s, 'History', '2', 'active', %s)",
            [student_id, tutor],
        )
        email = f"{student_id}@students.example.ac.uk"
        self.execute("insert into pii.student values (%s, %s, %s, %s, '2026-03-01')", [student_id, name, family, email])

    def link(self, staff_id: str, student_id: str, role: str, until: date | None = None, listed: str = "09") -> None:
        self.execute(
            "insert into raw.staff_links values ('staff_links', %s, 1, 1, %s, %s, %s, null, %s)",
            [f"2026-03-{listed}", staff_id, student_id, role, until],
        )

    def notification(
        self, student_id: str, about: str = "no_digital_activity", trigger: date = date(2026, 3, 10), rule: str = ""
    ) -> int:
        evidence: dict[str, object] = {
            "from": str(trigger - timedelta(days=7)),
            "to": str(trigger - timedelta(days=1)),
            "days": 7,
            "silent_days": 7,
            "interactions": {"vle": 0, "library": 0, "portal": 0},
            "complete": True,
            "missing": [],
        }
        ((number,),) = self.execute(
            "insert into ops.notification (student_id, rule_id, kind, trigger_date, week_start, noticed_at, raised_at,"
            " status, reason, evidence) values (%s, %s, %s, %s, %s, %s, %s, 'raised', 'no digital activity', %s)"
            " returning notification_id",
            [
                student_id,
                rule or about,
                about,
                trigger,
                trigger - timedelta(days=8) if about == "score" else None,
                self.now,
                self.now,
                Jsonb({"score": 212} if about == "score" else evidence),
            ],
        )
        return int(number)

    def action(
        self, student_id: str, notification: int | None, kind: str = "notify", target: str = "tutor", **more: Any
    ) -> int:
        given = {"is_immediate": False, "content": {}, "step_number": None, "rule_id": None} | more
        ((number,),) = self.execute(
            "insert into ops.action (action_key, kind, student_id, notification_id, target, is_immediate, content,"
            " step_number, rule_id, created_at) values (gen_random_uuid(), %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " returning action_id",
            [
                kind,
                student_id,
                notification,
                target,
                given["is_immediate"],
                Jsonb(given["content"]),
                given["step_number"],
                given["rule_id"],
                self.now,
            ],
        )
        return int(number)

    def tell(self, student_id: str, **more: Any) -> int:
        """A notification that the tutor is to be told of; return its number."""
        number = self.notification(student_id)
        self.action(student_id, number, **more)
        return number

    def supersede(self, *numbers: int, reason: str = "what has come since shows activity") -> int:
        """What an evaluation does with what lost its ground."""
        self.execute(
            "update ops.notification set status = 'superseded', reason = %s, resolved_at = %s"
            " where notification_id = any(%s)",
            [reason, self.now, list(numbers)],
        )
        told = corrections.write(self.connection, numbers, self.now)
        self.connection.commit()
        return told

    def write(self) -> dict[str, int]:
        return bundles.write(self.connection, self.settings, self.now)

    def send(self) -> dict[str, int]:
        return outbox.send_due(self.connection, self.messaging, self.settings.home, self.now)

    def deliver(self) -> dict[str, int]:
        """What the asset does; return what was written."""
        written = self.write()
        self.send()
        return written

    def outbox(self, columns: str = "kind, state") -> list[tuple[Any, ...]]:
        return self.execute(f"select {columns} from ops.outbox order by message_id")

    def actions(self, columns: str = "kind, state, why") -> list[tuple[Any, ...]]:
        return self.execute(f"select {columns} from ops.action order by action_id")
