"""Files that somebody puts in a local folder: listed and copied with the same care as those of a server."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.files import Entry, remotes
from engage.strict import resolve
from engage.transports import FileDrop
from engage.warehouse import Connection


class FileDropConnector:
    """A local folder."""

    def __init__(self, transport: FileDrop) -> None:
        self._transport = transport
        self._folder = Path(resolve(transport.folder))

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector."""
        try:
            found = [entry for path in self._folder.iterdir() if (entry := _entry(path))]
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise AccessError(f"folder {self._folder}: {error.strerror}; create it or allow reading it") from error
        except OSError as error:
            raise TransportError(f"folder {self._folder}: {error.strerror}") from error
        return remotes(self._transport, found)

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. A file that may not be read is reported after the others were yielded."""
        refused = []
        for number, remote in enumerate(remotes):
            original, copy = self._folder / remote.name, into / str(number)
            try:
                shutil.copyfile(original, copy)
                now = _entry(original)
            except FileNotFoundError:
                continue
            except PermissionError:
                refused.append(remote.shown)
                continue
            except OSError as error:
                raise TransportError(f"folder {self._folder}: {remote.shown}: {error.strerror}") from None
            is_same = now is not None and (now.size_bytes, now.modified_at) == (remote.size_bytes, remote.modified_at)
            if is_same and copy.stat().st_size == remote.size_bytes:
                yield remote, copy
        if refused:
            raise AccessError(f"folder {self._folder}: {', '.join(refused)} may not be read; allow it")


def _entry(path: Path) -> Entry | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Entry(path.name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), S_ISREG(found.st_mode))
