"""What a student is known by, and when: a badge handed on names another student afterwards.

Where references are looked for is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from psycopg.rows import class_row

from engage.warehouse import Connection

_REFERENCES = """
select ref_kind as kind, ref, valid_from, valid_to from pii.identity where student_id = any(%(students)s)
union
select 'student_id', student_id, date '0001-01-01', date '9999-12-31' from unnest(%(students)s::text[]) as student_id
"""
BEGINNING, END = date(1, 1, 1), date(9999, 12, 31)
_FOLDED = ("username", "email")


@dataclass(frozen=True)
class Reference:
    """A value of a kind (`engage.records.IDENTITY_KINDS`) that names a student from a day until before another."""

    kind: str
    ref: str
    valid_from: date = BEGINNING
    valid_to: date = END

    @property
    def is_lasting(self) -> bool:
        """It never named anybody else."""
        return self.valid_from <= BEGINNING and self.valid_to >= END


def references(connection: Connection, students: Sequence[str]) -> list[Reference]:
    """Return everything that these students are known by, their numbers first of all, also of one nobody knows."""
    cursor = connection.cursor(row_factory=class_row(Reference))
    return cursor.execute(_REFERENCES, {"students": list(students)}).fetchall()


def normalised(kind: str, value: str) -> str:
    """Return a value as references are compared (`typed_statement.normalised`, after trimming)."""
    value = value.strip(" \t\u00a0")
    return value.lower() if kind in _FOLDED else value
