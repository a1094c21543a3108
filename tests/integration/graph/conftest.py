"""A small installation of its own per test: two sources over real SFTP, a real warehouse, real Dagster storage."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from campus.servers import sftp_server
from engage import runtime
from engage.settings import PROJECT, Settings
from engage.warehouse import connect, with_database
from orchestration import driver
from orchestration.definitions import build_defs

NOW = datetime(2026, 10, 10, 6, tzinfo=UTC)
SECRET_NAME, SECRET_BADGE = "Zaphod-Planted-Name", "00099887766"


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


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State that tests may share: dbt's parsed project and Dagster's logs."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration")
    (folder / "scoring.yaml").write_bytes((PROJECT / "config" / "scoring.yaml").read_bytes())
    (folder / "sources").mkdir()
    (folder / "expectations").mkdir()
    for one in SOURCES:
        (folder / "sources" / f"{one['id']}.yaml").write_text(yaml.safe_dump(one))
    for name, rules in SUITES.items():
        content = {"description": name, "expectations": rules}
        (folder / "expectations" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def settings(home: Path, configuration: Path, tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        config=configuration,
        home=home,
        database_url=database_url,
        landing_url=str(tmp_path / "landing"),
        expectations=configuration / "expectations",
    )


@pytest.fixture(scope="session")
def dagster_template(postgres_url: str, home: Path) -> str:
    """Name of a database with Dagster's empty tables, which take seconds to make."""
    name = "dagster_template"
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(f"create database {name}".encode())
    storage = {"postgres_url": with_database(postgres_url, name).replace("postgresql://", "postgresql+psycopg2://")}
    (home / "template").mkdir()
    (home / "template" / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"postgres": storage}}))
    with dg.DagsterInstance.from_config(str(home / "template")) as instance:
        instance.get_run_records(limit=1)
        instance.daemon_cursor_storage.get_cursor_values({"nothing"})
    return name


@pytest.fixture
def dagster_url(postgres_url: str, dagster_template: str) -> Iterator[str]:
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(f"create database dagster_test template {dagster_template}".encode())
        yield with_database(postgres_url, "dagster_test")
        server.execute(b"drop database dagster_test with (force)")


@pytest.fixture
def installation(
    settings: Settings, dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    monkeypatch.setenv("ENGAGE_NOW", NOW.isoformat())
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", dagster_url)
    served = tmp_path / "served"
    for one in SOURCES:
        (served / str(one["id"])).mkdir(parents=True)
    with ExitStack() as stack:
        for name, value in stack.enter_context(sftp_server(served, tmp_path / "keys")).items():
            monkeypatch.setenv(name, value)
        run = stack.enter_context(runtime.running(replace(settings, dagster_url=dagster_url)))
        instance = stack.enter_context(dg.DagsterInstance.get())
        yield Installation(settings, run, served, build_defs(settings), instance, monkeypatch)


@pytest.fixture
def dagster_storage(dagster_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with connect(dagster_url, autocommit=True) as connection:
        yield connection
