"""The health of a source on a day: facts follow late data, what was judged at the end of a day stays."""

from datetime import UTC, date, datetime, timedelta

import psycopg

from engage import configuration, dbt
from engage.settings import PROJECT
from engage.sources import load_sources
from engage.warehouse import connect
from tests.integration.dbt.conftest import Project

HEALTH = """
select health_date, freshness, covered, complete, quality_score, rows_accepted, last_delivery_at is not null, xmin::text
from marts.source_health where source_id = 'library_gates' order by health_date
"""
MONDAY = date(2026, 10, 12)


def deliver(connection: psycopg.Connection[tuple[object, ...]], day: date, at: datetime, quality: int = 100) -> None:
    connection.execute(
        """
        with delivery as (
            insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)
            values ('library_gates', %(day)s::text, 'x', 1, %(at)s, 'x', %(at)s) returning delivery_id
        ),
        batch as (
            insert into ops.batch (delivery_id, source_id, state, quality_score, rows_accepted, rows_quarantined,
                started_at, published_at)
            select delivery_id, 'library_gates', 'published', %(quality)s, 7, 0, %(at)s, %(at)s from delivery
            returning batch_id
        )
        insert into ops.batch_day select batch_id, 'library_gates', %(day)s, true, true from batch
        """,
        {"day": day, "at": at, "quality": quality},
    )


def test_late_data_changes_the_facts_of_its_day_and_not_what_was_judged(url: str, project: Project) -> None:
    sources = load_sources(PROJECT / "config")

    def build(now: datetime) -> dict[date, tuple[object, ...]]:
        with connect(url) as connection:
            configuration.sync(connection, PROJECT / "config", sources, now)
        dbt.run(url, ["build", "--select", "source_health", "--exclude", "resource_type:unit_test"], project.home)
        with connect(url) as connection:
            return {row[0]: row[1:] for row in connection.execute(HEALTH.encode()).fetchall()}  # type: ignore[misc]

    def at(day: int, hour: int) -> datetime:
        return datetime(2026, 10, 12 + day, hour, tzinfo=UTC)

    with connect(url) as connection:
        deliver(connection, MONDAY, at(1, 6))
    first = build(at(4, 12))
    days = [MONDAY + timedelta(days=n) for n in range(5)]
    assert list(first) == days
    states = [first[day][0] for day in days]
    # Covered until Monday's midnight: limits 36 h and 48 h. On Monday nothing was collected yet.
    assert states == ["disabled", "fresh", "warning", "stale", "stale"]
    assert [first[day][1] for day in days] == [True, False, False, False, False]

    with connect(url) as connection:
        deliver(connection, MONDAY + timedelta(days=1), at(4, 13))
        deliver(connection, MONDAY + timedelta(days=3), at(4, 13), quality=60)
    # Stricter from now on: no reason to think otherwise of days that are over.
    gates = sources["library_gates"]
    limits = gates.freshness.model_copy(update={"warn_after_h": 1, "fail_after_h": 14})
    sources["library_gates"] = gates.model_copy(update={"freshness": limits})
    second = build(at(4, 14))
    assert [second[day][0] for day in days] == ["disabled", "fresh", "warning", "stale", "stale"]
    assert [second[day][1:5] for day in days[1:4]] == [
        (True, True, 100, 7),
        (False, False, None, 0),
        (True, False, 60, 7),
    ]
    written = [day for day in days if second[day][-1] != first[day][-1]]
    assert written == [days[1], days[3], days[4]], "those and the present day; the others were not written again"
