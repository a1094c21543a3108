"""Files that somebody puts in a local folder: listed and copied with the same care as those of a server."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from stat import S_ISREG

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.files import Entry, remotes
from engage.sources import FileDrop, resolve
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
        """See Connector."""
        for number, remote in enumerate(remotes):
            original, copy = self._folder / remote.name, into / str(number)
            try:
                before = _entry(original)
                shutil.copyfile(original, copy)
                after = _entry(original)
            except FileNotFoundError:
                continue
            except PermissionError as error:
                raise AccessError(f"{original}: {error.strerror}; allow reading it") from error
            except OSError as error:
                raise TransportError(f"{original}: {error.strerror}") from error
            is_same = before == after and copy.stat().st_size == remote.size_bytes
            if (
                is_same
                and after
                and datetime.fromtimestamp(after.modified, remote.modified_at.tzinfo) == remote.modified_at
            ):
                yield remote, copy


def _entry(path: Path) -> Entry | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Entry(path.name, found.st_size, found.st_mtime, S_ISREG(found.st_mode))
