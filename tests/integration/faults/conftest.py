"""A feed from end to end: files on a real OpenSSH server, looked at, landed and taken through the gate by one call."""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engage.batches import BatchOutcome
from engage.landing import land, look
from engage.sources import Source
from engage.suites import Suite
from tests.integration.gate.kit import Gate
from tests.openssh import Ssh


class Feed:
    """Files on a server and the warehouse that they end in."""

    def __init__(self, gate: Gate, ssh: Ssh) -> None:
        self.gate, self._ssh = gate, ssh
        os.environ["TEST_SSH_KEY"] = str(ssh.keys / "client_key")

    def source(self, content: dict[str, Any], pattern: str) -> Source:
        transport = {
            "kind": "sftp",
            "host": "127.0.0.1",
            "port": self._ssh.port,
            "username": self._ssh.user,
            "private_key": "${TEST_SSH_KEY}",
            "known_hosts": str(self._ssh.known_hosts),
            "folder": self._ssh.folder,
            "pattern": pattern,
        }
        return self.gate.source(content | {"transport": transport})

    def put(self, name: str, content: bytes, at: datetime) -> Path:
        path = self._ssh.root / name
        path.write_bytes(content)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    def arrive(self, source: Source, now: datetime, suite: Suite | None = None) -> list[BatchOutcome]:
        """Two looks, as the sensor takes them, then land and process what has settled."""
        look(self.gate.connection, source, now)
        assert not land(self.gate.connection, source, str(self.gate.store), now + timedelta(seconds=10)).problems
        return self.gate.process(source, suite)

    def states(self) -> list[tuple[str, str]]:
        query = "select name, state from ops.batch inner join ops.delivery using (delivery_id) order by delivery_id"
        return [(name, state) for name, state in self.gate.execute(query)]


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    server = Ssh(tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("keys"))
    with server.running():
        yield server


@pytest.fixture
def gate(database_url: str, tmp_path: Path) -> Gate:
    return Gate(database_url, tmp_path / "landing")


@pytest.fixture
def feed(gate: Gate, ssh: Ssh) -> Feed:
    shutil.rmtree(ssh.root)
    ssh.root.mkdir()
    return Feed(gate, ssh)
