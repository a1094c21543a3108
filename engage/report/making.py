"""Makes editions and their files: what is due, or what somebody asks for. The figures are engage.governance'; this only
puts the two steps after each other, so that whatever a kill leaves is made up by the next run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from engage.governance import editions
from engage.governance.periods import Kind
from engage.report import files
from engage.report.stored import governance_only
from engage.warehouse import Connection

LOOK_BACK = timedelta(days=35)
"""Editions as young as this get their files if they have none; older ones may have been deleted because it was time."""
_RECENT = "select edition_id from governance.edition where made_at >= %s order by made_at, edition_id"
_COUNTS = """
select
    count(*) filter (where value is not null), count(*) filter (where suppressed = 'small'),
    count(*) filter (where suppressed = 'secondary')
from governance.figure where edition_id = %s
"""


@dataclass(frozen=True)
class Made:
    """An edition with its files."""

    edition_id: str
    folder: Path
    numbers: int
    small: int
    """Numbers left out because they are about few people."""
    secondary: int
    """Numbers left out because they would give away another one."""


def make(connection: Connection, folder: Path, kind: Kind, period: tuple[date, date] | None, now: datetime) -> Made:
    """Make an edition and its files below `folder`; one that is there already is not made again.

    Raises DecisionError (nothing of the period is published), OSError.
    """
    edition_id = editions.make(connection, kind, period, now)
    connection.commit()
    return write(connection, folder, edition_id)


def make_due(connection: Connection, folder: Path, now: datetime) -> list[Made]:
    """Make the scheduled editions that are due, and the files of those that were left without any; return all of them.

    Raises DecisionError, OSError.
    """
    for kind, period in editions.due(connection, now):
        editions.make(connection, kind, (period.start, period.end), now)
        connection.commit()
    recent = [str(row[0]) for row in connection.execute(_RECENT, [now - LOOK_BACK]).fetchall()]
    connection.commit()
    return [write(connection, folder, one) for one in recent if not (folder / one).is_dir()]


def write(connection: Connection, folder: Path, edition_id: str) -> Made:
    """Write the files of an edition below `folder`. Raises DecisionError (there is none), OSError."""
    path = files.write(connection, edition_id, folder)
    with governance_only(connection):
        counts: Sequence[object] = connection.execute(_COUNTS, [edition_id]).fetchall()[0]
    return Made(edition_id, path, *(int(str(count)) for count in counts))
