"""Puts a reference University into a warehouse, and runs the compiled weekly models over it without dbt's overhead."""

from collections.abc import Iterable
from dataclasses import astuple
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from tests.reference.daily import Interaction, Session
from tests.reference.scoring import Part, Score, University

Connection = psycopg.Connection[Any]
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
EVER = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any day of any test."""
ATTRIBUTES = ["programme_code", "faculty_code", "year_of_study", "mode", "entry_band", "cohort", "campus_residence"]
ATTRIBUTES += ["tutor_id"]
COMPLETE, POOR = 1, 2
"""Quality of the batch that covers a day: just enough, and just not."""


def configure(connection: Connection, university: University) -> None:
    """Write parameters, weights, levels, sources, exemptions and coverage to `ops`."""
    p = university.parameters
    connection.execute("insert into ops.config_version values ('test', '{}', %s) on conflict do nothing", [NOW])
    connection.execute("delete from ops.scoring_parameter")
    connection.execute(
        "insert into ops.scoring_parameter values "
        "(true, 'test', 'Europe/London', %s, %s, %s, %s, %s, %s, 80, %s, %s, %s, %s, %s)",
        [
            p.week_weights,
            *(p.min_complete_days, p.min_eligible_days, p.min_group_size, p.min_institution_size),
            *(p.min_category_weight, p.max_z, p.calibration, p.missing, p.max_imputed_weeks, p.degraded_weeks),
        ],
    )
    rows(connection, "ops.category_weight", ["category", "weight"], p.category_weights.items())
    sets = [("published", p.peer_levels), *p.peer_sets.items()]
    levels = [(peer_set, name, attributes) for peer_set, given in sets for name, attributes in given]
    columns = ["position", "peer_set", "peer_level", "attributes"]
    rows(connection, "ops.peer_level", columns, [(k, *level) for k, level in enumerate(levels, start=1)])
    columns = ["source_id", "title", "relation", "is_digital", "record", "category", "weight", "enabled_from"]
    sources = [(s.source_id, "", "append", True, *astuple(s)[1:]) for s in university.sources]
    sources += [
        (s, "", "snapshot", False, s, None, None, None, None) for s in ("enrolments", "term_calendar", "students")
    ]
    rows(connection, "ops.source", [*columns, "disabled_from"], sources)
    exemptions = [(e.student_id, "authorised", e.starts_on, e.ends_on, EVER) for e in university.exemptions]
    columns = ["student_id", "exemption_type", "starts_on", "ends_on", "created_at"]
    rows(connection, "ops.exemption", columns, exemptions)
    cover(connection, COMPLETE, university.complete_days)


def cover(connection: Connection, quality: int, days: Iterable[tuple[str, date]]) -> None:
    """Say that these days of these sources are covered, each source by one batch of this quality."""
    connection.execute("create temporary table given (source_id text, day date) on commit drop")
    rows(connection, "given", ["source_id", "day"], days)
    connection.execute(
        """
        with made as (
            select source_id, row_number() over (order by source_id) * 10 + %(quality)s as batch_id
            from (select distinct source_id from given) as s
        ), deliveries as (
            insert into ops.delivery (
                delivery_id, source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at
            ) overriding system value
            select batch_id, source_id, batch_id, 'any', 1, %(now)s, 'any', %(now)s from made returning delivery_id
        ), batches as (
            insert into ops.batch (batch_id, delivery_id, source_id, state, quality_score, started_at)
            overriding system value
            select batch_id, batch_id, source_id, 'published', case %(quality)s when 1 then 80 else 79.9 end, %(now)s
            from made
        )
        insert into ops.batch_day (batch_id, source_id, day, is_covered, is_current)
        select made.batch_id, given.source_id, given.day, true, true
        from given inner join made using (source_id)
        """,
        {"quality": quality, "now": NOW},
    )
    connection.execute("drop table given")


def enrol(connection: Connection, university: University) -> None:
    """Write roster and calendar to `raw`."""
    for table in ("students", "enrolments", "term_calendar"):
        partition(
            connection,
            table,
            {table, *(e.source_id for e in university.enrolments)} if table == "enrolments" else {table},
        )
    keys = ["source_id", "as_of_date", "batch_id", "row_number", "student_id", "status", "status_from", "status_to"]
    rows(
        connection,
        "raw.enrolments",
        [*keys, *ATTRIBUTES],
        [
            (
                e.source_id,
                e.as_of,
                1,
                k,
                e.student_id,
                e.status,
                e.status_from,
                e.status_to,
                *map(e.attributes.get, ATTRIBUTES),
            )
            for k, e in enumerate(university.enrolments)
        ],
    )
    keys = ["source_id", "as_of_date", "batch_id", "row_number", "term_code", "kind", "starts_on", "ends_on"]
    rows(
        connection,
        "raw.term_calendar",
        [*keys, "programme_code", "cohort"],
        [
            (
                "term_calendar",
                date(2020, 1, 1),
                1,
                k,
                "T",
                "teaching",
                t.starts_on,
                t.ends_on,
                t.programme_code,
                t.cohort,
            )
            for k, t in enumerate(university.calendar)
        ],
    )


def act(connection: Connection, university: University) -> None:
    """Write daily activity straight into the mart: for tests of the score alone."""
    categories = {s.source_id: s.category for s in university.sources}
    rows(
        connection,
        "marts.daily_activity",
        ["student_id", "activity_date", "source_id", "interactions", "expected", "attended", "events", "category"],
        [(*astuple(a), a.interactions, categories[a.source_id]) for a in university.activity],
    )


def publish_rows(connection: Connection, interactions: list[Interaction], sessions: list[Session]) -> None:
    """Put rows into `raw` and touch their days, as publishing a batch does."""
    partition(connection, "activity", {i.source_id for i in interactions})
    partition(connection, "attendance", {s.source_id for s in sessions})
    columns = ["source_id", "activity_date", "student_id"]
    rows(
        connection,
        "raw.activity",
        [*columns, "occurred_at", "quantity", "batch_id", "row_number"],
        [(*astuple(i), 1, 1) for i in interactions],
    )
    rows(
        connection,
        "raw.attendance",
        [*columns, "starts_at", "is_mandatory", "is_attended", "batch_id", "row_number"],
        [(*astuple(s), 1, 1) for s in sessions],
    )
    touch(connection, {(i.source_id, i.day) for i in interactions} | {(s.source_id, s.day) for s in sessions})


def touch(connection: Connection, days: Iterable[tuple[str, date]]) -> None:
    """Say that the published rows of these days changed."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.touched_day (source_id, day) values (%s, %s) on conflict do nothing", list(days)
        )


def pend(connection: Connection, weeks: Iterable[date], revision: int = 0, reason: str | None = None) -> None:
    """Ask for these weeks to be scored."""
    columns = ["week_start", "revision", "state", "reason", "data_as_of", "published_at"]
    rows(connection, "ops.publication", columns, [(w, revision, "pending", reason, NOW, NOW) for w in weeks])


def partition(connection: Connection, table: str, sources: set[str]) -> None:
    """Make a partition for each source."""
    for source in sorted(sources):
        connection.execute(
            psycopg.sql.SQL("create table if not exists raw.{} partition of raw.{} for values in ({})").format(
                psycopg.sql.Identifier(f"{table}_{source}"), psycopg.sql.Identifier(table), psycopg.sql.Literal(source)
            )
        )


def rows(connection: Connection, table: str, columns: list[str], values: Iterable[tuple[Any, ...]]) -> None:
    """Copy rows into a table."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin") as copy,
    ):
        for value in values:
            copy.write_row(value)


def score(connection: Connection, models: list[tuple[str, str]]) -> dict[tuple[str, date], Score]:
    """Run the weekly models over what is in the warehouse and return its current scores; roll back afterwards."""
    return score_by_sets(connection, models)[0]


def score_by_sets(
    connection: Connection, models: list[tuple[str, str]]
) -> tuple[dict[tuple[str, date], Score], dict[str, dict[tuple[str, date], Score]]]:
    """As `score`, and by the name of each other peer set what it says: without marks and parts, which it has not."""
    for relation, sql in models:
        connection.execute(f"drop table {relation} cascade; create unlogged table {relation} as {sql}")
    found = scores(connection)
    by_set: dict[str, dict[tuple[str, date], Score]] = {}
    for peer_set, student, week, *values in connection.execute(
        "select peer_set, student_id, week_start, status, score, composite, peer_level, peer_group, peer_n "
        "from marts.peer_set_score"
    ):
        by_set.setdefault(peer_set, {})[student, week] = Score(*[*values, [], {}])
    connection.rollback()
    return found, by_set


def scores(connection: Connection) -> dict[tuple[str, date], Score]:
    """Return the current scores of the warehouse with their parts."""
    parts: dict[tuple[str, date], dict[str, Part]] = {}
    for student, week, source, *values in connection.execute(
        "select p.student_id, p.week_start, p.source_id, p.metric, p.z, p.weight, p.contribution "
        "from marts.weekly_score_part as p inner join marts.weekly_score using (student_id, week_start, revision)"
    ):
        parts.setdefault((student, week), {})[source] = Part(*values)
    found = {}
    for student, week, used, *values in connection.execute(
        "select student_id, week_start, sources_used, status, score, composite, peer_level, peer_group, peer_n, marks "
        "from marts.weekly_score"
    ):
        found[student, week] = Score(*[*values, parts.get((student, week), {})])
        assert used == sorted(parts.get((student, week), {}))
    return found
