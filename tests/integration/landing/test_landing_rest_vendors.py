"""Canvas, Panopto and the CRM as the campus has them, failing every few calls: what is published is what was done."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import psycopg
import pytest
from starlette.applications import Starlette

from campus import servers
from campus.systems import Serving, crm
from campus.systems.registry import FEEDS
from campus.world import ZONE, World
from engage.batches import process_pending
from engage.landing import land
from engage.settings import PROJECT
from engage.sources import load_source
from engage.suites import load_suite
from engage.warehouse import connect, with_database

WORLD = World(date(2026, 8, 24), students=200, weeks=3)
NOW = datetime(2026, 8, 28, 7, tzinfo=ZONE)
DAYS = range(4)
FEED = {feed.source_id: feed for feed in FEEDS}


@pytest.fixture(scope="module")
def vendors(postgres_url: str, migrated_template: str) -> Iterator[tuple[str, list[datetime]]]:
    """URL of a warehouse that knows the students of a campus whose APIs are served, and the campus's clock."""
    clock = [NOW]
    serving = Serving(WORLD, lambda: clock[0], "s3cret", fault_every=7)
    routes = [route for feed in FEEDS if feed.routes for route in feed.routes(serving)]
    with connect(with_database(postgres_url, "postgres"), autocommit=True) as server:
        server.execute(f"create database vendors template {migrated_template}")
    url = with_database(postgres_url, "vendors")
    people = WORLD.population
    with connect(url) as connection:
        connection.execute("insert into ops.config_version values ('v', '{}', now())")
        connection.execute(
            "insert into ops.scoring_parameter values (default, 'v', 'Europe/London', '{1}', 5, 4, 30, 10, .5, 80, 3,"
            " 'normal_scores', 'exclude', 2, 3)"
        )
        known = [("username", name) for name in people.username]
        known += [("email", f"{name}@students.northbank.example") for name in people.username]
        for (kind, ref), student_id in zip(known, people.student_id * 2, strict=True):
            connection.execute(
                "insert into pii.identity values (%s, %s, %s, '0001-01-01', '9999-12-31')", [kind, ref, student_id]
            )
    with servers.http_server(Starlette(routes=routes)) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMPUS_API_URL", address)
        patch.setenv("CAMPUS_API_TOKEN", "s3cret")
        patch.setenv("CAMPUS_ADOPTED", "2026-08-24")
        patch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
        yield url, clock


def publish(url: str, source_id: str, now: datetime, store: Path) -> psycopg.Connection[tuple[object, ...]]:
    """Land and publish what is there; return a connection."""
    source = load_source(PROJECT / "config" / "sources" / f"{source_id}.yaml")
    connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
    assert land(connection, source, str(store), now).problems == []
    outcomes = process_pending(url, source, load_suite(PROJECT / "expectations", source), str(store), now)
    assert outcomes and {(o.state, o.problem) for o in outcomes} == {("published", None)}, outcomes
    assert min(o.quality_score for o in outcomes) > 95
    return connection


@pytest.mark.parametrize("source_id", ["canvas_page_views", "canvas_submissions", "panopto_views"])
def test_what_is_published_is_what_students_did(
    vendors: tuple[str, list[datetime]], source_id: str, tmp_path: Path
) -> None:
    url, clock = vendors
    clock[0] = NOW
    wanted: Counter[tuple[str, datetime]] = Counter()
    for day in DAYS:
        does = FEED[source_id].done
        assert does is not None
        done = does(WORLD, day)
        for who, at in zip(done.who.tolist(), done.at.tolist(), strict=True):
            wanted[WORLD.population.student_id[who], datetime.fromtimestamp(at, UTC)] += 1
    with publish(url, source_id, NOW, tmp_path) as connection:
        rows = connection.execute(
            "select student_id, occurred_at from raw.activity where source_id = %s and activity_date <= %s",
            [source_id, WORLD.date(DAYS[-1])],
        ).fetchall()
        covered = connection.execute(
            "select day from ops.coverage where source_id = %s and is_complete order by day", [source_id]
        ).fetchall()
    assert Counter(rows) == wanted and len(wanted) > 4
    assert [day for (day,) in covered][: len(DAYS)] == [WORLD.date(day) for day in DAYS]


def test_the_full_lists_of_the_crm_are_read_once_a_day(vendors: tuple[str, list[datetime]], tmp_path: Path) -> None:
    url, clock = vendors
    opened = [(WORLD.population.student_id[who], at) for day in range(6) for who, at in crm.opened(WORLD, day)]
    for today in (date(2026, 8, 28), date(2026, 8, 29)):
        clock[0] = datetime.combine(today, time(7), ZONE)
        for source_id in ("crm_cases", "crm_contacts"):
            publish(url, source_id, clock[0], tmp_path).close()
        with connect(url) as connection:
            source = load_source(PROJECT / "config" / "sources" / "crm_cases.yaml")
            assert land(connection, source, str(tmp_path), clock[0]).landed == []
            query = "select student_id, opened_at from raw.cases where as_of_date = %s"
            assert sorted(connection.execute(query, [today]).fetchall()) == sorted(
                [(student_id, at) for student_id, at in opened if at <= clock[0]]
            )
            (known,) = connection.execute(
                "select count(*) from raw.contacts where as_of_date = %s", [today]
            ).fetchone() or (0,)
            assert known == sum(at + timedelta(days=n) <= clock[0] for _, at in opened for n in (1, 3, 5)) > 0
