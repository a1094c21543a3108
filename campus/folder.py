"""Whose a folder of state is: a demo plays over one of its own, or one that is nobody's, and never beside another.

What is played there is not known here.
"""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg

from engage import postgres, warehouse
from engage.settings import Settings

MARKER = "this-is-a-demo"
STATE = ("campus", "dagster", "landing", "logs", "postgres")
"""What a demo keeps in its home, and a fresh one forgets; anything else there is not its own."""
GOES_DOWN_WITHIN_S = 10.0
"""The time a server has whose command was killed."""


class DemoError(Exception):
    """The demo cannot run over this folder; the message says what to do."""


@contextlib.contextmanager
def claimed(settings: Settings, fresh: bool) -> Iterator[None]:
    """Keep `settings.home` as a demo's while the block runs; a killed process keeps nothing.

    `fresh` forgets an earlier demo there; what is not a demo's is never touched. Raises DemoError.
    """
    home, marker = settings.home, settings.home / MARKER
    is_demo = marker.exists()
    if not is_demo:
        _must_be_nobodys(settings)
    if fresh and settings.database_url and _holds_deliveries(settings.database_url):
        raise DemoError("the database of ENGAGE_DATABASE_URL holds deliveries; the demo needs an empty one")
    try:
        home.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise DemoError(f"ENGAGE_HOME: {home}: cannot be used ({error.strerror})") from None
    in_use = DemoError(f"a demo, `make up` or another command is running over {home}; stop it or set ENGAGE_HOME")
    with marker.open() as lock:
        # Other commands start the server too, and do not lock the marker.
        if not _locks(lock) or (fresh and is_demo and _is_served(home / "postgres")):
            raise in_use
        if fresh and is_demo:
            for name in STATE:
                shutil.rmtree(home / name, ignore_errors=True)
        yield


def is_played(settings: Settings) -> bool:
    """Say whether `settings.home` is that of a demo, be it one that failed on the way."""
    return (settings.home / MARKER).exists()


def _must_be_nobodys(settings: Settings) -> None:
    """Raise DemoError unless all there is was left by commands that only looked: a warehouse without a delivery."""
    home = settings.home
    state = {name for name in STATE if (home / name).exists()}
    if not state:
        return
    somebodys = DemoError(f"{home} holds an installation that is not a demo; set ENGAGE_HOME to another folder")
    # Bytes that landed may stand in the ledger of a warehouse that we are not told of.
    if state & {"campus", "landing"} or not (settings.database_url or "postgres" in state):
        raise somebodys
    if settings.database_url and _holds_deliveries(settings.database_url):
        raise somebodys
    if "postgres" in state:
        # One that was never finished would be made anew by asking it.
        if not (home / "postgres" / "initialised").exists():
            raise somebodys
        try:
            with postgres.running(home / "postgres") as server:
                holds_deliveries = _holds_deliveries(warehouse.ensure_database(server, "engage"))
        except (postgres.PostgresError, psycopg.Error, OSError) as error:
            raise DemoError(f"{somebodys}; its database cannot be asked: {error}") from error
        if holds_deliveries:
            raise somebodys


def _holds_deliveries(url: str) -> bool:
    with warehouse.connect(url) as connection:
        if connection.execute("select to_regclass('ops.delivery')").fetchone() == (None,):
            return False
        return connection.execute("select 1 from ops.delivery limit 1").fetchone() is not None


def _is_served(cluster: Path) -> bool:
    """Say whether a server of this cluster runs and goes on running: its lock is free once nothing of it is left."""
    deadline = time.monotonic() + GOES_DOWN_WITHIN_S
    with contextlib.suppress(FileNotFoundError), (cluster / "server.lock").open() as lock:
        while not _locks(lock):
            if time.monotonic() >= deadline:
                return True
            time.sleep(0.1)
    return False


def _locks(file: IO[str]) -> bool:
    """Lock the file for this process alone, until it is closed, if nobody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
