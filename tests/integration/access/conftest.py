"""An installation with logins of its own, from the command line."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from engage import access, configuration
from engage.cli import main
from engage.settings import PROJECT
from engage.sources import load_sources
from engage.warehouse import connect

NOW = datetime(2090, 6, 1, 12, tzinfo=UTC)
LOGINS = ("power_bi", "ada_king", "head_of_law", "visa_desk")
Connection = psycopg.Connection[tuple[object, ...]]
Engage = Callable[..., tuple[object, str, str]]


@pytest.fixture
def owner(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection of the owner, who commits at once, to an installation on the 1st of June 2090."""
    for name, value in {
        "ENGAGE_DATABASE_URL": database_url,
        "ENGAGE_DAGSTER_URL": database_url,
        "ENGAGE_HOME": str(tmp_path / "home"),
        "ENGAGE_NOW": NOW.isoformat(),
        "ENGAGE_USER": "Grace",
    }.items():
        monkeypatch.setenv(name, value)
    with connect(database_url, autocommit=True) as connection:
        config = PROJECT / "config"
        configuration.sync(connection, config, load_sources(config), NOW)
        for login in LOGINS:
            connection.execute(f"create role {login} login password 'x'")
        yield connection
        for login in LOGINS:
            connection.execute(f"drop owned by {login}")
            connection.execute(f"drop role {login}")


@pytest.fixture
def engage(owner: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engage:
    """Return a function that runs `engage access WORDS` and returns exit code, output and errors."""

    def run(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["engage", "access", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    access.apply(owner)
    return run
