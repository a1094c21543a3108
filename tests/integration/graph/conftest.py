"""A small installation of its own per test: two sources over real SFTP, a real warehouse, real Dagster storage."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from campus.servers import sftp_server
from engage import runtime
from engage.settings import PROJECT, Settings
from engage.warehouse import connect, with_database
from orchestration.definitions import build_defs
from tests.integration.graph.kit import NOW, SOURCES, SUITES, Installation


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


@pytest.fixture(autouse=True)
def nothing_left_in_dagster() -> Iterator[None]:
    """Fail the test that leaves an instance behind in Dagster's global state, not the one that stumbles over it."""
    yield
    gc.collect()
    dg.Definitions().get_repository_def()


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
