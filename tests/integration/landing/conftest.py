"""Real servers on loopback for the transports: an asyncssh SFTP server with faults on demand, and sources on it."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from engage.sources import Source
from engage.warehouse import connect, with_database
from tests.integration.landing.kit import Api, Server, SourceFactory, make_source

Loop = asyncio.AbstractEventLoop


@pytest.fixture(scope="session")
def landing_database(postgres_url: str, migrated_template: str) -> str:
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(f"create database landing template {migrated_template}")
    return with_database(postgres_url, "landing")


@pytest.fixture
def database_url(landing_database: str) -> str:
    """URL of a warehouse whose ledger is empty: one for all tests of this room, which write nothing else."""
    with connect(landing_database, autocommit=True) as connection:
        connection.execute("truncate ops.delivery, ops.sighting, ops.config_version cascade")
    return landing_database


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """An event loop in a thread of its own, for servers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("host", "other_host", "client", "stranger"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def server(tmp_path: Path, keys: dict[str, Path], loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    (folder / "out").mkdir(parents=True)
    running = Server(folder / "out", 0, tmp_path / "known_hosts", keys["client"])

    class Faulty(asyncssh.SFTPServer):  # type: ignore[misc]
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
            super().__init__(channel, chroot=os.fsencode(folder))
            self.opened = 0
            running.connections += 1

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            self.opened += 1
            if self.opened > running.faults.get("drop_after", float("inf")):
                self.connection.abort()
            if on_open := running.faults.get("on_open"):
                on_open(path)
            return super().open(path, pflags, attrs)

        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for name in super().scandir(path):
                if delay := running.faults.get("listing_s"):
                    await asyncio.sleep(delay)
                yield name

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[keys["host"]],
            authorized_client_keys=str(keys["client.pub"]),
            sftp_factory=Faulty,
            # As OpenSSH has it, and cheaper than the client's first choice: the tests pay for both ends.
            encryption_algs=["aes128-gcm@openssh.com"],
        )

    async def stop(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()

    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result()
    running.port = acceptor.get_port()
    running.known_hosts.write_text(f"[127.0.0.1]:{running.port} {keys['host.pub'].read_text()}")
    monkeypatch.setenv("TEST_SFTP_KEY", str(keys["client"]))
    monkeypatch.setenv("TEST_SFTP_PORT", str(running.port))
    yield running
    asyncio.run_coroutine_threadsafe(stop(acceptor), loop).result()


@pytest.fixture
def sftp_source(server: Server) -> SourceFactory:
    """Return a function that makes a source on `server`, with changes of its transport."""

    def make(**changes: Any) -> Source:
        return make_source(
            {
                "kind": "sftp",
                "host": "127.0.0.1",
                "port": "${TEST_SFTP_PORT}",
                "username": "engage",
                "private_key": "${TEST_SFTP_KEY}",
                "known_hosts": str(server.known_hosts),
                "folder": "/out",
                "pattern": r"gate_(?P<day>\d{8}).*\.csv",
                **changes,
            }
        )

    return make


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A paged HTTP API with a token."""
    with Api() as running:
        monkeypatch.setenv("TEST_API_TOKEN", running.token)
        yield running
