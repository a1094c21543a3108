"""The canonical records that sources deliver (feeds.md), as data: every field with its type, and where a row's day
comes from. A new kind of record is a new entry here and a table in a migration; nothing else names a field twice."""

from dataclasses import dataclass
from typing import Literal

FieldType = Literal["text", "integer", "number", "boolean", "date", "timestamp"]


@dataclass(frozen=True)
class Field:
    """One canonical field: its type, whether a row makes sense without it, its column in the published table."""

    type: FieldType
    required: bool = False
    column: str | None = None
    """Column of the published table when it is not called like the field; empty: kept in `pii` only."""
    default: str | None = None


@dataclass(frozen=True)
class Record:
    """A kind of row: its fields, and the field whose local day files it under a day (None: the snapshot's date)."""

    fields: dict[str, Field]
    day_of: str | None
    names_student: bool
    """True: `student_ref` is mapped to a student by `pii.identity`."""


RECORDS: dict[str, Record] = {
    "activity": Record(
        day_of="occurred_at",
        names_student=True,
        fields={
            "event_id": Field("text"),
            "student_ref": Field("text", required=True, column=""),
            "occurred_at": Field("timestamp", required=True),
            "resource_type": Field("text"),
            "resource_ref": Field("text"),
            "quantity": Field("integer", default="1"),
            "duration_s": Field("number"),
        },
    ),
    "attendance": Record(
        day_of="starts_at",
        names_student=True,
        fields={
            "event_id": Field("text"),
            "student_ref": Field("text", required=True, column=""),
            "starts_at": Field("timestamp", required=True),
            "ends_at": Field("timestamp"),
            "session_type": Field("text"),
            "mandatory": Field("boolean", column="is_mandatory", default="true"),
            "attended": Field("boolean", required=True, column="is_attended"),
            "late": Field("boolean", column="is_late"),
            "recorded_at": Field("timestamp"),
        },
    ),
    "students": Record(
        day_of=None,
        names_student=False,
        fields={
            "student_id": Field("text", required=True),
            "is_sponsored": Field("boolean"),
            "given_name": Field("text", column=""),
            "family_name": Field("text", column=""),
            "email": Field("text", column=""),
            "username": Field("text", column=""),
            "badge": Field("text", column=""),
        },
    ),
    "enrolments": Record(
        day_of=None,
        names_student=False,
        fields={
            "student_id": Field("text", required=True),
            "programme_code": Field("text"),
            "programme_name": Field("text"),
            "faculty_code": Field("text"),
            "year_of_study": Field("text"),
            "mode": Field("text"),
            "entry_band": Field("text"),
            "cohort": Field("text"),
            "campus_residence": Field("text"),
            "tutor_id": Field("text"),
            "status": Field("text", required=True),
            "status_from": Field("date"),
            "status_to": Field("date"),
        },
    ),
    "term_calendar": Record(
        day_of=None,
        names_student=False,
        fields={
            "term_code": Field("text", required=True),
            "kind": Field("text", default="teaching"),
            "starts_on": Field("date", required=True),
            "ends_on": Field("date", required=True),
            "programme_code": Field("text"),
            "cohort": Field("text"),
        },
    ),
    "staff_links": Record(
        day_of=None,
        names_student=False,
        fields={
            "staff_id": Field("text", required=True),
            "student_id": Field("text", required=True),
            "role": Field("text", default="tutor"),
            "valid_from": Field("date"),
            "valid_to": Field("date"),
            "staff_name": Field("text", column=""),
            "staff_email": Field("text", column=""),
        },
    ),
    "modules": Record(
        day_of=None,
        names_student=False,
        fields={
            "module_code": Field("text", required=True),
            "title": Field("text"),
            "faculty_code": Field("text"),
            "starts_on": Field("date"),
            "ends_on": Field("date"),
        },
    ),
    "cases": Record(
        day_of=None,
        names_student=False,
        fields={
            "case_id": Field("text", required=True),
            "student_id": Field("text", required=True),
            "kind": Field("text"),
            "status": Field("text", required=True),
            "opened_at": Field("timestamp", required=True),
            "closed_at": Field("timestamp"),
            "assigned_to": Field("text"),
        },
    ),
    "contacts": Record(
        day_of=None,
        names_student=False,
        fields={
            "contact_id": Field("text", required=True),
            "student_id": Field("text", required=True),
            "case_id": Field("text"),
            "contacted_at": Field("timestamp", required=True),
            "channel": Field("text"),
            "outcome": Field("text"),
            "contacted_by": Field("text"),
        },
    ),
    "exemptions": Record(
        day_of=None,
        names_student=False,
        fields={
            "exemption_ref": Field("text", required=True),
            "student_id": Field("text", required=True),
            "exemption_type": Field("text", required=True),
            "starts_on": Field("date", required=True),
            "ends_on": Field("date", required=True),
            "created_on": Field("date"),
            "created_by": Field("text"),
        },
    ),
    "characteristics": Record(
        day_of=None,
        names_student=False,
        fields={
            "student_id": Field("text", required=True),
            "characteristic": Field("text", required=True),
            "member": Field("text", required=True),
        },
    ),
    "student_notes": Record(
        day_of=None,
        names_student=False,
        fields={
            "note_id": Field("text", required=True),
            "student_id": Field("text", required=True),
            "note": Field("text", required=True),
            "written_at": Field("timestamp", required=True),
        },
    ),
}

IDENTITY_KINDS = ("student_id", "username", "email", "badge")
"""What a source may know a student by: the fields of `students` that feed `pii.identity`."""
