"""Requests for a copy of one's data: recorded with a due date, answered with an archive, put off with a reason.

What is held is holdings', how the archive is made subject_access_archive's, the calendar due_dates'.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from psycopg.rows import class_row, dict_row

from engage import clock
from engage.decisions import DecisionError
from engage.messaging import load_messaging
from engage.privacy.due_dates import Period
from engage.privacy.holdings import Holdings, gather, unknown_references
from engage.privacy.periods import Periods, load_periods
from engage.privacy.places import Person, person, spelt
from engage.privacy.references import references
from engage.privacy.subject_access_archive import write
from engage.privacy.subject_access_page import AboutSource, Frame
from engage.settings import Settings
from engage.sources import Source, load_sources
from engage.warehouse import Connection

FOLDER = "subject-access"
"""Within ENGAGE_HOME: what was made, `<request id>.zip`."""

_RECORD = """
insert into ops.subject_request (kind, student_id, received_on, due_on, recorded_at, recorded_by)
values ('access', %(student)s, %(received)s, %(due)s, %(now)s, %(by)s)
returning request_id
"""
_OPEN = """
select request_id from ops.subject_request
where kind = 'access' and student_id = %(student)s and received_on = %(received)s and completed_at is null
order by request_id limit 1
"""
_COLUMNS = (
    "request_id, student_id, received_on, due_on, extended_to, extension_reason, recorded_by,"
    " completed_at, completed_by, content_hash"
)
_REQUEST = f"select {_COLUMNS} from ops.subject_request where request_id = %s and kind = 'access'"  # noqa: S608
_LIST = """
select
    request_id, kind, received_on, coalesce(extended_to, due_on) as due_on,
    case
        when completed_at is not null then 'done'
        when coalesce(extended_to, due_on) < %(today)s then 'overdue'
        when coalesce(extended_to, due_on) <= %(today)s + 7 then 'due'
        else 'open'
    end as state,
    extended_to is not null as is_extended, completed_at, recorded_by
from ops.subject_request
order by completed_at is not null, coalesce(extended_to, due_on), request_id
"""
_EXTEND = """
update ops.subject_request set extended_to = %(until)s, extension_reason = %(reason)s
where request_id = %(request)s and completed_at is null
"""
_AUDIT = "insert into ops.audit (happened_at, person, action, rows) values (%s, %s, %s, %s)"
_DONE = """
update ops.subject_request set completed_at = %(now)s, completed_by = %(by)s, content_hash = %(hash)s
where request_id = %(request)s and completed_at is null
"""
_NAME = "select given_name, family_name from pii.student where student_id = %s"
_SOURCES = """
select source_id, title, system, purpose, lawful_basis, dpia_reference, retention_days
from ops.source
where source_id = any(%s)
"""


@dataclass(frozen=True)
class Request:
    """A row of `ops.subject_request` of kind access."""

    request_id: int
    student_id: str | None
    received_on: date
    due_on: date
    extended_to: date | None
    extension_reason: str | None
    recorded_by: str
    completed_at: datetime | None
    completed_by: str | None
    content_hash: str | None

    @property
    def due(self) -> date:
        """By when it must be answered."""
        return self.extended_to or self.due_on


@dataclass(frozen=True)
class Installation:
    """Where everything lies that is searched."""

    connection: Connection
    store_url: str
    home: Path
    sources: Mapping[str, Source]
    """Drafts included: what they delivered lies there, too."""
    contact: str
    """E-mail address for questions about the archive."""
    periods: Periods


@dataclass(frozen=True)
class Made:
    """An archive, and what is in it: numbers only."""

    path: Path
    rows: int
    tables: int
    files: int


def installed(connection: Connection, settings: Settings) -> Installation:
    """Return the installation that the settings describe. Raises ConfigurationError."""
    return Installation(
        connection,
        settings.landing_url,
        settings.home,
        load_sources(settings.config, drafts=True),
        load_messaging(settings.config).support,
        load_periods(settings.config),
    )


def record(
    connection: Connection, student: str, received: date | None, period: Period, by: str, now: datetime
) -> Request:
    """Write down that a student asked, and by when an answer is due. Commits. Does not say whether anybody knows them.

    What was received on the same day and is not done is the same request: a copy that was killed is asked for again.
    `received`: today without it. Raises DecisionError for a day to come, or without a student or a name.
    """
    today = clock.local(connection, now).date()
    received = received or today
    if received > today:
        raise DecisionError("a request cannot have been received on a day to come")
    if not student.strip() or not by.strip():
        raise DecisionError("a request needs the number of a student, and the name of who records it")
    given = {
        "student": spelt(connection, student),
        "received": received,
        "due": period.due(received),
        "now": now,
        "by": by.strip(),
    }
    with connection.transaction():
        row = connection.execute(_OPEN, given).fetchone() or connection.execute(_RECORD, given).fetchone()
    connection.commit()
    return find(connection, int(str(row and row[0])))


def find(connection: Connection, request_id: int) -> Request:
    """Return a request by its number. Raises DecisionError where there is none."""
    found = connection.cursor(row_factory=class_row(Request)).execute(_REQUEST, [request_id]).fetchone()
    if found is None:
        raise DecisionError(f"there is no request {request_id} for a copy: engage sar list")
    return found


def requests(connection: Connection, today: date) -> list[dict[str, object]]:
    """Return the requests, those first that are due first: for a copy, and for erasure. None names its student."""
    return connection.cursor(row_factory=dict_row).execute(_LIST, {"today": today}).fetchall()


def extend(connection: Connection, request_id: int, until: date, reason: str, period: Period, today: date) -> Request:
    """Put a request off. Commits. Raises DecisionError: too late to say so, too far, or without a reason."""
    request = find(connection, request_id)
    if request.completed_at:
        raise DecisionError(f"request {request_id} is done")
    if not reason.strip():
        raise DecisionError("say why: the student must be told within the month")
    if today > request.due_on:
        raise DecisionError(f"request {request_id} was due on {request.due_on}: it could be put off until then only")
    if not request.due_on < until <= period.extended(request.received_on):
        raise DecisionError(
            f"request {request_id} may be put off to a day after {request.due_on} and"
            f" not after {period.extended(request.received_on)}"
        )
    with connection.transaction():
        connection.execute(_EXTEND, {"until": until, "reason": reason.strip(), "request": request_id})
    connection.commit()
    return find(connection, request_id)


def is_known(connection: Connection, student: str) -> bool:
    """Say whether a roster names the student."""
    row = connection.execute(
        "select exists (select from pii.student where student_id = %(student)s)"
        " or exists (select from raw.students where student_id = %(student)s)",
        {"student": spelt(connection, student)},
    ).fetchone()
    return bool(row and row[0])


def holdings(installation: Installation, student: str) -> Holdings:
    """Return everything held of a student, of one whom no roster names by the number as any reference. Commits."""
    student = spelt(installation.connection, student)
    who, refs = person(installation.connection, student), references(installation.connection, [student])
    if not is_known(installation.connection, student):
        who, refs = Person((student,), (student.lower(),)), unknown_references(student)
    return gather(installation.connection, installation.store_url, installation.home, installation.sources, who, refs)


def answer(installation: Installation, request_id: int, by: str, now: datetime, folder: Path | None = None) -> Made:
    """Make the archive of a request, in ENGAGE_HOME/subject-access or in `folder`, and note that it is done. Commits.

    Killed anywhere, it is made anew by a second call. Raises DecisionError: done already, or the student erased.
    """
    connection = installation.connection
    request = find(connection, request_id)
    if request.completed_at:
        raise DecisionError(f"request {request_id} is done: record another one for a new copy")
    if request.student_id is None:
        raise DecisionError(f"request {request_id}: the student has been erased")
    held = holdings(installation, request.student_id)
    rows = sum(len(table.rows) for table in held.tables)
    # Written before it is shown.
    connection.execute(_AUDIT, [now, by, f"made the copy of subject request {request_id}", rows])
    connection.commit()
    own = installation.home / FOLDER
    if folder is None:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        own.chmod(0o700)
    path = (folder or own) / f"{request_id}.zip"
    digest = write(path, held, _frame(installation, request, held, now))
    with connection.transaction():
        connection.execute(_DONE, {"now": now, "by": by, "hash": digest, "request": request_id})
    connection.commit()
    return Made(path, rows, len(held.tables), sum(document.lines > 0 for document in held.documents))


def _frame(installation: Installation, request: Request, held: Holdings, now: datetime) -> Frame:
    connection = installation.connection
    name = connection.execute(_NAME, [request.student_id]).fetchone() or ()
    named = {str(row["source_id"]) for table in held.tables for row in table.rows if row.get("source_id")}
    named |= {document.origin for document in held.documents}
    return Frame(
        request_id=request.request_id,
        received_on=request.received_on,
        due_on=request.due,
        made_at=now,
        name=" ".join(str(part) for part in name if part),
        contact=installation.contact,
        sources=_sources(installation, named),
        periods=installation.periods,
    )


def _sources(installation: Installation, named: Collection[str]) -> list[AboutSource]:
    """Return what the source files say, and of sources that have none any more what the warehouse remembers."""
    cursor = installation.connection.cursor(row_factory=class_row(AboutSource))
    said = {one.source_id: one for one in cursor.execute(_SOURCES, [sorted(named)])}
    for source_id in set(named) & set(installation.sources):
        source = installation.sources[source_id]
        privacy = source.privacy
        said[source_id] = AboutSource(
            source_id,
            source.title,
            source.system,
            privacy.purpose,
            privacy.lawful_basis,
            privacy.dpia_reference,
            privacy.retention_days,
        )
    return sorted(said.values(), key=lambda one: (one.title, one.source_id))
