"""What a table of the warehouse may hold of students, and how that is told: the terms in which places are declared.

Which tables there are is not known here: see declared_places.py.
"""

from dataclasses import dataclass
from typing import Literal

BY_STUDENT = "t.student_id = any(%(students)s)"
Erase = Literal["delete", "unname", "apart"]
_NESTED = {"notes", "format_drift", "broken_rules", "dropped", "facts", "payload", "reply", "difference"}
"""Columns of `ops` that are lists or JSON. Their numbers are counts of ours, and name nobody."""


@dataclass(frozen=True)
class Place:
    """One table, a partitioned one as a whole, and what it holds of students."""

    table: str
    """`schema.table`, or of a declaration a pattern of them, as of the working tables of the sources."""
    about: str
    """What it holds, in words for students; where it holds nothing of them, why not."""
    find: str | None = BY_STUDENT
    """SQL condition over the alias t, true of a student's rows, with the parameters of `Person`; None: has none."""
    keep: str = "derived"
    """Period: `source` (that of the row's source_id), a class of config/retention.yaml, `derived` (is made anew from
    others or goes with them), `forever`, `ledger`."""
    dated: str | None = None
    """SQL expression over t: the date (or instant) by which a row ages; None: it does not by itself."""
    third_parties: tuple[str, ...] = ()
    """Columns that name somebody else: blanked in what a student is given."""
    erase: Erase = "delete"
    """What an erasure does: delete the rows; unname, take the student out of the columns `names`; or `apart`, what
    told.py (messages) and erasure.py (requests) do."""
    names: tuple[str, ...] = ()
    """Columns in which the student may be named."""
    own: str | None = None
    """Of rows that are to be unnamed: which of those found are the student's alone, and are deleted."""

    @property
    def is_personal(self) -> bool:
        """Whether it holds anything of students."""
        return self.find is not None


def of(parent: str, key: str) -> str:
    """Return the condition that a row belongs to one of the student in another table of `ops`."""
    return f"t.{key} in (select p.{key} from ops.{parent} as p where p.student_id = any(%(students)s))"  # noqa: S608


def named_in(*columns: str) -> str:
    """Return the condition that one of the columns holds a reference as a word."""
    return "(" + " or ".join(map(_named, columns)) + ")"


def naming(table: str, about: str, names: str, keep: str = "ledger", dated: str | None = None) -> Place:
    """Return a place with texts that ought to name nobody, and might. `names`: its columns."""
    columns = tuple(names.split())
    return Place(table, about, named_in(*columns), keep, dated, erase="unname", names=columns)


def nothing(tables: str, why: str, keep: str = "derived", dated: str | None = None) -> list[Place]:
    """Return places that hold nothing of students. `tables`: names, or patterns, with spaces between."""
    return [Place(table, why, None, keep, dated) for table in tables.split()]


def _named(column: str) -> str:
    if column not in _NESTED:
        return f"t.{column} ~* %(words)s"
    # Of JSON the text as it was said: in its notation a line's end before a word is a letter.
    return (
        f"exists (select from jsonb_path_query(to_jsonb(t.{column}), 'strict $.**') as v (value)"
        " where jsonb_typeof(v.value) = 'string' and v.value #>> '{}' ~* %(words)s)"
    )
