"""Whose a folder of state is: a demo plays over one of its own, or one that is nobody's, and never beside another.

What is played there is not known here.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
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
    home.mkdir(parents=True, exist_ok=True)
    in_use = DemoError(f"a demo, `make up` or another command is running over {home}; stop it or set ENGAGE_HOME")
    with marker.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use from None
        if fresh and is_demo:
            # Other commands start the server too, and hold no lock.
            if _is_served(home.absolute() / "postgres" / "data"):
                raise in_use
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


def _is_served(data: Path) -> bool:
    """Say whether a server of this cluster runs and goes on running."""
    deadline = time.monotonic() + GOES_DOWN_WITHIN_S
    while True:
        try:
            process = int((data / "postmaster.pid").read_text().split()[0])
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return False
        # The number of a process that ended may have become another's.
        if os.fsencode(data) not in command:
            return False
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.1)
