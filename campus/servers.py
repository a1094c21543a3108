"""The campus's servers on loopback: SFTP over a folder, and an HTTP application, each in a thread of its own.

Knows nothing of what is served. Keys are made once per folder; ports are free ones unless given.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import uvicorn
from starlette.applications import Starlette

HOST = "127.0.0.1"
USER = "engage"
START_SECONDS = 30.0


def _key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
    return asyncssh.read_private_key(path)


@contextmanager
def sftp_server(root: Path, keys: Path, port: int = 0) -> Iterator[dict[str, str]]:
    """Serve the folder `root` by SFTP while the block runs.

    Yields the environment that a client needs: CAMPUS_SFTP_HOST, _PORT, _USER, _KEY and _KNOWN_HOSTS. Host key, client
    key and known_hosts lie in the folder `keys`, which must not be inside `root`.
    """
    root.mkdir(parents=True, exist_ok=True)
    keys.mkdir(parents=True, exist_ok=True)
    host_key, client_key, known_hosts = _key(keys / "host_key"), _key(keys / "client_key"), keys / "known_hosts"
    logging.getLogger("asyncssh").setLevel(logging.WARNING)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="campus-sftp", daemon=True)
    thread.start()

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            HOST,
            port,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(client_key.export_public_key().decode()),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(root.resolve())),
        )

    async def stop(server: asyncssh.SSHAcceptor) -> None:
        server.close()
        await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result(START_SECONDS)
        try:
            bound = server.get_port()
            public = host_key.export_public_key().decode()
            known_hosts.write_text(f"[{HOST}]:{bound} {public}")
            yield {
                "CAMPUS_SFTP_HOST": HOST,
                "CAMPUS_SFTP_PORT": str(bound),
                "CAMPUS_SFTP_USER": USER,
                "CAMPUS_SFTP_KEY": str(keys / "client_key"),
                "CAMPUS_SFTP_KNOWN_HOSTS": str(known_hosts),
            }
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result(START_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()


@contextmanager
def http_server(application: Starlette, port: int = 0) -> Iterator[str]:
    """Serve an application by HTTP while the block runs; yields its base URL."""
    with socket.create_server((HOST, port)) as listener:
        # Bound before the server starts: the port is known, and early clients wait instead of being refused.
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), name="campus-http", daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
