"""What tests of the graph share: two small source files with their suites, and an installation that runs them."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from engage import runtime
from engage.settings import Settings
from engage.warehouse import connect
from orchestration import driver

NOW = datetime(2026, 10, 10, 6, tzinfo=UTC)
SECRET_NAME, SECRET_BADGE = "Zaphod-Planted-Name", "00099887766"

ROSTER = ["id,given,family,badge", *(f"S{i:03},{SECRET_NAME},Example,{SECRET_BADGE}{i:03}" for i in range(20))]
GOOD = ["badge,at", *(f"{SECRET_BADGE}{i:03},2026-10-09 10:{i:02}" for i in range(20))]


def transport(folder: str, name: str) -> dict[str, object]:
    return {
        "kind": "sftp",
        "host": "${CAMPUS_SFTP_HOST}",
        "port": "${CAMPUS_SFTP_PORT}",
        "username": "engage",
        "private_key": "${CAMPUS_SFTP_KEY}",
        "known_hosts": "${CAMPUS_SFTP_KNOWN_HOSTS}",
        "folder": folder,
        "pattern": name + r"_(?P<day>\d{8}).*\.csv",
    }


def source(name: str, **changes: object) -> dict[str, object]:
    return {
        "id": name,
        "title": f"The {name}",
        "system": "Test (systems)",
        "description": f"What {name} delivers.",
        "transport": transport(f"/{name}", name),
        "format": {"kind": "csv"},
        "owner": {"name": "Ada Example", "email": "ada@example.ac.uk"},
        "privacy": {"lawful_basis": "public task", "dpia_reference": "D-1", "retention_days": 400},
        **changes,
    }


SOURCES = [
    source(
        "roster",
        record="students",
        relation="snapshot",
        columns={
            "student_id": {"name": "id"},
            "given_name": {"name": "given"},
            "family_name": {"name": "family"},
            "badge": {"name": "badge"},
        },
    ),
    source(
        "gates",
        record="activity",
        relation="replace_days",
        category="library_access",
        identified_by="badge",
        columns={
            "student_ref": {"name": "badge"},
            "occurred_at": {"name": "at", "formats": ["%Y-%m-%d %H:%M"]},
        },
    ),
]


def rule(name: str, column: str) -> dict[str, object]:
    return {
        "type": "expect_column_values_to_be_null",
        "kwargs": {"column": column},
        "meta": {"id": name, "title": f"No row has an {column}", "weight": 2},
    }


SUITES: dict[str, list[dict[str, object]]] = {
    "roster": [rule("readable", "load_error")],
    "gates": [
        rule("readable", "load_error"),
        rule("known_student", "unknown_student"),
        rule("named_day", "unnamed_day"),
    ],
}


def faults(*results: dg.ExecuteInProcessResult) -> str:
    events = [event for result in results for event in result.all_events if event.is_step_failure]
    return "".join(str(event.step_failure_data.error) for event in events)


@dataclass
class Installation:
    """A running installation, and the folder from which it is fed."""

    settings: Settings
    run: runtime.Runtime
    served: Path
    defs: dg.Definitions
    instance: dg.DagsterInstance
    monkeypatch: pytest.MonkeyPatch
    now: datetime = NOW

    def deliver(self, name: str, lines: list[str]) -> None:
        """Put a file on the server and let the first of the two looks pass."""
        self.put(name, lines)
        self.tick()
        self.at(self.now + timedelta(minutes=1))

    def put(self, name: str, lines: list[str]) -> None:
        path = self.served / name.partition("_")[0] / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([*lines, ""]))
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))

    def at(self, now: datetime) -> None:
        self.now = now
        self.monkeypatch.setenv("ENGAGE_NOW", now.isoformat())

    def tick(self, *names: str) -> list[dg.ExecuteInProcessResult]:
        return driver.tick(self.defs, self.instance, names or None, say=lambda _: None)

    def job(self, name: str) -> dg.ExecuteInProcessResult:
        return driver.run_job(self.defs, self.instance, name, say=lambda _: None)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with connect(self.run.url) as connection:
            return connection.execute(sql.encode()).fetchall()
