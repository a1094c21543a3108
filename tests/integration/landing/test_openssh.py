"""The faults of a file server against a real OpenSSH server (asyncssh's where none is installed): nothing lost, nothing
doubled, nothing read from a server that is not the one we know. The same faults in more variety: test_landing_sftp.py.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engage.connectors import AccessError, TransportError
from engage.landing import land, look
from engage.sources import Source
from engage.warehouse import Connection
from tests.integration.landing.kit import LATER, NOW, make_source, settle_and_land
from tests.openssh import Ssh


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    server = Ssh(tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("keys"))
    with server.running():
        yield server


@pytest.fixture
def source(ssh: Ssh) -> Source:
    shutil.rmtree(ssh.root, ignore_errors=True)
    ssh.root.mkdir()
    return source_on(ssh)


def source_on(ssh: Ssh, **changes: Any) -> Source:
    transport = {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": ssh.port,
        "username": ssh.user,
        "private_key": "${TEST_SSH_KEY}",
        "known_hosts": str(ssh.known_hosts),
        "folder": ssh.folder,
        "pattern": r"gate_(?P<day>\d{8}).*\.csv",
    }
    os.environ["TEST_SSH_KEY"] = str(ssh.keys / "client_key")
    return make_source(transport | changes)


def put(ssh: Ssh, name: str, content: bytes = b"a\n", at: float = NOW.timestamp()) -> Path:
    path = ssh.root / name
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def test_two_files_of_one_second_the_same_bytes_again_and_a_renamed_file_count_once(
    warehouse: Connection, ssh: Ssh, source: Source, store: str
) -> None:
    put(ssh, "gate_20261001.csv", b"first\n")
    put(ssh, "gate_20261002.csv", b"second\n")
    assert len(settle_and_land(warehouse, source, store).landed) == 2
    put(ssh, "gate_20261001.csv", b"first\n").rename(ssh.root / "gate_20261001_loaded.csv")
    put(ssh, "gate_20261002_again.csv", b"second\n")
    put(ssh, "gate_20261003.csv", b"third\n")
    report = settle_and_land(warehouse, source, store)
    assert ([delivery.name for delivery in report.landed], report.duplicates) == (["gate_20261003.csv"], 2)


def test_a_growing_file_and_one_replaced_while_it_is_read_wait_for_the_next_look(
    warehouse: Connection, ssh: Ssh, source: Source, store: str
) -> None:
    path = put(ssh, "gate_20261001.csv", b"half")
    look(warehouse, source, NOW)
    put(ssh, path.name, b"half and half\n")
    assert land(warehouse, source, store, LATER).waiting == 1
    big = b"x" * 8_000_000
    put(ssh, path.name, big)
    look(warehouse, source, LATER)
    stop = threading.Event()

    def replace_for_ever() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            other = put(ssh, "other", big[:-8] + f"{number:08}".encode(), NOW.timestamp() + number)
            other.replace(path)

    meddler = threading.Thread(target=replace_for_ever)
    meddler.start()
    landed = land(warehouse, source, store, LATER + timedelta(seconds=10)).landed
    stop.set()
    meddler.join()
    assert landed == []
    whole = put(ssh, path.name, big + b"\n").read_bytes()
    (delivery,) = settle_and_land(warehouse, source, store).landed
    assert (Path(store) / delivery.landed_path).read_bytes() == whole


def test_another_host_key_reads_nothing_and_names_the_command(
    warehouse: Connection, tmp_path: Path, store: str
) -> None:
    server = Ssh(tmp_path / "served", tmp_path)
    server.root.mkdir()
    put(server, "gate_20261001.csv")
    with server.running():
        assert len(look(warehouse, source_on(server), NOW)) == 0
    server.change_host_key()
    with server.running():
        with pytest.raises(AccessError, match="run `engage source trust gate` after"):
            land(warehouse, source_on(server), store, LATER)
        assert warehouse.execute("select count(*) from ops.delivery").fetchall() == [(0,)]
        shutil.copy(tmp_path / "host_key.pub", server.known_hosts)
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.known_hosts.read_text()}")
        assert len(land(warehouse, source_on(server), store, LATER).landed) == 1


def test_a_server_that_goes_away_loses_nothing(warehouse: Connection, tmp_path: Path, store: str) -> None:
    server = Ssh(tmp_path / "served", tmp_path)
    server.root.mkdir()
    for day in range(1, 4):
        put(server, f"gate_2026100{day}.csv", f"{day}\n".encode())
    with server.running():
        look(warehouse, source_on(server), NOW)
        assert len(land(warehouse, source_on(server), store, LATER, limit=1).landed) == 1
    with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
        land(warehouse, source_on(server), store, LATER)
    with server.running():
        assert len(land(warehouse, source_on(server), store, LATER).landed) == 2


def test_a_key_that_is_refused_and_a_folder_that_is_not_there_say_what_to_do(
    warehouse: Connection, ssh: Ssh, source: Source
) -> None:
    with pytest.raises(AccessError, match=r"folder .* is missing"):
        look(warehouse, source_on(ssh, folder="/not/there"), NOW)
    stranger = ssh.keys / "stranger"
    shutil.copy(ssh.keys / "host_key", stranger)
    stranger.chmod(0o600)
    os.environ["TEST_SSH_KEY"] = str(stranger)
    with pytest.raises(AccessError, match="refuses the key"):
        look(warehouse, source, NOW)
