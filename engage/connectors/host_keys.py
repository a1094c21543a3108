"""Accepting an SFTP server's host key: which key it shows, which of its keys are known, and writing it down.

Only when a person asks; nothing here runs by itself. Files are `sftp.py`'s.
"""

import asyncio
import os
import tempfile
from pathlib import Path

import asyncssh

from engage.connectors import TransportError
from engage.strict import ConfigurationError, resolve
from engage.transports import Sftp

TIMEOUT_S = 30.0


class HostKeys:
    """The key that a server shows now, beside those that `known_hosts` holds for it.

    Raises TransportError when the server does not answer, ConfigurationError when `known_hosts` is not one.
    """

    def __init__(self, transport: Sftp) -> None:
        self._host = resolve(transport.host)
        try:
            self._port = int(resolve(str(transport.port)))
        except ValueError:
            raise ConfigurationError(f"transport.port of {self._host}: must be a number") from None
        self.server = f"{self._host}:{self._port}"
        self.known_hosts = Path(resolve(transport.known_hosts)).resolve()
        self._lines = self.known_hosts.read_text().splitlines() if self.known_hosts.exists() else []
        trusted = [line for line in self._lines if not line.startswith("@revoked")]
        self.known: list[str] = [key.get_fingerprint() for line in trusted for key in self._keys_of(line)]
        """Fingerprints, `SHA256:...`."""
        self._key = asyncio.run(self._ask())
        self.shown: str = self._key.get_fingerprint()

    def trust(self) -> None:
        """Write the key shown in place of those known. Killed anywhere, the file is the old or the new one.

        Raises ConfigurationError for a line about several hosts, for what else it says is not ours to change, and for
        a key that is revoked.
        """
        revoked = [line for line in self._lines if line.startswith("@revoked")]
        if any(_public(self._key).split()[1] in line.split() for line in revoked):
            raise ConfigurationError(
                f"{self.known_hosts}: says that the key shown by {self.server} is revoked; ask its owner, and correct"
                " it by hand"
            )
        ours = [line for line in self._lines if self._keys_of(line)]
        if any("," in line.split()[0] or "*" in line.split()[0] or line.startswith("@") for line in ours):
            raise ConfigurationError(f"{self.known_hosts}: a line names {self.server} among others; correct it by hand")
        name = self._host if self._port == 22 else f"[{self._host}]:{self._port}"
        new = [*(line for line in self._lines if line not in ours), f"{name} {_public(self._key)}"]
        self.known_hosts.parent.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=self.known_hosts.parent, prefix=".known_hosts")
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(new) + "\n")
            file.flush()
            os.fsync(descriptor)
        Path(path).chmod(self.known_hosts.stat().st_mode & 0o777 if self.known_hosts.exists() else 0o644)
        Path(path).replace(self.known_hosts)

    def _keys_of(self, line: str) -> list[asyncssh.SSHKey]:
        try:
            found = asyncssh.import_known_hosts(line).match(self._host, "", self._port)
        except ValueError:
            raise ConfigurationError(f"{self.known_hosts}: is not an OpenSSH known_hosts file") from None
        # Host keys, authorities, and revoked ones.
        return [key for keys in found[:3] for key in keys]

    async def _ask(self) -> asyncssh.SSHKey:
        try:
            key = await asyncio.wait_for(asyncssh.get_server_host_key(self._host, self._port, config=None), TIMEOUT_S)
        except (OSError, asyncssh.Error) as error:
            raise TransportError(f"{self.server}: {type(error).__name__}: {error}".rstrip(": ")) from error
        if key is None:
            raise TransportError(f"{self.server}: shows no host key")
        return key


def _public(key: asyncssh.SSHKey) -> str:
    # The comment of a key file has no place here.
    return " ".join(key.export_public_key().decode().split()[:2])
