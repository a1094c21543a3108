"""The OpenSSH server of this machine over a folder, with keys of its own; where none is installed, asyncssh's.

`NAME` says which of them the tests met.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from campus import servers

PROGRAM = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
NAME = "OpenSSH" if PROGRAM else "asyncssh"
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {keys}/host_key
PidFile none
AuthorizedKeysFile {keys}/client_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {root}
MaxStartups 100
LogLevel ERROR
"""


@dataclass
class Ssh:
    """A server that can be stopped and started again, on the same port, with the same or another host key."""

    root: Path
    keys: Path
    port: int = 0

    @property
    def known_hosts(self) -> Path:
        """What a client trusts: the key of the first start."""
        return self.keys / "trusted"

    @property
    def folder(self) -> str:
        """The served folder as a client names it: OpenSSH shows the whole file system, asyncssh the folder only."""
        return str(self.root) if PROGRAM else "/"

    @property
    def user(self) -> str:
        """OpenSSH lets in accounts of the machine, an ordinary user's server only that user."""
        return getpass.getuser() if PROGRAM else servers.USER

    def change_host_key(self) -> None:
        """From the next start on."""
        _make_key(self.keys / "host_key")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the block runs."""
        for name in ("host_key", "client_key"):
            if not (self.keys / name).exists():
                _make_key(self.keys / name)
        with _openssh(self) if PROGRAM else _asyncssh(self):
            if not self.known_hosts.exists():
                public = asyncssh.read_private_key(self.keys / "host_key").export_public_key().decode()
                self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}")
            yield


def _make_key(path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(key.export_private_key())
    key.write_public_key(f"{path}.pub")


@contextlib.contextmanager
def _openssh(server: Ssh) -> Iterator[None]:
    if not server.port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            server.port = free.getsockname()[1]
    config = server.keys / "sshd_config"
    config.write_text(CONFIG.format(port=server.port, keys=server.keys, root=server.root))
    if os.geteuid() == 0:
        # Where it drops its rights; packages make it when the service starts.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen([str(PROGRAM), "-D", "-e", "-f", str(config)])
    try:
        _wait_for(server.port)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def _asyncssh(server: Ssh) -> Iterator[None]:
    with servers.sftp_server(server.root, server.keys, server.port) as environment:
        server.port = int(environment["CAMPUS_SFTP_PORT"])
        yield


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
