"""Files on an SFTP server, with its host key always checked.

Listing and downloading only; which names matter is `files.py`, what becomes of the bytes is `engage.landing`.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from engage.connectors import AccessError, HostKeyError, Remote, TransportError
from engage.connectors.files import Entry, remotes
from engage.strict import ConfigurationError, resolve
from engage.transports import Sftp
from engage.warehouse import Connection

AT_ONCE = 32
"""Downloads in flight on one connection."""
BLOCK_BYTES = 2**20
TIMEOUT_S = 60.0
"""Longest silence of a server, for a single answer; a slow listing or a large file may take many answers."""
KEEPALIVE_S = 15
_DISCONNECTED = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)

# Below warnings asyncssh writes several lines per file.
asyncssh.set_log_level("WARNING")


class SftpConnector:
    """One folder of one server."""

    def __init__(self, source_id: str, transport: Sftp) -> None:
        self._source_id = source_id
        self._transport = transport
        self._host = resolve(transport.host)
        self._user = resolve(transport.username)
        self._folder = resolve(transport.folder).rstrip("/") or "/"
        self._known_hosts = resolve(transport.known_hosts)
        self._private_key = resolve(transport.private_key)
        try:
            self._port = int(resolve(str(transport.port)))
        except ValueError as error:
            raise ConfigurationError(f"transport.port of {self._host}: must be a number") from error
        self._server = f"{self._host}:{self._port}"

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector."""
        with self._explained(), asyncio.Runner() as runner:
            return remotes(self._transport, runner.run(self._entries()))

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. A file that the server does not give is reported after the others were yielded."""
        failed: dict[str, asyncssh.SFTPError] = {}
        with self._explained(), asyncio.Runner() as runner:
            session = self._session()
            connection, sftp = runner.run(session.__aenter__())
            try:
                for start in range(0, len(remotes), AT_ONCE):
                    some = {into / str(start + n): r for n, r in enumerate(remotes[start : start + AT_ONCE])}
                    results = runner.run(self._download_all(connection, sftp, some))
                    yield from ((some[path], path) for path, result in results.items() if result is True)
                    for path, result in results.items():
                        if isinstance(result, asyncssh.SFTPError) and not isinstance(result, _DISCONNECTED):
                            failed[some[path].shown] = result
                        elif isinstance(result, BaseException):
                            raise result
            finally:
                runner.run(session.__aexit__(None, None, None))
        if failed:
            is_refused = any(isinstance(error, asyncssh.SFTPPermissionDenied) for error in failed.values())
            files = ", ".join(sorted(failed)[:10]) + (" ..." if len(failed) > 10 else "")
            kinds = ", ".join(sorted({type(error).__name__ for error in failed.values()}))
            message = f"{self._server}: {len(failed)} files cannot be read by {self._user} ({kinds}): {files}"
            raise AccessError(f"{message}; give it the right to") if is_refused else TransportError(message)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]]:
        async with asyncssh.connect(
            self._host,
            self._port,
            username=self._user,
            client_keys=[self._key()],
            known_hosts=self._trusted(),
            preferred_auth="publickey",
            # Nothing from the account that happens to run us: no ~/.ssh/config, no agent.
            config=None,
            agent_path=None,
            connect_timeout=TIMEOUT_S,
            login_timeout=TIMEOUT_S,
            keepalive_interval=KEEPALIVE_S,
        ) as connection:
            with _watched(connection):
                sftp = await connection.start_sftp_client(path_errors="surrogateescape")
            yield connection, sftp

    async def _entries(self) -> Sequence[Entry]:
        found = []
        async with self._session() as (connection, sftp):
            with _watched(connection) as heard:
                async for name in sftp.scandir(self._folder):
                    heard()
                    is_file = stat.S_ISREG(name.attrs.permissions) if name.attrs.permissions is not None else True
                    found.append(Entry(name.filename, name.attrs.size or 0, _modified_at(name.attrs), is_file))
        return found

    async def _download_all(
        self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, some: dict[Path, Remote]
    ) -> dict[Path, bool | BaseException]:
        with _watched(connection) as heard:
            downloads = [self._download(sftp, remote, path, heard) for path, remote in some.items()]
            return dict(zip(some, await asyncio.gather(*downloads, return_exceptions=True), strict=True))

    async def _download(self, sftp: asyncssh.SFTPClient, remote: Remote, path: Path, heard: Callable[[], None]) -> bool:
        """Return whether the file is still, after reading, what was listed."""
        address, size, received = f"{self._folder}/{remote.name}", remote.size_bytes or 0, 0
        try:
            async with sftp.open(address, "rb") as file:
                with path.open("wb") as copy:
                    while received < size and (block := await file.read(min(BLOCK_BYTES, size - received))):
                        received += copy.write(block)
                        heard()
                    copy.flush()
                    # Whoever keeps the file will want it on disk; here the waits of many files are one.
                    await asyncio.to_thread(os.fsync, copy.fileno())
                now = await sftp.stat(address)
                heard()
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return False
        return bool(received == size == now.size and _modified_at(now) == remote.modified_at)

    def _key(self) -> asyncssh.SSHKey:
        try:
            return asyncssh.read_private_key(self._private_key)
        except (OSError, ValueError) as error:
            raise AccessError(
                f"{self._server}: the private key that {self._transport.private_key} names cannot be read "
                f"({type(error).__name__}); name an unencrypted key file that we may read"
            ) from None

    def _trusted(self) -> asyncssh.SSHKnownHosts:
        try:
            return asyncssh.read_known_hosts(self._known_hosts)
        except (OSError, ValueError) as error:
            raise AccessError(
                f"{self._server}: known_hosts {self._known_hosts} cannot be read ({type(error).__name__}); "
                "write the server's host key into it, as its administrator gives it"
            ) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            raise HostKeyError(
                f"{self._server}: its host key is not the one in {self._known_hosts}, or not there at all, so nothing "
                f"is read; run `engage source trust {self._source_id}` after confirming the fingerprint with the owner"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise AccessError(
                f"{self._server}: refuses the key of {self._user}; have its public key authorised"
            ) from error
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPPermissionDenied) as error:
            raise AccessError(
                f"{self._server}: folder {self._folder} is missing or may not be read by {self._user}; "
                "create it or give the right"
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise TransportError(f"{self._server}: {type(error).__name__}: {error}".rstrip(": ")) from error


def _modified_at(attributes: asyncssh.SFTPAttrs) -> datetime:
    return datetime.fromtimestamp(attributes.mtime or 0, UTC)


@contextlib.contextmanager
def _watched(connection: asyncssh.SSHClientConnection) -> Iterator[Callable[[], None]]:
    """Break the connection once TIMEOUT_S pass without a call of what is yielded.

    Keepalives find a dead server; this finds a live one whose file system hangs. A mere cancellation would not do: on
    its way out it politely waits for the same server.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(TIMEOUT_S, connection.abort)

    def heard() -> None:
        nonlocal timer
        timer.cancel()
        timer = loop.call_later(TIMEOUT_S, connection.abort)

    try:
        yield heard
    finally:
        timer.cancel()
