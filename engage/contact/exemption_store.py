"""The tables of exemptions: who is exempt when, and the history that every change adds to. Nothing else writes them.

What may be written is for exemptions.py to say.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, cast

from psycopg.rows import class_row

from engage.strict import ConfigurationError
from engage.warehouse import Connection

Action = Literal["add", "extend", "move", "delete"]
LOCK = "hashtext('engage.exemption')"

_FIND = """
select
    exemption_id, student_id, exemption_type, starts_on, ends_on, deleted_at is not null as is_deleted,
    (
        select c.action from ops.exemption_change as c
        where c.exemption_id = e.exemption_id
        order by c.change_id desc limit 1
    ) as last_action
from ops.exemption as e
where exemption_id = %s
"""
_THERE = """
select student_id, exemption_type, exemption_id, starts_on, ends_on
from ops.exemption
where student_id = any(%s) and deleted_at is null
order by starts_on
"""
_ADD = """
with added as (
    insert into ops.exemption (student_id, exemption_type, starts_on, ends_on, created_at, created_by)
    values (%(student)s, %(type)s, %(starts)s, %(ends)s, %(at)s, %(by)s)
    returning exemption_id, exemption_type, starts_on, ends_on
)
insert into ops.exemption_change (
    exemption_id, action, exemption_type, starts_on, ends_on, changed_at, changed_by, reason
)
select exemption_id, 'add', exemption_type, starts_on, ends_on, %(at)s, %(by)s, %(reason)s from added
returning exemption_id
"""
_CHANGE = """
with changed as (
    update ops.exemption set
        starts_on = %(starts)s, ends_on = %(ends)s, deleted_at = case when %(is_deleted)s then %(at)s end
    where exemption_id = %(id)s
    returning exemption_id, exemption_type, starts_on, ends_on
)
insert into ops.exemption_change (
    exemption_id, action, exemption_type, starts_on, ends_on, changed_at, changed_by, reason
)
select exemption_id, %(action)s, exemption_type, starts_on, ends_on, %(at)s, %(by)s, %(reason)s from changed
"""


@dataclass(frozen=True)
class Wish:
    """An exemption that somebody asks for; both days inclusive."""

    student_id: str
    exemption_type: str
    starts_on: date
    ends_on: date


@dataclass(frozen=True)
class Signed:
    """Who changes something, when, and why; all of it is kept."""

    by: str
    at: datetime
    reason: str = ""
    """Never names a student."""


@dataclass(frozen=True)
class Exemption:
    """A row of `ops.exemption`."""

    exemption_id: int
    student_id: str
    exemption_type: str
    starts_on: date
    ends_on: date
    is_deleted: bool
    last_action: Action | None

    def __str__(self) -> str:
        """Name it without its student."""
        return f"exemption {self.exemption_id} ({self.starts_on} to {self.ends_on})"


@dataclass(frozen=True)
class Book:
    """What is so of some students while everybody else is kept from changing exemptions; kept up by who adds to it."""

    today: date
    known: set[str]
    """Those whom a roster has named."""
    there: dict[tuple[str, str], list[tuple[int, date, date]]]
    """Student and type -> id, first and last day of each exemption."""

    def overlapping(self, wish: Wish, but: int | None = None) -> tuple[int, date, date] | None:
        """Return an exemption of the same student and type that has a day in common, not counting `but`."""
        for other in self.there.get((wish.student_id, wish.exemption_type), []):
            if other[0] != but and other[1] <= wish.ends_on and other[2] >= wish.starts_on:
                return other
        return None

    def enter(self, number: int, wish: Wish) -> None:
        """Note what was added."""
        self.there.setdefault((wish.student_id, wish.exemption_type), []).append((number, wish.starts_on, wish.ends_on))


def today_of(connection: Connection, now: datetime) -> date:
    """Return the day that `now` is at the institution. Raises ConfigurationError before there is a configuration."""
    found = connection.execute("select (%s at time zone time_zone)::date from ops.scoring_parameter", [now]).fetchone()
    if found is None:
        raise ConfigurationError("ops.scoring_parameter is empty: the configuration was never synchronised")
    return cast(date, found[0])


def book_of(connection: Connection, students: list[str], today: date) -> Book:
    """Return what is so of these students; the caller holds the lock."""
    # Postgres knows no text with a NUL, and no student is called so.
    students = sorted({one for one in students if "\0" not in one})
    query = "select student_id from pii.student where student_id = any(%(ids)s)"
    # Of a warehouse in which nothing was built yet there is none.
    if connection.execute("select to_regclass('marts.student') is not null").fetchone() == (True,):
        query += " union select student_id from marts.student where student_id = any(%(ids)s)"
    known = cast(list[tuple[str]], connection.execute(query, {"ids": students}).fetchall())
    book = Book(today, {one for (one,) in known}, {})
    there = cast(list[tuple[str, str, int, date, date]], connection.execute(_THERE, [students]).fetchall())
    for student, kind, number, first, last in there:
        book.enter(number, Wish(student, kind, first, last))
    return book


def find(connection: Connection, exemption_id: int) -> Exemption | None:
    """Return an exemption, also a deleted one."""
    return connection.cursor(row_factory=class_row(Exemption)).execute(_FIND, [exemption_id]).fetchone()


def write(connection: Connection, wish: Wish, signed: Signed) -> int:
    """Add an exemption, with the first line of its history; return its id."""
    given = {"student": wish.student_id, "type": wish.exemption_type, "starts": wish.starts_on, "ends": wish.ends_on}
    ((number,),) = connection.execute(_ADD, given | _signature(signed)).fetchall()
    return cast(int, number)


def rewrite(connection: Connection, action: Action, becomes: Exemption, signed: Signed) -> None:
    """Make an exemption what it becomes, and add that to its history."""
    given = {"id": becomes.exemption_id, "action": action, "starts": becomes.starts_on, "ends": becomes.ends_on}
    connection.execute(_CHANGE, given | {"is_deleted": becomes.is_deleted} | _signature(signed))


def _signature(signed: Signed) -> dict[str, object]:
    return {"at": signed.at, "by": signed.by.strip(), "reason": signed.reason.strip() or None}
