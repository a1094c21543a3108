"""A gate to send files through: sources and suites, a landing store in a folder, a ledger filled by hand."""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import yaml

from engage.batches import BatchOutcome, process_pending
from engage.sources import Source
from engage.suites import Suite, load_suite

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONNECTION = "postgresql"
READABLE = {
    "type": "expect_column_values_to_be_null",
    "kwargs": {"column": "load_error"},
    "meta": {"id": "readable", "title": "Every row can be read", "weight": 2},
}
KNOWN = {
    "type": "expect_column_values_to_be_null",
    "kwargs": {"column": "unknown_student", "mostly": 0.5},
    "severity": "critical",
    "meta": {"id": "known_student", "title": "Every row names a known student"},
}
NAMED = {
    "type": "expect_column_values_to_be_null",
    "kwargs": {"column": "unnamed_day"},
    "meta": {"id": "named_day", "title": "Every row lies on a day that the file names"},
}
PAST = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "seconds_ahead", "max_value": 3600},
    "meta": {"id": "not_in_the_future", "title": "No row lies in the future"},
}
BASE: dict[str, Any] = {
    "title": "Test",
    "system": "Test",
    "description": "Test",
    "transport": {"kind": "file_drop", "folder": "drop", "pattern": ".*"},
    "owner": {"name": "Ada", "email": "ada@example.ac.uk"},
    "privacy": {"lawful_basis": "public task", "dpia_reference": "DPIA-1", "retention_days": 365},
}
ATTENDANCE = BASE | {
    "id": "attendance",
    "record": "attendance",
    "relation": "replace_days",
    "category": "attendance",
    "format": {"kind": "csv"},
    "columns": {
        "event_id": {"name": "Event Id"},
        "student_ref": {"name": "Student Number"},
        "starts_at": {"name": "Session Start", "formats": ["%d/%m/%Y %H:%M"]},
        "session_type": {"name": "Session Type"},
        "mandatory": {"name": "Mandatory"},
        "attended": {"name": "Attended"},
    },
}
EVENTS = BASE | {
    "id": "vle",
    "record": "activity",
    "relation": "append",
    "category": "vle",
    "identified_by": "username",
    "format": {"kind": "jsonl"},
    "columns": {
        "event_id": {"name": "id"},
        "student_ref": {"name": "user.username"},
        "occurred_at": {"name": "time", "formats": ["iso8601"]},
        "resource_type": {"name": "component"},
    },
    "drop": [{"column": "real_user", "not_null": True, "reason": "somebody else was logged in as the student"}],
}
STUDENTS = BASE | {
    "id": "students",
    "record": "students",
    "relation": "snapshot",
    "format": {"kind": "csv"},
    "columns": {
        "student_id": {"name": "student_id"},
        "given_name": {"name": "given_name"},
        "username": {"name": "username"},
        "badge": {"name": "badge"},
    },
}


class Gate:
    """One warehouse with a landing store."""

    def __init__(self, url: str, store: Path) -> None:
        self.url = url
        self.store = store
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
        self.execute("insert into ops.config_version values ('v', '{}', now())")
        self.execute(
            "insert into ops.scoring_parameter values (default, 'v', 'Europe/London', '{1}', 5, 4, 30, 10, .5, 80, 3,"
            " 'normal_scores', 'exclude', 2, 3)"
        )

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def source(self, content: dict[str, Any]) -> Source:
        return Source.model_validate(content)

    def suite(self, source: Source, *rules: dict[str, Any]) -> Suite:
        """The suite of the given rules and those that every such source needs."""
        needed = [READABLE] + [KNOWN] * source.kind.names_student + [NAMED] * (source.relation == "replace_days")
        folder = self.store.parent / "expectations"
        folder.mkdir(exist_ok=True)
        content = {"description": "Test", "expectations": [*needed, *rules]}
        (folder / f"{source.id}.yaml").write_text(yaml.safe_dump(content))
        return load_suite(folder, source)

    def deliver(
        self,
        source: Source,
        content: bytes,
        name: str = "file.csv",
        day: date | None = date(2026, 10, 1),
        version_at: datetime = datetime(2026, 11, 1, tzinfo=UTC),
        window: tuple[datetime, datetime] | None = None,
        last_day: date | None = None,
    ) -> int:
        """Put bytes into the landing store and a row into the ledger, as landing does."""
        digest = hashlib.sha256(content).hexdigest()
        path = f"{source.id}/{digest}"
        (self.store / source.id).mkdir(parents=True, exist_ok=True)
        (self.store / path).write_bytes(content)
        ((delivery_id,),) = self.execute(
            "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, window_start, window_end,"
            " first_day, last_day, landed_path, landed_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " returning delivery_id",
            [
                source.id,
                digest,
                name,
                len(content),
                version_at,
                *(window or (None, None)),
                day,
                last_day or day,
                path,
                NOW,
            ],
        )
        return int(delivery_id)

    def process(self, source: Source, suite: Suite | None = None) -> list[BatchOutcome]:
        return process_pending(self.url, source, suite or self.suite(source), str(self.store), NOW)

    def know(self, *students: str, kind: str = "student_id") -> None:
        """Make references known, as student `s-<reference>`."""
        for ref in students:
            self.execute(
                "insert into pii.identity values (%s, %s, %s, '0001-01-01', '9999-12-31')", [kind, ref, f"s-{ref}"]
            )

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that readers can see, with batches named by what they were made from and without times of day."""
        named = "(select d.content_hash || d.name from ops.batch inner join ops.delivery as d using (delivery_id)"
        named += " where batch_id = t.batch_id)"
        queries = {
            "activity": f"select {named}, source_id, activity_date, row_number, event_id, student_id, occurred_at,"
            " resource_type, quantity from raw.activity as t",
            "attendance": f"select {named}, source_id, activity_date, row_number, event_id, student_id, starts_at,"
            " is_attended from raw.attendance as t",
            "students": f"select {named}, source_id, as_of_date, row_number, student_id from raw.students as t",
            "identity": "select * from pii.identity",
            "people": "select * from pii.student",
            "coverage": "select source_id, day, is_complete from ops.coverage",
            "quarantine": f"select {named}, row_number, rule_id from quarantine.row as t where state = 'quarantined'",
            "batches": f"select {named}, state from ops.batch as t",
            "days": f"select {named}, day, is_covered, is_current from ops.batch_day as t",
        }
        return {name: sorted(self.execute(query), key=repr) for name, query in queries.items()}

    def forget(self) -> None:
        """Empty the warehouse but for its configuration."""
        self.execute(
            "truncate ops.delivery, ops.sighting, ops.batch, ops.decision, ops.rule_result, ops.batch_day,"
            " ops.touched_day, raw.activity, raw.attendance, raw.students, quarantine.row, pii.student, pii.identity,"
            " pii.identity_sighting"
        )
