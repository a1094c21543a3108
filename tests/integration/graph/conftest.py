"""A small installation of its own per test: two sources over real SFTP, a real warehouse, real Dagster storage."""

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
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
from tests.conftest import Home
from tests.databases import clone, cloned, everybody_out
from tests.integration.graph.kit import GOOD, NOW, ROSTER, SOURCES, SUITES, Installation, faults

WAREHOUSE, STORAGE = "warehouse", "dagster_test"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, new_home: Home) -> Path:
    """State that tests may share: dbt's parsed project and Dagster's logs."""
    return new_home(tmp_path_factory.mktemp("home"))


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
    """Fail the test that leaves an instance of Dagster's, or a setting, behind, not the one that stumbles over it."""
    before = {name: value for name, value in os.environ.items() if name.startswith("ENGAGE_")}
    yield
    assert {name: value for name, value in os.environ.items() if name.startswith("ENGAGE_")} == before
    gc.collect()
    dg.Definitions().get_repository_def()


def _settings(home: Path, configuration: Path, url: str, folder: Path) -> Settings:
    return Settings(
        config=configuration,
        home=home,
        database_url=url,
        landing_url=str(folder / "landing"),
        expectations=configuration / "expectations",
    )


@pytest.fixture
def settings(home: Path, configuration: Path, tmp_path: Path, database_url: str) -> Settings:
    return _settings(home, configuration, database_url, tmp_path)


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
    with cloned(postgres_url, dagster_template, STORAGE) as url:
        yield url


@contextmanager
def installed(settings: Settings, dagster_url: str, folder: Path) -> Iterator[Installation]:
    """Run an installation that is fed from `folder`/served, as it was left there or anew."""
    served = folder / "served"
    for one in SOURCES:
        (served / str(one["id"])).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        early = stack.enter_context(pytest.MonkeyPatch.context())
        early.setenv("ENGAGE_NOW", NOW.isoformat())
        early.setenv("ENGAGE_DAGSTER_URL", dagster_url)
        for name, value in stack.enter_context(sftp_server(served, folder / "keys")).items():
            early.setenv(name, value)
        run = stack.enter_context(runtime.running(replace(settings, dagster_url=dagster_url)))
        instance = stack.enter_context(dg.DagsterInstance.get())
        # Undone before the running installation ends; undone after it, it would bring back what that had set.
        late = stack.enter_context(pytest.MonkeyPatch.context())
        yield Installation(settings, run, served, build_defs(settings), instance, late)


@pytest.fixture
def installation(settings: Settings, dagster_url: str, tmp_path: Path) -> Iterator[Installation]:
    with installed(settings, dagster_url, tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def fed_once(
    postgres_url: str,
    migrated_template: str,
    dagster_template: str,
    home: Path,
    configuration: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, datetime]:
    """One good day, published and rebuilt: databases of which each test has a copy, a folder, and what time it is."""
    folder = tmp_path_factory.mktemp("fed")
    with (
        cloned(postgres_url, migrated_template, WAREHOUSE) as url,
        cloned(postgres_url, dagster_template, STORAGE) as dagster_url,
    ):
        with installed(_settings(home, configuration, url, folder), dagster_url, folder) as house:
            house.put("roster_20261009.csv", ROSTER)
            house.deliver("gates_20261009.csv", GOOD)
            results = house.tick()
            assert faults(*results) == ""
            assert [result.job_def.name for result in results] == ["ingest", "daily_marts"]
        with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
            for name in (WAREHOUSE, STORAGE):
                everybody_out(server, name)
                clone(server, name, f"fed_{name}")
    return folder, house.now


@pytest.fixture
def fed(
    postgres_url: str, fed_once: tuple[Path, datetime], home: Path, configuration: Path, tmp_path: Path
) -> Iterator[Installation]:
    """An installation that has one good day, published and rebuilt."""
    folder, now = fed_once
    for name in ("landing", "served"):
        shutil.copytree(folder / name, tmp_path / name)
    with (
        cloned(postgres_url, f"fed_{WAREHOUSE}", WAREHOUSE) as url,
        cloned(postgres_url, f"fed_{STORAGE}", STORAGE) as dagster_url,
        installed(_settings(home, configuration, url, tmp_path), dagster_url, tmp_path) as found,
    ):
        found.at(now)
        yield found


@pytest.fixture
def dagster_storage(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to what Dagster keeps of the installation, which must be named before it."""
    with connect(with_database(postgres_url, STORAGE), autocommit=True) as connection:
        yield connection
