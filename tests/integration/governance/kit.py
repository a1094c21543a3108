"""What the summary reads, with as few students as a test needs: marts by their promised columns, the rest as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from psycopg.rows import namedtuple_row

from engage import configuration
from engage.sources import load_sources
from engage.warehouse import Connection
from tests.reference.governance import Student

CONFIG = Path(__file__).parents[3] / "config"
FIRST = date(2026, 8, 24)
NOW = datetime(2026, 10, 26, 14, tzinfo=UTC)
"""A Monday; the weeks of the tests are over."""
TABLES = """
create schema if not exists marts;
create schema if not exists intermediate;
create table marts.score_trend (
    student_id text, week_start date, score smallint, declining boolean, consistently_low boolean,
    change_4w smallint default 0
);
create table marts.source_health (
    source_id text, health_date date, freshness text, complete boolean, quality_score double precision
);
create table marts.intervention_outcome (
    student_id text, kind text, source_id text, intervention_id text, occurred_at timestamptz, recovered boolean,
    change_4w smallint, change_5w smallint, change_6w smallint, comparable_change_4w double precision,
    comparable_change_5w double precision, comparable_change_6w double precision,
    comparable_recovered_share double precision, is_settled boolean
);
create table marts.contact_step (status text, is_overdue boolean);
create table marts.case_action (student_id text, action text, created_at timestamptz);
create table intermediate.int_contact (student_id text, contacted_at timestamptz, outcome text);
create table intermediate.int_exemption (student_id text, exemption_type text, starts_on date, ends_on date);
create table raw.enrolments__tests partition of raw.enrolments for values in ('enrolments');
create table raw.term_calendar__tests partition of raw.term_calendar for values in ('term_calendar');
create table raw.characteristics__tests partition of raw.characteristics for values in ('characteristics');
"""


@dataclass
class Registry:
    """The university's records."""

    connection: Connection

    def __post_init__(self) -> None:
        with self.connection.transaction():
            self.connection.execute(TABLES)
            configuration.sync(self.connection, CONFIG, load_sources(CONFIG), NOW - timedelta(days=90))
            self.connection.execute(
                "insert into raw.term_calendar"
                " (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on, ends_on)"
                " values ('term_calendar', %s, 1, 1, '2026T1', 'teaching', %s, %s)",
                [FIRST, FIRST, FIRST + timedelta(days=90)],
            )

    def enrol(self, students: Sequence[Student]) -> None:
        """Put them on the list of the first day, numbered from 0."""
        roster, groups = [], []
        for n, one in enumerate(students):
            roster.append((FIRST, n, f"S{n}", one.programme, one.faculty, one.year_of_study, one.mode))
            groups += [(FIRST, n, f"S{n}", name, member) for name, member in one.characteristics.items()]
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into raw.enrolments (source_id, as_of_date, batch_id, row_number, student_id, programme_code,"
                " faculty_code, year_of_study, mode, status)"
                " values ('enrolments', %s, 1, %s, %s, %s, %s, %s, %s, 'active')",
                roster,
            )
            cursor.executemany(
                "insert into raw.characteristics"
                " (source_id, as_of_date, batch_id, row_number, student_id, characteristic, member)"
                " values ('characteristics', %s, 1, %s, %s, %s, %s)",
                groups,
            )

    def score(self, week: date, students: Sequence[Student], revision: int = 1, at: datetime | None = None) -> None:
        """Publish a week of theirs; in the same week whoever is_raised is told of."""
        published_at = at or datetime.combine(week + timedelta(days=7), time(8), UTC)
        self.connection.execute("delete from marts.score_trend where week_start = %s", [week])
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into marts.score_trend values (%s, %s, %s, %s, %s)",
                [(f"S{n}", week, one.score, one.declining, one.consistently_low) for n, one in enumerate(students)],
            )
        self.connection.execute(
            "insert into ops.publication (week_start, revision, state, data_as_of, published_at)"
            " values (%s, %s, 'published', %s, %s)",
            [week, revision, published_at, published_at],
        )
        for n, one in enumerate(students):
            if one.is_raised and revision == 1:
                self.notify(f"S{n}", week, "raised")

    def notify(
        self, student: str, week: date, status: str, kind: str = "low_activity", resolved: date | None = None
    ) -> None:
        """Notice something on the Tuesday of a week; `resolved` in a later week it was held until then."""
        noticed = datetime.combine(week + timedelta(days=1), time(9), UTC)
        later = datetime.combine(resolved + timedelta(days=1), time(9), UTC) if resolved else None
        raised = (later or noticed) if status == "raised" else None
        self.connection.execute(
            "insert into ops.notification (student_id, rule_id, kind, trigger_date, noticed_at, raised_at, resolved_at,"
            " status, reason, evidence) values (%s, %s, %s, %s, %s, %s, %s, %s, 'because', '{}')",
            [student, kind, kind, noticed.date(), noticed, raised, later, status],
        )

    def erase(self, student: str) -> None:
        """Remove somebody from everything that is read."""
        for table in ("marts.score_trend", "raw.enrolments", "raw.characteristics", "ops.notification"):
            self.connection.execute(f"delete from {table} where student_id = %s".encode(), [student])

    def rows(self, edition: str) -> list[Any]:
        """Return what is published of people in an edition."""
        query = "select * from governance.figure where edition_id = %s"
        return self.connection.cursor(row_factory=namedtuple_row).execute(query, [edition]).fetchall()

    def values(self, edition: str, figure: str) -> Mapping[tuple[date, str, str, str], float | None]:
        """Return the values of one figure by week, group and category."""
        found = [row for row in self.rows(edition) if row.figure_id == figure]
        return {(row.period_start, row.dimension, row.member, row.category): row.value for row in found}
