"""What every transport can do: say what is there, and bring it. How one of them does it stands in its own module.

Landing store, ledger and the meaning of the bytes do not belong here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from engage.sources import Source
from engage.transports import FileDrop, MoodleRest, ReportJob, Rest, Sftp, SqlReplica
from engage.warehouse import Connection


class TransportError(Exception):
    """Transient (connection lost, timeout, 5xx): try again later. The message says which host and what happened."""


class AccessError(Exception):
    """Permanent (key refused, host key changed, folder missing): somebody must act, and the message says how."""


class HostKeyError(AccessError):
    """The server is not, or not any more, the one whose key is known: nothing is read from it."""


@dataclass(frozen=True)
class Remote:
    """One file, or one window of an API, that can be fetched."""

    name: str
    """File name, or `2026-10-01T00:00Z/2026-10-02T00:00Z`. Not for messages: see `shown`."""
    size_bytes: int | None
    modified_at: datetime
    """The file's modification time as the server gives it; of a window, its end or when to read it again. UTC."""
    first_day: date | None
    """First day that the name names, or the first local day that ends inside the window."""
    last_day: date | None
    window_start: datetime | None = None
    window_end: datetime | None = None
    is_whole: bool | None = None
    """True or False: the sender says so. None: it says nothing, and two looks must agree."""
    problem: str | None = None
    """Why it cannot be landed as it is."""
    read_to: int | None = None
    """Of a replica, known once it was read: the highest id."""
    read_from: int | None = None
    """Of a replica: the highest id that was read before."""
    masked: str | None = None
    """The name without what may be somebody's name or number; None: there is nothing of that in it."""

    @property
    def shown(self) -> str:
        """The name for messages, logs and the ledger."""
        return self.masked or self.name


class Connector(Protocol):
    """One source's transport."""

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """Return what is there: files of the folder, or the whole windows between the last landed one and `now`
        and, once a day, those whose answer is held.

        Raises TransportError, AccessError.
        """

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """Yield each with its bytes, in a file in the folder `into` that the caller may move away.

        A file that vanished or changed since it was listed is not yielded. Raises TransportError, AccessError.
        """


def connector_for(source: Source) -> Connector:
    """Return the connector of the source's transport; it connects when asked for something, not before."""
    # Imported here: a process that only loads files should not pay for SSH and HTTP.
    match source.transport:
        case Sftp() as transport:
            from engage.connectors.sftp import SftpConnector

            return SftpConnector(source.id, transport)
        case FileDrop() as transport:
            from engage.connectors.file_drop import FileDropConnector

            return FileDropConnector(transport)
        case Rest() as transport:
            from engage.connectors.rest import RestConnector

            return RestConnector(source, transport)
        case ReportJob() as transport:
            from engage.connectors.report_job import ReportJobConnector

            return ReportJobConnector(source, transport)
        case SqlReplica() as transport:
            from engage.connectors.replica import ReplicaConnector

            return ReplicaConnector(source, transport)
        case MoodleRest() as transport:
            from engage.connectors.moodle import MoodleConnector

            return MoodleConnector(source, transport)
