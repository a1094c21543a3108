"""Erasure: everything about one student goes from every place, is searched for once more, and the number is forgotten.

How it is found and taken is one_student.py's. Aggregates stay, and so does every row of other students. May be killed
anywhere: the same request again ends it.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from engage import weekly
from engage.decisions import DecisionError
from engage.privacy import places, retention
from engage.privacy.due_dates import load_rights
from engage.privacy.old_rows import Finding
from engage.privacy.one_student import Student
from engage.privacy.one_student import Trace as Trace
from engage.privacy.periods import today
from engage.sources import load_sources
from engage.warehouse import Connection, connect

_KEY = "erasure.key"
_REQUEST = """
insert into ops.subject_request (kind, student_id, received_on, due_on, recorded_at, recorded_by)
select 'erasure', %(student)s, %(day)s, %(due)s, %(now)s, %(by)s
where not exists (
    select from ops.subject_request where kind = 'erasure' and student_id = %(student)s and completed_at is null
)
"""
_OPEN = """
select max(request_id) from ops.subject_request where kind = 'erasure' and student_id = %s and completed_at is null
"""
_ERASED = """
insert into ops.erased_student (digest, erased_at, run_id) values (%s, %s, %s)
on conflict (digest) do update set erased_at = excluded.erased_at, run_id = excluded.run_id
"""
_SEARCHES = 3


@dataclass(frozen=True)
class Where:
    """An installation."""

    url: str
    config: Path
    home: Path
    store_url: str


@dataclass(frozen=True)
class Erased:
    """What an erasure did."""

    run_id: int
    taken: list[Trace]
    left: list[Trace]
    """What the last search found: nothing; else the request stays open, and the same one again goes on with it."""
    kept: int = 0
    """Delivered files that nobody can read, and that stay because somebody else has a legal hold."""


def look(at: Where, student: str) -> list[Trace]:
    """Return where the student is, place by place. Changes nothing."""
    with connect(at.url, autocommit=True) as connection:
        return _student(at, connection, places.spelt(connection, student)).search().traces()


def erase(at: Where, student: str, by: str, reason: str, now: datetime) -> Erased:
    """Delete everything about a student and prove it. Raises DecisionError: a legal hold, no reason, or no name."""
    if not student.strip() or not by.strip() or not reason.strip():
        raise DecisionError("an erasure needs a student number, a reason, and the name of who asks for it")
    with connect(at.url, autocommit=True) as connection, retention.deleting(connection):
        student = places.spelt(connection, student)
        held = "select from ops.legal_hold where student_id = %s and released_at is null"
        if connection.execute(held, [student]).fetchone() is not None:
            raise DecisionError(
                "nothing of this student may be erased: there is a legal hold (`engage retention hold list`)"
            )
        _request(at, connection, student, by, now)
        (request,) = connection.execute(_OPEN, [student]).fetchall()[0]
        run_id = retention.begin(connection, "erasure", by, reason, now, request_id=int(str(request)))

        def note(place: str, way: str, rows: int) -> None:
            retention.note(connection, run_id, Finding(place, "erasure", date.max, 0, 0), way, rows, now)

        # Not while dbt makes anew what is taken out here.
        with weekly.one_at_a_time(at.url):
            one = _student(at, connection, student)
            found = one.search()
            taken = left = found.traces()
            # What was loaded or written meanwhile is found by the next search.
            for _ in range(_SEARCHES):
                one.take(found, note, now)
                found = one.search()
                if not (left := found.traces()):
                    break
        if not left:
            # Before the number is forgotten: killed here, it is asked for again by its number.
            connection.execute(_ERASED, [digest(at.home, student), now, run_id])
            _forget(connection, student, by, now)
        retention.finish(connection, run_id, now, sum(trace.rows for trace in left))
    return Erased(run_id, taken, left, len(found.kept))


def digest(home: Path, student: str) -> str:
    """Return what an erased number is recognised by: keyed, for there are few enough numbers to try all of them.

    The key lies in the home folder, made when it is first needed; without it no digest can be told from another.
    """
    path = home / _KEY
    if not path.exists():
        made = home / f".{_KEY}.{secrets.token_hex(8)}"
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(32))
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass  # another process was faster
        finally:
            made.unlink()
    return hmac.new(path.read_text().strip().encode(), student.lower().encode(), hashlib.sha256).hexdigest()


def returned(connection: Connection, home: Path) -> int:
    """Return how many students who were erased are in a list or a row again: a source has delivered them anew."""
    erased = {str(row[0]) for row in connection.execute("select digest from ops.erased_student").fetchall()}
    if not erased:
        return 0
    known = connection.execute("select student_id from pii.student union select student_id from raw.enrolments")
    return sum(1 for (student,) in known.fetchall() if digest(home, str(student)) in erased)


def _student(at: Where, connection: Connection, student: str) -> Student:
    return Student(connection, student, at.home, at.store_url, load_sources(at.config, drafts=True))


def _request(at: Where, connection: Connection, student: str, by: str, now: datetime) -> None:
    day = today(connection, now)
    due = load_rights(at.config).subject_access.due(day)
    given = {"student": student, "day": day, "due": due, "now": now, "by": by}
    connection.execute(_REQUEST, given)


def _forget(connection: Connection, student: str, by: str, now: datetime) -> None:
    """Close the request, and take the number out of it and of all others of the student."""
    with connection.transaction():
        connection.execute(
            "update ops.subject_request set completed_at = %(now)s, completed_by = %(by)s"
            " where kind = 'erasure' and student_id = %(student)s and completed_at is null",
            {"now": now, "by": by, "student": student},
        )
        connection.execute(
            "update ops.subject_request set student_id = null, extension_reason = null where student_id = %s", [student]
        )
