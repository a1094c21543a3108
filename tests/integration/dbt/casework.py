"""What tests of the marts of casework share: the constants of a moment, and models made from their compiled SQL."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.reference.scoring import Parameters, University

Connection = psycopg.Connection[Any]
NOBODY = University(Parameters({"vle": 1.0}, [("institution", [])]), [], [], [], [], set())


def at(connection: Connection, now: datetime) -> None:
    """Say that it is now so late: the first time with a configuration, sources and a calendar without holidays."""
    if connection.execute("select from ops.scoring_parameter").fetchone() is None:
        universe.configure(connection, NOBODY)
        columns = ["source_id", "title", "relation", "record", "is_digital"]
        sources = [("clicks", "", "append", "activity", True), ("gates", "", "append", "activity", False)]
        universe.rows(connection, "ops.source", columns, sources)
        universe.partition(connection, "term_calendar", {"term_calendar"})
    connection.execute("update ops.scoring_parameter set as_of = %s", [now])


def make(connection: Connection, project: Project, *relations: str) -> None:
    """Make tables anew from the SQL of their models, one after the other."""
    for relation in relations:
        compiled = next(Path(project.home).rglob(f"compiled/**/{relation.partition('.')[2]}.sql")).read_text()
        connection.execute(f"create temporary table made on commit drop as {compiled}")
        names = connection.execute(
            "select string_agg(attname, ', ') from pg_attribute where attrelid = 'made'::regclass and attnum > 0"
        ).fetchall()[0][0]
        connection.execute(f"delete from {relation}")
        connection.execute(f"insert into {relation} ({names}) select {names} from made; drop table made")


def notify(connection: Connection, student: str, day: date, kind: str = "score", **columns: Any) -> int:
    """Write a raised notification; return its number."""
    given = {
        "student_id": student,
        "rule_id": kind,
        "kind": kind,
        "trigger_date": day,
        "noticed_at": day,
        "raised_at": day,
        "status": "raised",
        "reason": "",
        "evidence": "{}",
    } | columns
    query = psycopg.sql.SQL("insert into ops.notification ({}) values ({}) returning notification_id").format(
        psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, given)),
        psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, given)),
    )
    return int(connection.execute(query, given).fetchall()[0][0])
