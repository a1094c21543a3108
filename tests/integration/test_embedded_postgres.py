"""The embedded Postgres: stopped, killed, half made, shared, and under a folder that only its owner may enter."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engage import postgres
from engage.settings import PROJECT

STARTER = """
import os, sys, pathlib, psycopg
from engage import postgres
with postgres.running(pathlib.Path(sys.argv[1])) as url:
    with psycopg.connect(url + "/postgres") as connection:
        connection.execute("create table kept as select 7 as n")
    print("committed", flush=True)
    sys.stdin.read()
"""

USER = """
import sys, pathlib, psycopg
from engage import postgres
print("starting", flush=True)
with postgres.running(pathlib.Path(sys.argv[1])) as url, psycopg.connect(url + "/postgres") as old:
    print("up", flush=True)
    for _ in sys.stdin:
        with psycopg.connect(url + "/postgres") as new:
            print(old.execute("select 1").fetchone() == new.execute("select 1").fetchone(), flush=True)
"""


@contextlib.contextmanager
def user(folder: Path, until: str = "up") -> Iterator["subprocess.Popen[str]"]:
    """A process, `starting` or `up`, that uses the server and answers a line with `True` until its input ends."""
    words = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "starting\n"
            assert until == "starting" or process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def is_served(process: "subprocess.Popen[str]") -> bool:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline() == "True\n"


def end(process: "subprocess.Popen[str]", how: str) -> None:
    assert process.stdin is not None
    if how == "killed":
        process.kill()
    else:
        process.stdin.close()
    assert process.wait(timeout=30) == (-signal.SIGKILL if how == "killed" else 0)


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "something is left running"
        time.sleep(0.02)


def keeper_of(server: int) -> int:
    return int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that is made once; every test that uses it finds it stopped and leaves it so."""
    return tmp_path_factory.mktemp("shared")


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


def test_the_page_tells_of_every_setting_that_keeps_rows_out_of_a_log() -> None:
    said = (PROJECT / "docs" / "operate.md").read_text()
    for name, value in postgres.SERVER_OPTIONS.items():
        assert not name.startswith("log_") or f"alter system set {name} = '{value}';" in said


@pytest.mark.parametrize("victim", ["starter", "keeper", "server"])
def test_what_was_committed_survives_a_kill(tmp_path: Path, victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "committed\n"
        server = server_of(tmp_path)
        keeper = keeper_of(server)
        os.kill({"starter": process.pid, "keeper": keeper, "server": server}[victim], signal.SIGKILL)
        wait_until_gone(server, keeper)
        process.kill()
    assert kept(tmp_path) == (7,)


def test_it_stops_with_its_last_user(shared: Path) -> None:
    with postgres.running(shared) as url:
        server = server_of(shared)
        keeper = keeper_of(server)
        with postgres.running(shared) as again:
            assert again == url
        with psycopg.connect(f"{url}/postgres") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert not is_alive(server)
    assert not is_alive(keeper)


@pytest.mark.parametrize("how", ["leaves", "killed"])
@pytest.mark.parametrize("first", ["starter", "guest"])
def test_whoever_is_left_keeps_the_server_and_nobody_leaves_it_running(shared: Path, first: str, how: str) -> None:
    with user(shared) as starter, user(shared) as guest:
        server = server_of(shared)
        keeper = keeper_of(server)
        leaving, staying = (starter, guest) if first == "starter" else (guest, starter)
        end(leaving, how)
        time.sleep(0.1)  # A stop takes a third of that.
        assert is_served(staying)
        end(staying, how)
        if how == "leaves":
            assert not is_alive(server), "it left before the server had stopped"
        wait_until_gone(server, keeper)


@pytest.mark.parametrize(("until", "pause"), [("starting", 0.02), ("starting", 0.06), ("up", 0), ("up", 0.01)])
def test_who_comes_after_one_that_was_killed_is_served(shared: Path, until: str, pause: float) -> None:
    with user(shared, until) as starter:
        time.sleep(pause)
        end(starter, "killed")
        time.sleep(pause)
        with postgres.running(shared) as url, psycopg.connect(f"{url}/postgres") as connection:
            time.sleep(0.1)  # A stop takes a third of that.
            assert connection.execute("select 1").fetchone() == (1,)
            server = server_of(shared)
    assert not is_alive(server)


def test_starts_race_with_stops(shared: Path) -> None:
    served, servers = [], set()

    def come_and_go(pause: float) -> None:
        for _ in range(8):
            with postgres.running(shared) as url, psycopg.connect(f"{url}/postgres") as connection:
                time.sleep(pause)
                served.append(connection.execute("select 1").fetchone())
                servers.add(server_of(shared))

    # As daemons: a deadlock must not keep the test run from ending.
    users = [threading.Thread(target=come_and_go, args=[pause], daemon=True) for pause in (0, 0.01, 0.03)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in users), "they wait for each other"
    assert served == [(1,)] * 24
    assert not any(is_alive(server) for server in servers)


def test_users_of_a_folder_that_was_removed_do_not_wait_for_those_of_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    with user(folder) as old:
        server = server_of(folder)
        shutil.rmtree(folder)
        with user(folder) as new:
            assert old.stdin is not None
            old.stdin.close()
            time.sleep(0.1)
            assert is_served(new)
            end(new, "leaves")
        assert old.wait(timeout=90) == 0
        assert not is_alive(server)


def test_who_comes_while_a_cluster_is_emptied_is_served_by_the_next(shared: Path) -> None:
    in_use = pytest.raises(postgres.PostgresError, match="in use")
    with postgres.running(shared), in_use, postgres.stopped(shared, within_s=0.05):
        raise AssertionError("a server is there")
    with postgres.stopped(shared, within_s=0), contextlib.ExitStack() as stack:
        guest = stack.enter_context(user(shared, "starting"))
        time.sleep(0.1)
        postgres.empty(shared)
        assert not (shared / "initialised").exists()
        later = stack.pop_all()
    with later:
        assert guest.stdout is not None
        assert guest.stdout.readline() == "up\n"
        assert is_served(guest)
        end(guest, "leaves")


def test_a_cluster_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "password").write_text("half")
    with postgres.running(tmp_path) as url, psycopg.connect(f"{url}/postgres") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_who_comes_while_the_initdb_of_a_killed_one_still_runs_is_served(tmp_path: Path) -> None:
    with user(tmp_path, "starting") as starter:
        while not (tmp_path / "data" / "base").exists():
            time.sleep(0.005)
        end(starter, "killed")
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


def test_a_password_is_asked_for(shared: Path) -> None:
    with postgres.running(shared) as url:
        wrong = url.replace(url.split(":")[2].split("@")[0], "guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"{wrong}/postgres")
