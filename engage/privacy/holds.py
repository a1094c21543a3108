"""Legal holds: students of whom nothing is deleted, however old, until somebody releases them.

What a hold keeps is retention's and erasure's to heed.
"""

from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from engage.decisions import DecisionError
from engage.privacy import places
from engage.privacy.places import Person
from engage.warehouse import Connection

_ADD = """
insert into ops.legal_hold (student_id, reason, placed_at, placed_by) values (%s, %s, %s, %s)
on conflict (student_id) where released_at is null do nothing
returning hold_id
"""
_IS_KNOWN = """
select exists (select from pii.identity where student_id = %(student)s)
    or exists (select from pii.student where student_id = %(student)s)
"""
_UNKNOWN = " (no list of students names this number now: look whether it is the right one)"
_RELEASE = """
update ops.legal_hold set released_at = %s, released_by = %s
where student_id = %s and released_at is null returning hold_id
"""
_LIST = """
select hold_id, student_id, reason, placed_at, placed_by, released_at, released_by from ops.legal_hold
where %s or released_at is null
order by hold_id
"""


def add(connection: Connection, student: str, reason: str, by: str, now: datetime) -> str:
    """Place a hold; return in a sentence what is so now. Commits. Raises DecisionError without a reason or a name."""
    if not student.strip() or not reason.strip() or not by.strip():
        raise DecisionError("a legal hold needs a student number, a reason, and the name of who places it")
    with connection.transaction():
        student = places.spelt(connection, student)
        # Not in the middle of a deletion: what it is about to take would go all the same.
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.deletion'))")
        row = connection.execute(_ADD, [student, reason.strip(), now, by.strip()]).fetchone()
        ((is_known,),) = connection.execute(_IS_KNOWN, {"student": student}).fetchall()
    connection.commit()
    said = f"legal hold {row[0]}: nothing of the student is deleted" if row else "the student is held already"
    return said if is_known else said + _UNKNOWN


def release(connection: Connection, student: str, by: str, now: datetime) -> str:
    """Release the hold of a student; return what follows. Commits. Raises DecisionError when there is none."""
    with connection.transaction():
        row = connection.execute(_RELEASE, [now, by.strip(), places.spelt(connection, student)]).fetchone()
    connection.commit()
    if row is None:
        raise DecisionError("there is no legal hold of this student")
    return f"legal hold {row[0]}: released; what is past its period goes with the next run of retention"


def listed(connection: Connection, everything: bool) -> list[dict[str, Any]]:
    """Return the holds in force, or all."""
    return connection.cursor(row_factory=dict_row).execute(_LIST, [everything]).fetchall()


def held(connection: Connection) -> Person | None:
    """Return all who are held as if they were one person; None: nobody is."""
    rows = connection.execute("select student_id from ops.legal_hold where released_at is null order by 1").fetchall()
    people = [places.person(connection, str(student)) for (student,) in rows]
    if not people:
        return None
    return Person(
        tuple(student for one in people for student in one.students),
        tuple(sorted({ref for one in people for ref in one.refs})),
    )
