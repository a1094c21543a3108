"""Where personal data lies in the warehouse: the one declaration that exports, erasure and retention go by.

A table with a column student_id needs none, unless something is special about it; every other table of our schemas
is in declared_places.py, also that it holds nothing of students. What is done with the rows, and where files lie, is
not known here.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engage.decisions import DecisionError
from engage.privacy.declared_places import DECLARED
from engage.privacy.place import Place as Place
from engage.strict import ConfigurationError
from engage.warehouse import Connection

SCHEMAS = ("ops", "raw", "quarantine", "pii", "load", "intermediate", "marts", "governance")
"""Whose tables must be declared. `staging` holds views alone, and a view holds nothing."""


OTHERS = frozenset(
    (
        *("tutor_id", "staff_id", "contacted_by", "assigned_to", "done_by", "author", "person", "asked_by"),
        *("created_by", "changed_by", "decided_by", "recorded_by", "completed_by", "placed_by", "released_by"),
        *("granted_by", "revoked_by", "database_role", "login"),
    )
)
"""Columns that name somebody else wherever they occur: staff, and people who decided."""

_AGES_BY = (
    *("activity_date", "rating_date", "week_start", "trigger_date", "as_of_date", "started_on", "occurred_at"),
    *("reviewed_until", "created_at", "day"),
)
"""The first of these columns that a table has is what its rows age by."""

_KEPT_BY_SCHEMA = {"raw": "source", "marts": "marts", "ops": "cases", "pii": "derived"}
_ABOUT_BY_SCHEMA = {
    "raw": "What a source delivered about you, as it was accepted",
    "marts": "What was worked out about you",
    "intermediate": "Step in between",
    "ops": "What was done about it",
    "pii": "Who you are",
}


_ABOUT = {
    "raw.activity": "What systems recorded of you: each use, as it was accepted",
    "raw.attendance": "Sessions that you were expected at, and whether you came",
    "raw.students": "That the registry lists you",
    "raw.enrolments": "Your enrolments as the registry gave them",
    "raw.staff_links": "Who teaches or supports you",
    "raw.cases": "Cases about you in the student support system",
    "raw.contacts": "Contacts with you that were recorded",
    "raw.exemptions": "Authorised absences from the lists of the registry",
    "raw.student_notes": "What you wrote yourself about your circumstances",
    "raw.characteristics": "Protected characteristics, held only to check that nobody is treated unfairly",
    "marts.student": "Your programme, year, mode and status",
    "marts.daily_activity": "How much was recorded of you each day, by source",
    "marts.activity_windows": "The same over 7, 14 and 21 days",
    "marts.daily_rating": "Your daily engagement rating",
    "marts.weekly_score": "Your weekly engagement score",
    "marts.weekly_score_part": "What each source added to your weekly score",
    "marts.weekly_score_revision": "Every version of your weekly score that was published",
    "marts.peer_set_score": "Scores beside other groups of students, for analysis",
    "marts.score_trend": "How your weekly score changed",
    "marts.contact_list": "Whether you stand on today's list of students to get in touch with, and why",
    "marts.contact_step": "Steps taken to get in touch with you",
    "marts.case_action": "What the student support system was asked to do about you",
    "marts.intervention_outcome": "Whether your score recovered after somebody was in touch",
    "marts.termly_review": "When each system last saw you in a term",
    "marts.student_view": "What you are shown of it yourself",
    "marts.sponsored_contact_point": "Contact points that the sponsorship of your visa asks for",
    "ops.action": "What was to be done about a notification",
    "ops.ladder_run": "Sequences of attempts to get in touch with you",
}


_SPELT = """
select student_id from pii.student where lower(student_id) = lower(%(said)s)
union select student_id from pii.identity where lower(student_id) = lower(%(said)s)
union select student_id from pii.identity_sighting where lower(student_id) = lower(%(said)s)
union select student_id from ops.legal_hold where lower(student_id) = lower(%(said)s)
"""


@dataclass(frozen=True)
class Person:
    """Everything by which somebody is known here."""

    students: tuple[str, ...]
    """Student numbers, as a rule one."""
    refs: tuple[str, ...]
    """Every reference, in small letters: student numbers, user names, e-mail addresses, badges."""

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters of `Place.find`: students, refs, and words, a pattern of refs in a text."""
        return {"students": list(self.students), "refs": list(self.refs), "words": _words(self.refs)}


def spelt(connection: Connection, said: str) -> str:
    """Return a student number that somebody typed, small or capital letters, as the lists write it.

    Of one that no list names, as it was typed. Raises DecisionError if it may be one of several.
    """
    known = {str(student) for (student,) in connection.execute(_SPELT, {"said": said.strip()}).fetchall()}
    if said.strip() in known or not known:
        return said.strip()
    if len(known) > 1:
        raise DecisionError(
            "several student numbers differ only in small and capital letters: write it as the lists do"
        )
    return known.pop()


def person(connection: Connection, student: str) -> Person:
    """Return by what the owner of a student number is known; of one whom no list has named the number alone."""
    rows = connection.execute(
        "select lower(ref) from pii.identity where student_id = %(student)s"
        " union select lower(ref) from pii.identity_sighting where student_id = %(student)s"
        " union select lower(btrim(email)) from pii.student where student_id = %(student)s and btrim(email) <> ''",
        {"student": student},
    ).fetchall()
    return Person((student,), tuple(sorted({student.lower(), *(str(ref) for (ref,) in rows)})))


def places(connection: Connection) -> list[Place]:
    """Return every table of our schemas as a place, in an order in which rows may be deleted.

    Raises ConfigurationError naming the tables that nobody has declared, or that are declared to hold nothing and
    have a column student_id.
    """
    found, unknown = [], []
    for table, columns in _catalog(connection):
        place = _declared(table)
        if place is None and "student_id" in columns:
            place = _by_student(table, columns)
        if place is None or (not place.is_personal and "student_id" in columns):
            unknown.append(table)
        else:
            others = (*place.third_parties, *(name for name in columns if name in OTHERS and place.is_personal))
            ages = None if place.keep in ("derived", "forever") else place.dated
            found.append(replace(place, table=table, third_parties=tuple(dict.fromkeys(others)), dated=ages))
    if unknown:
        raise ConfigurationError(f"engage/privacy/places.py does not say what is personal in {', '.join(unknown)}")
    order = {place.table: position for position, place in enumerate(DECLARED)}
    return sorted(found, key=lambda place: (order.get(place.table, -1), place.table))


def undeclared_patterns(connection: Connection) -> list[str]:
    """Return the declarations that no table answers to."""
    tables = [table for table, _ in _catalog(connection)]
    return [place.table for place in DECLARED if not fnmatch.filter(tables, place.table)]


def _by_student(table: str, columns: Sequence[str]) -> Place:
    schema, _, name = table.partition(".")
    about = f"{_ABOUT_BY_SCHEMA.get(schema, 'Rows about you')}: {name.removeprefix('int_').replace('_', ' ')}"
    ages = next((f"t.{column}" for column in _AGES_BY if column in columns), None)
    return Place(table, _ABOUT.get(table, about), keep=_KEPT_BY_SCHEMA.get(schema, "derived"), dated=ages)


def _declared(table: str) -> Place | None:
    exact = [place for place in DECLARED if place.table == table]
    return next(iter(exact or [p for p in DECLARED if fnmatch.fnmatchcase(table, p.table)]), None)


def _catalog(connection: Connection) -> Iterator[tuple[str, list[str]]]:
    """Yield the tables of our schemas, partitions as one with their parent, with the names of their columns."""
    rows = connection.execute(
        """
        select n.nspname || '.' || c.relname, array_agg(a.attname::text order by a.attnum)
        from pg_class as c
        inner join pg_namespace as n on c.relnamespace = n.oid
        inner join pg_attribute as a on c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped
        where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition and n.nspname = any(%s)
        group by 1 order by 1
        """,
        [list(SCHEMAS)],
    ).fetchall()
    for table, columns in rows:
        assert isinstance(columns, list)  # noqa: S101
        yield str(table), columns


def _words(refs: Sequence[str]) -> str:
    """Return a pattern, for Postgres and without regard to case, of any of the references as a word of its own."""
    return f"(?<![[:alnum:]])({'|'.join(re.escape(ref) for ref in sorted(refs, key=len, reverse=True))})(?![[:alnum:]])"
