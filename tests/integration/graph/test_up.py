"""The webserver and the daemon as a user starts and ends them: real processes, nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

QUERY = """{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name }
    sensors { name sensorState { status } } jobs { name } } } } }"""


def processes_with(marker: str) -> list[str]:
    """Return the command lines of living processes whose environment holds `marker`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_ui_loads_the_graph_and_ends_with_all_it_started(
    how: signal.Signals, home: Path, database_url: str, dagster_url: str
) -> None:
    marker = f"ENGAGE_TEST_UP={how.name}-{os.getpid()}"
    name, _, value = marker.partition("=")
    settings = {"ENGAGE_HOME": str(home), "ENGAGE_DATABASE_URL": database_url, "ENGAGE_DAGSTER_URL": dagster_url}
    environment = {**os.environ, **settings, name: value, "CAMPUS_VLE_START": "2026-10-01", "PYTHONUNBUFFERED": "1"}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "engage"), "up", "--no-campus", "--port", str(port)]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        # A test that fails would wait for ever for a process that nobody ends.
        stack.callback(process.kill)
        assert process.stdout is not None
        said = next(line for line in process.stdout if "The Dagster UI" in line)
        url = re.findall(r"http://\S+", said)[0]
        answer = httpx.post(f"{url}/graphql", json={"query": QUERY}, timeout=60, trust_env=False).json()
        (repository,) = answer["data"]["repositoriesOrError"]["nodes"]
        assert repository["location"]["name"] == "engage"
        assert {"everything", "daily_marts", "weekly_scores"} <= {job["name"] for job in repository["jobs"]}
        assert {sensor["sensorState"]["status"] for sensor in repository["sensors"]} == {"RUNNING"}
        assert len(processes_with(marker)) > 2
        process.send_signal(how)
        process.wait(60)
    deadline = time.monotonic() + 90
    while (left := processes_with(marker)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []
