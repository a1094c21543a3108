"""What tests of every room share: a real Postgres for the session, and a migrated database of its own per test."""

import fcntl
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from engage import dbt
from engage.postgres import running
from engage.warehouse import connect, ensure_database, migrate
from tests.databases import cloned

_TEMPLATE = "engage_template"


def pytest_collection_finish() -> None:
    """What is imported by now stays for ever: the collector need not walk over it again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What no test gave a home lands here: an installation left in the checkout would stop the next `make demo`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGAGE_HOME", str(tmp_path_factory.mktemp("nobodys_home")))
        yield


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that is fast because it forgets on power failure."""
    unsafe = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with running(tmp_path_factory.mktemp("postgres"), unsafe) as url:
        yield url


Home = Callable[[Path], Path]


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Makes a folder that does not exist yet a home in which the dbt project is parsed: once for all processes."""
    base = tmp_path_factory.getbasetemp()
    first = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "parsed"
    first.mkdir(exist_ok=True)
    with (first / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        dbt.parse(first)

    def make(home: Path) -> Path:
        shutil.copytree(first / "dbt", home / "dbt")
        return home

    return make


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """Name of the database that every test's own is cloned from; nobody may stay connected to it."""
    migrate(ensure_database(postgres_url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of an own, migrated and empty warehouse. Always the same name, so that what is parsed once stays valid."""
    with cloned(postgres_url, migrated_template, "warehouse") as url:
        yield url


@pytest.fixture
def warehouse(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An open connection to `database_url`."""
    with connect(database_url) as connection:
        yield connection
