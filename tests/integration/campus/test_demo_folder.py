"""Over which folders a demo plays: its own, once at a time, and those that hold nothing of anybody's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from campus import demo, folder
from campus.folder import DemoError
from engage import postgres, runtime, warehouse
from engage.settings import Settings

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
