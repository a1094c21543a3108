"""Over which folders a demo plays: its own, once at a time, and those that hold nothing of anybody's."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from campus import commands, demo, folder
from campus.folder import DemoError
from engage import postgres, runtime, warehouse
from engage.settings import PROJECT, Settings

DELIVERY = """
insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)
values ('a', 'b', 'c', 1, now(), 'd', now())
"""
HOLD = """
import time
from campus import folder
from engage.settings import Settings
with folder.claimed(Settings.from_environment(), fresh=False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("ENGAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENGAGE_HOME", str(tmp_path / "home"))
    return Settings.from_environment()


def refused(settings: Settings, fresh: bool = True) -> str:
    """Return why a demo does not play there."""
    with pytest.raises(DemoError) as error, demo.delivering(settings, fresh):
        pass
    return str(error.value)


def test_a_demo_that_runs_keeps_its_folder_until_it_is_killed(settings: Settings) -> None:
    kept = settings.home / "landing" / "kept"
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            kept.parent.mkdir()
            kept.touch()
            for fresh in (True, False):
                assert "is running over" in refused(settings, fresh)
            assert kept.exists()
        finally:
            holder.kill()
    with folder.claimed(settings, fresh=True):
        assert not kept.exists()


def test_what_a_reading_command_left_may_become_a_demo_unless_it_holds_deliveries(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runtime.running(settings):
        pass
    marker, made = settings.home / folder.MARKER, settings.home / "postgres" / "initialised"
    with folder.claimed(settings, fresh=True):
        assert made.exists()
    marker.unlink()
    with postgres.running(settings.home / "postgres") as server:
        with warehouse.connect(f"{server}/engage") as connection:
            connection.execute(DELIVERY)
        assert "not a demo" in refused(settings)
        assert not marker.exists()
        # It is a demo's, but a command is at work in it.
        marker.touch()
        monkeypatch.setattr(folder, "GOES_DOWN_WITHIN_S", 0.0)
        assert "is running over" in refused(settings)
        assert made.exists()


@pytest.mark.parametrize("state", ["postgres", "landing", "dagster"])
def test_what_cannot_be_asked_is_somebodys(settings: Settings, state: str) -> None:
    (settings.home / state).mkdir(parents=True)
    assert "not a demo" in refused(settings)
    assert [entry.name for entry in settings.home.iterdir()] == [state]


def test_a_home_that_is_no_folder_is_named(settings: Settings) -> None:
    settings.home.touch()
    assert refused(settings) == f"ENGAGE_HOME: {settings.home}: cannot be used (File exists)"


def test_a_server_that_does_not_start_is_somebodys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    data = settings.home / "postgres" / "data"
    data.mkdir(parents=True)
    (settings.home / "postgres" / "initialised").touch()
    (settings.home / "postgres" / "password").touch()
    monkeypatch.setenv("ENGAGE_POSTGRES_BIN", str(settings.home / "nowhere"))
    assert "cannot be asked" in refused(settings)
    assert data.exists()


@pytest.mark.parametrize(("command", "words"), [(commands.up, ["--no-campus"]), (commands.oulad, ["."])])
def test_nothing_else_is_delivered_into_the_home_of_a_demo(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, command: click.Command, words: list[str]
) -> None:
    with folder.claimed(settings, fresh=True):
        pass
    monkeypatch.setenv("ENGAGE_CONFIG", str(PROJECT / "config" / "profiles" / "oulad"))
    # Nobody answers there: a command that is not refused ends all the same.
    monkeypatch.setenv("ENGAGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    before = sorted(settings.home.rglob("*"))
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 1
    assert "holds a demo" in done.output
    assert sorted(settings.home.rglob("*")) == before
    # Nor does the demo itself pull from anybody but the campus.
    assert "unset ENGAGE_CONFIG" in refused(Settings.from_environment(), fresh=False)


def test_no_demo_begins_beside_an_installation_that_waits_for_its_first_delivery(
    settings: Settings, database_url: str
) -> None:
    elsewhere = replace(settings, database_url=database_url)
    with folder.installed(elsewhere), folder.installed(elsewhere):
        assert "is running over" in refused(elsewhere)
    assert not folder.is_played(settings)


def test_no_demo_begins_beside_a_server_without_a_delivery(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "GOES_DOWN_WITHIN_S", 0.0)
    with runtime.running(settings):
        assert "is running over" in refused(settings)
    assert not folder.is_played(settings)


def test_a_demo_that_begins_anew_forgets_the_one_before(settings: Settings) -> None:
    with folder.claimed(settings, fresh=True), postgres.running(settings.home / "postgres") as server:
        warehouse.ensure_database(server, "engage")
    with folder.claimed(settings, fresh=False):
        assert (settings.home / "postgres" / "initialised").exists()
    with folder.claimed(settings, fresh=True):
        assert {file.suffix for file in (settings.home / "postgres").iterdir()} == {".lock"}
