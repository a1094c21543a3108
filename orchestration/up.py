"""Dagster's webserver and daemon as children of this process: started, waited for, and stopped with all they started.

Nothing about what they run. The UI has no authentication, so it listens on loopback only.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx

from engage import dbt
from engage.runtime import Runtime
from engage.settings import PROJECT
from orchestration.driver import close_orphans

STARTS_WITHIN_S = 120
ENDS_WITHIN_S = 15
_PR_SET_PDEATHSIG = 1


class ServiceError(Exception):
    """The webserver or the daemon did not start, or ended; the message names its log."""


@dataclass(frozen=True)
class Services:
    """The running webserver and daemon."""

    url: str
    processes: dict[str, "subprocess.Popen[bytes]"]
    logs: Path
    stop: threading.Event

    def wait(self, seconds: float) -> bool:
        """Wait; return True once Ctrl-C or SIGTERM asked for the end. Raises ServiceError when a service has died."""
        asked = self.stop.wait(seconds)
        for name, process in self.processes.items():
            if not asked and process.poll() is not None:
                raise ServiceError(f"{name} ended with code {process.returncode}; see {self.logs / (name + '.log')}")
        return asked


@contextlib.contextmanager
def services(run: Runtime, port: int = 3000) -> Iterator[Services]:
    """Start webserver and daemon for a running installation, yield when the UI answers, stop them on leaving.

    To be called in the main thread. Logs go to `<home>/logs`. Raises ServiceError.
    """
    # Parsed once here, not by two processes at the same time.
    dbt.parse(run.home)
    with dg.DagsterInstance.get() as instance:
        close_orphans(instance, every=True)
    logs = run.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    workspace = ["--workspace", str(PROJECT / "workspace.yaml")]
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        commands = {
            "dagster-webserver": ["--host", "127.0.0.1", "--port", str(port), *workspace],
            "dagster-daemon": ["run", *workspace],
        }
        processes = {name: stack.enter_context(_child(name, words, logs)) for name, words in commands.items()}
        running = Services(f"http://127.0.0.1:{port}", processes, logs, stop)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not _answers(running.url) and not running.wait(0.5):
            if time.monotonic() > deadline:
                raise ServiceError(f"the UI does not answer; see {logs / 'dagster-webserver.log'}")
        yield running


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set, also where a script's `&` had SIGINT ignored."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _child(name: str, words: list[str], logs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of Dagster's programs in a process group of its own; end the whole group on leaving."""
    program = Path(sys.executable).parent / name
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program), *words], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=_die_with_parent(),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_WITHIN_S)
        # Code servers and runs are in its group; a run may be killed anywhere.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child does before exec, so that the kernel ends it should we be killed (Linux only)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) and None
