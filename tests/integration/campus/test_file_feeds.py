"""What every system writes into its files goes through the gate as its source file says, and is what was done.

One day of each, in a small world and one warehouse; rosters first, for others are understood by them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from campus.systems import Delivery, Feed, rosters, student_records
from campus.systems.registry import FEEDS
from campus.world import FIRST_SNAPSHOT, World
from engage.batches import BatchOutcome, process_pending
from engage.configuration import sync
from engage.settings import PROJECT
from engage.sources import load_sources
from engage.suites import load_suite
from tests.databases import cloned

WORLD = World(date(2026, 8, 24), students=60, weeks=4)
DAY = WORLD.adopted + 11
WITH_FILES = [feed for feed in FEEDS if feed.files and feed.source_id not in ("students", "term_calendar")]


class Gate:
    """A warehouse that has the configuration and the students, and a landing store in a folder."""

    def __init__(self, url: str, store: Path) -> None:
        self.url, self.store, self.sources = url, store, load_sources(PROJECT / "config")
        self.connection = psycopg.connect(url, autocommit=True)
        sync(self.connection, PROJECT / "config", self.sources, datetime.now(UTC))
        due, content = WORLD.due(DAY), lambda: student_records.students(WORLD, DAY)
        self.take(Delivery("students", DAY, "students", due, content))

    def take(self, delivery: Delivery) -> BatchOutcome:
        source, content, day = self.sources[delivery.source_id], delivery.content(), WORLD.date(delivery.day)
        digest = hashlib.sha256(content).hexdigest()
        (self.store / digest).write_bytes(content)
        self.connection.execute(
            "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, first_day, last_day,"
            " landed_path, landed_at) values (%s, %s, %s, %s, %s, %s, %s, %s, now())",
            [source.id, digest, delivery.path, len(content), delivery.due, day, day, digest],
        )
        suite = load_suite(PROJECT / "expectations", source)
        (outcome,) = process_pending(self.url, source, suite, str(self.store), delivery.due + timedelta(hours=1))
        return outcome

    def published(self, feed: Feed) -> Counter[tuple[object, ...]]:
        """Who did what when, as raw says it."""
        time, table = ("starts_at", "attendance") if feed.source_id == "attendance" else ("occurred_at", "activity")
        query = "select student_id, {time}, {quantity} from raw.{table} where source_id = %s"
        query += " and is_attended" if table == "attendance" else ""
        quantity = sql.SQL("1::bigint" if table == "attendance" else "quantity")
        composed = sql.SQL(query).format(time=sql.Identifier(time), quantity=quantity, table=sql.Identifier(table))
        return Counter(self.connection.execute(composed, [feed.source_id]).fetchall())


@pytest.fixture(scope="module")
def gate(postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with cloned(postgres_url, migrated_template, "file_feeds") as url:
        gate = Gate(url, tmp_path_factory.mktemp("landing"))
        yield gate
        gate.connection.close()


@pytest.mark.parametrize("feed", WITH_FILES, ids=lambda feed: feed.source_id)
def test_a_day_of_files_is_published_and_says_what_was_done(gate: Gate, feed: Feed) -> None:
    assert feed.files
    day = {"modules": WORLD.adopted, "characteristics": FIRST_SNAPSHOT}.get(feed.source_id, DAY)
    (delivery,) = feed.files(WORLD, day)
    outcome = gate.take(delivery)
    assert (outcome.state, outcome.problem, outcome.rows_quarantined) == ("published", None, 0)
    assert outcome.quality_score >= 80
    assert outcome.rows_accepted == outcome.rows_read - outcome.rows_dropped > 0
    assert ("new column" in str(outcome.notes)) == (delivery.fault == "" and feed.source_id == "blackboard")
    if feed.done:
        ids, (who, at, *_) = WORLD.population.student_id, feed.done(WORLD, day)
        times = [datetime.fromtimestamp(second, UTC) for second in at.tolist()]
        assert gate.published(feed) == Counter((ids[i], time, 1) for i, time in zip(who.tolist(), times, strict=True))
        # Staff, visitors and test accounts are in every log but the register.
        assert (outcome.rows_dropped > 0) == (feed.source_id != "attendance")


@pytest.mark.parametrize("feed", WITH_FILES, ids=lambda feed: feed.source_id)
def test_a_spoiled_file_is_held_and_its_correction_closes_the_matter(gate: Gate, feed: Feed) -> None:
    assert feed.files
    days = range(WORLD.adopted, WORLD.adopted + 14)
    spoiled = [d for day in days for d in feed.files(WORLD, day) if d.fault in ("bad_batch", "corrected")]
    outcomes = {delivery.fault: gate.take(delivery) for delivery in spoiled}
    assert {fault: outcome.state for fault, outcome in outcomes.items()} in (
        {},
        {"bad_batch": "held"},
        {"corrected": "published"},
        {"bad_batch": "held", "corrected": "published"},
    )


def test_names_of_staff_are_kept_apart_and_a_newer_list_replaces_them(gate: Gate) -> None:
    def listed(day: int, name: str) -> Delivery:
        text = rosters.staff_links(WORLD, day).decode("latin-1").replace("Aisha", name)
        return Delivery("staff_links", day, f"staff {day}", WORLD.due(day), lambda: text.encode("latin-1"))

    for day, name in ((DAY + 2, "Zaïre"), (DAY + 1, "Älter")):
        assert gate.take(listed(day, name)).state == "published"
    query = "select staff_name, staff_email, as_of_date from pii.staff where staff_id = 'T0000'"
    newest = ("Zaïre Adeyemi", "t0000@northbank.example", WORLD.date(DAY + 2))
    assert gate.connection.execute(query).fetchall() == [newest]
    columns = gate.connection.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'raw' and table_name = 'staff_links' and column_name ~ 'name|mail'"
    )
    assert columns.fetchall() == []
