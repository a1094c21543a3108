"""Whose a folder of state is: a demo plays over one of its own, or one that is nobody's, and never beside another.

What is played there is not known here.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg

from engage import postgres, warehouse
from engage.settings import PROJECT, Settings

MARKER = "this-is-a-demo"
STATE = ("campus", "dagster", "landing", "logs", "outbox", "postgres", "reports", "subject-access")
"""What a demo keeps in its home, and a fresh one forgets; anything else there is not its own."""
GOES_DOWN_WITHIN_S = 10.0
"""The time a server has whose command was killed."""


class DemoError(Exception):
    """The demo cannot run over this folder, or something else cannot over a demo's; the message says what to do."""


@contextlib.contextmanager
def claimed(settings: Settings, fresh: bool) -> Iterator[None]:
    """Keep `settings.home` as a demo's while the block runs; a killed process keeps nothing.

    `fresh` forgets an earlier demo there; what is not a demo's is never touched. Raises DemoError.
    """
    # What an institution's own sources delivered must not lie where the next demo forgets it.
    if settings.config.resolve() != (PROJECT / "config").resolve():
        raise DemoError("the demo has a configuration of its own: unset ENGAGE_CONFIG, or use `engage up --no-campus`")
    home = settings.home
    with _held(home, fcntl.LOCK_EX):
        is_demo = is_played(settings)
        if not is_demo:
            _must_be_nobodys(settings)
        if fresh and settings.database_url and _holds_deliveries(settings.database_url):
            raise DemoError("the database of ENGAGE_DATABASE_URL holds deliveries; the demo needs an empty one")
        if fresh or not is_demo:
            try:
                # Commands that do not hold the home start the server too.
                with postgres.stopped(home / "postgres", GOES_DOWN_WITHIN_S):
                    (home / MARKER).touch()
                    if is_demo:
                        _forget(home)
            except postgres.PostgresError:
                raise _in_use(home) from None
            except OSError as error:
                raise _unusable(home, error) from None
        yield


@contextlib.contextmanager
def installed(settings: Settings) -> Iterator[None]:
    """Keep `settings.home` from becoming a demo's while the block runs. Raises DemoError where it is one."""
    with _held(settings.home, fcntl.LOCK_SH):
        if is_played(settings):
            raise DemoError(
                f"{settings.home} holds a demo, and the next `make demo` would forget all that came since; "
                "remove the folder or set ENGAGE_HOME to another"
            )
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


@contextlib.contextmanager
def _held(home: Path, how: int) -> Iterator[None]:
    """Lock the folder itself, so that nothing is left in one that is somebody else's."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = os.open(home, os.O_RDONLY)
    except OSError as error:
        raise _unusable(home, error) from None
    try:
        if not postgres.is_free(folder, how):
            raise _in_use(home)
        yield
    finally:
        os.close(folder)


def _forget(home: Path) -> None:
    postgres.empty(home / "postgres")
    for name in set(STATE) - {"postgres"}:
        shutil.rmtree(home / name, ignore_errors=True)


def _in_use(home: Path) -> DemoError:
    return DemoError(f"a demo, `make up` or another command is running over {home}; stop it or set ENGAGE_HOME")


def _unusable(home: Path, error: OSError) -> DemoError:
    return DemoError(f"ENGAGE_HOME: {home}: cannot be used ({error.strerror})")
