"""What is stored of an edition: read from the schema `governance` and from nowhere else, with the rights of the role
that may read nothing else.

How figures come to be there is engage.governance'; what is said about them, and how it looks, is the rest of this room.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row, dict_row

from engage.decisions import DecisionError
from engage.warehouse import Connection

ROLE = "engage_governance"
_MAY_BE = """
select
    pg_has_role(current_user, oid, 'member')
    and has_schema_privilege(oid, 'governance', 'usage')
    and has_table_privilege(oid, 'governance.edition', 'select') as may
from pg_roles where rolname = %s
"""
_EDITION = "select * from governance.edition where edition_id = %s"
_EDITIONS = "select * from governance.edition order by made_at desc, edition_id desc"
_CELLS = """
select figure_id, period_start, dimension, member, category, value, base, suppressed
from governance.figure where edition_id = %s
order by figure_id, period_start, dimension, member, category
"""
_SOURCES = """
select source_id, title, week_start, days_expected, days_complete, days_stale, mean_quality, incidents_opened
from governance.source_week where edition_id = %s order by title, source_id, week_start
"""
_CHANGES = "select changed_on, kind, what from governance.change where edition_id = %s order by position"
_REGISTER = """
select source_id, title, system, category, purpose, lawful_basis, dpia_reference, dpia_date, owner_name,
    retention_days, in_use
from governance.source_register where edition_id = %s order by title, source_id
"""


@dataclass(frozen=True)
class Edition:
    """A row of governance.edition."""

    edition_id: str
    kind: str
    title: str
    period_start: date
    period_end: date
    data_as_of: datetime
    config_version: str
    made_at: datetime
    previous_edition_id: str | None


@dataclass(frozen=True)
class Cell:
    """A row of governance.figure: a number about people, rounded, or left out."""

    figure_id: str
    period_start: date
    dimension: str
    member: str
    category: str
    value: float | None
    base: int | None
    suppressed: str | None


@dataclass(frozen=True)
class SourceWeek:
    """A row of governance.source_week."""

    source_id: str
    title: str
    week_start: date
    days_expected: int
    days_complete: int
    days_stale: int
    mean_quality: float | None
    incidents_opened: int


@dataclass(frozen=True)
class Change:
    """A row of governance.change."""

    changed_on: date
    kind: str
    what: str


@dataclass(frozen=True)
class Registered:
    """A row of governance.source_register."""

    source_id: str
    title: str
    system: str | None
    category: str | None
    purpose: str | None
    lawful_basis: str
    dpia_reference: str
    dpia_date: date | None
    owner_name: str
    retention_days: int
    in_use: bool


@dataclass(frozen=True)
class Stored:
    """All that is stored of one edition, and of the one before it."""

    edition: Edition
    cells: list[Cell]
    sources: list[SourceWeek]
    changes: list[Change]
    register: list[Registered]
    previous: "Stored | None" = None


def editions(connection: Connection) -> list[Edition]:
    """Return every edition ever made, the newest first."""
    with governance_only(connection):
        return [_edition(row) for row in connection.cursor(row_factory=dict_row).execute(_EDITIONS).fetchall()]


def read(connection: Connection, edition_id: str) -> Stored:
    """Return what is stored of an edition and of the one before. Raises DecisionError: there is no such edition."""
    with governance_only(connection):
        stored = _read(connection, edition_id)
        before = stored.edition.previous_edition_id
        return replace(stored, previous=_read(connection, before)) if before else stored


@contextmanager
def governance_only(connection: Connection) -> Iterator[None]:
    """Read within one snapshot, and with the rights of `engage_governance` where that role is there."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        # A server on which nobody may make roles has none; what is read stays the same.
        if connection.execute(_MAY_BE, [ROLE]).fetchone() == (True,):
            connection.execute(f"set local role {ROLE}".encode())
        yield


def _read(connection: Connection, edition_id: str) -> Stored:
    row = connection.cursor(row_factory=dict_row).execute(_EDITION, [edition_id]).fetchone()
    if row is None:
        raise DecisionError(f"there is no edition {edition_id}: see `engage report list`")

    def rows(query: str, kind: type[Any]) -> list[Any]:
        return connection.cursor(row_factory=class_row(kind)).execute(query.encode(), [edition_id]).fetchall()

    return Stored(
        _edition(row),
        rows(_CELLS, Cell),
        rows(_SOURCES, SourceWeek),
        rows(_CHANGES, Change),
        rows(_REGISTER, Registered),
    )


def _edition(row: dict[str, Any]) -> Edition:
    # By name: others may add columns.
    return Edition(**{name: row[name] for name in Edition.__dataclass_fields__})
