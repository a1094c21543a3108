"""The embedded Postgres: stopped, killed, half made, shared, and under a folder that only its owner may enter."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from engage import postgres

STARTER = """
import os, sys, pathlib, psycopg
from engage import postgres
with postgres.running(pathlib.Path(sys.argv[1])) as url:
    with psycopg.connect(url + "/postgres") as connection:
        connection.execute("create table kept as select 7 as n")
    print("committed", flush=True)
    sys.stdin.read()
"""


def server_of(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kept(folder: Path) -> object:
    with postgres.running(folder) as url, psycopg.connect(f"{url}/postgres") as connection:
        return connection.execute("select n from kept").fetchone()


@pytest.mark.parametrize("victim", ["starter", "server"])
def test_what_was_committed_survives_a_kill(tmp_path: Path, victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "committed\n"
        server = server_of(tmp_path)
        os.kill(process.pid if victim == "starter" else server, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while is_alive(server):
            assert time.monotonic() < deadline, "the server outlived its starter"
            time.sleep(0.05)
        process.kill()
    assert kept(tmp_path) == (7,)


def test_it_stops_with_its_starter_and_not_with_a_guest(tmp_path: Path) -> None:
    with postgres.running(tmp_path) as url:
        with postgres.running(tmp_path) as again:
            assert again == url
        server = server_of(tmp_path)
        with psycopg.connect(f"{url}/postgres") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert not is_alive(server)


def test_a_cluster_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "password").write_text("half")
    with postgres.running(tmp_path) as url, psycopg.connect(f"{url}/postgres") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_programs_and_data_may_lie_where_only_the_owner_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bin").symlink_to(postgres.find_binaries(), target_is_directory=True)
    monkeypatch.setenv("ENGAGE_POSTGRES_BIN", str(closed / "bin"))
    with postgres.running(closed / "cluster") as url, psycopg.connect(f"{url}/postgres") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    with postgres.running(tmp_path) as url:
        wrong = url.replace(url.split(":")[2].split("@")[0], "guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"{wrong}/postgres")
