"""Which weeks are asked for, and when a source counts as late: questions to the ledger about time."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from engage import configuration, health, runtime, weekly
from engage.settings import PROJECT, Settings
from engage.sources import Source
from tests.integration.graph.kit import SOURCES

Connection = psycopg.Connection[tuple[object, ...]]
GATES = Source.model_validate(SOURCES[1])


@pytest.fixture
def ledger(warehouse: Connection) -> Connection:
    """A term of four weeks from 7 October 2026, with a clock change in it; the first day covered is 13 October."""
    configuration.sync(warehouse, PROJECT / "config", {"gates": GATES}, datetime.now(UTC))
    warehouse.execute("create table raw.calendar partition of raw.term_calendar for values in ('calendar')")
    warehouse.execute(
        """
        insert into raw.term_calendar (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on, ends_on)
        values
            ('calendar', '2026-09-01', 1, 1, 'old', 'teaching', '2026-01-01', '2026-12-01'),
            ('calendar', '2026-10-01', 2, 1, 'T1', 'teaching', '2026-10-07', '2026-11-01'),
            ('calendar', '2026-10-01', 2, 2, 'T1', 'reading', '2026-11-02', '2026-11-08')
        """
    )
    warehouse.execute("create table raw.roster partition of raw.enrolments for values in ('roster')")
    warehouse.execute(
        "insert into raw.enrolments (source_id, as_of_date, batch_id, row_number, student_id, status)"
        " values ('roster', '2026-10-01', 3, 1, 's1', 'active')"
    )
    cover(warehouse, date(2026, 10, 13))
    return warehouse


def cover(connection: Connection, day: date, last_event_at: datetime | None = None, version: int = 1) -> None:
    """Publish a batch that covers a day."""
    connection.execute(
        """
        with delivery as (
            insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)
            values ('gates', %(day)s::text || %(version)s, 'x', 1, now(), 'x', %(day)s) returning delivery_id
        ),
        batch as (
            insert into ops.batch
                (delivery_id, source_id, state, quality_score, last_event_at, started_at, published_at)
            select delivery_id, 'gates', 'published', 100, %(event)s, %(day)s, %(day)s from delivery returning batch_id
        )
        insert into ops.batch_day (batch_id, source_id, day, is_covered, is_current)
        select batch_id, 'gates', %(day)s, true, true from batch
        """,
        {"day": day, "event": last_event_at, "version": version},
    )


@pytest.fixture
def complete(ledger: Connection) -> Connection:
    """The ledger with every day of its term covered, from the 12th on."""
    for day in (12, *range(14, 32)):
        cover(ledger, date(2026, 10, day))
    cover(ledger, date(2026, 11, 1))
    return ledger


def names(weeks: Sequence[weekly.Week]) -> list[str]:
    return [str(week.week_start) for week in weeks]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-12T07:00+00:00", []),  # the week of the 5th ends before anything is covered
        ("2026-10-19T06:59+00:00", []),
        ("2026-10-19T07:00+00:00", ["2026-10-12"]),  # eight in the morning is 07:00 UTC in summer
        ("2026-10-26T07:59+00:00", ["2026-10-12"]),
        ("2026-10-26T08:00+00:00", ["2026-10-12", "2026-10-19"]),  # and 08:00 UTC once the clocks have gone back
        ("2026-12-26T06:00+00:00", ["2026-10-12", "2026-10-19", "2026-10-26"]),  # no reading week, no old calendar
    ],
)
def test_due_weeks(complete: Connection, now: str, expected: list[str]) -> None:
    moment = datetime.fromisoformat(now)
    assert names(weekly.due(complete, moment).ready) == expected
    assert names(weekly.request_due_weeks(complete, moment)) == expected
    assert names(weekly.due(complete, moment).ready) == expected, "pending ones wait"
    rows = complete.execute("select week_start::text from ops.publication where state = 'pending' order by 1")
    assert [week for (week,) in rows.fetchall()] == expected


def test_the_hour_of_publication_is_configured(complete: Connection) -> None:
    complete.execute("update ops.scoring_parameter set publish_at = '10:30', time_zone = 'Europe/Berlin'")
    assert names(weekly.due(complete, datetime(2026, 10, 19, 8, 29, tzinfo=UTC)).ready) == []
    assert names(weekly.due(complete, datetime(2026, 10, 19, 8, 30, tzinfo=UTC)).ready) == ["2026-10-12"]


def test_a_published_week_is_not_asked_for_again_and_a_pending_one_is_dated_anew(complete: Connection) -> None:
    first, later = datetime(2026, 10, 19, 8, tzinfo=UTC), datetime(2026, 10, 26, 9, tzinfo=UTC)
    weekly.request_due_weeks(complete, first)
    complete.execute("update ops.publication set state = 'published'")
    assert str(weekly.due(complete, first)) == "Every week that is due has been scored."
    assert len(weekly.request_due_weeks(complete, later)) == 1
    assert len(weekly.request_due_weeks(complete, later + timedelta(hours=1))) == 1
    rows = complete.execute("select week_start::text, state, published_at from ops.publication order by 1").fetchall()
    assert rows == [("2026-10-12", "published", first), ("2026-10-19", "pending", later + timedelta(hours=1))]


LATER = datetime(2026, 10, 19, 9, tzinfo=UTC)


@pytest.mark.parametrize("why", ["delete from raw.enrolments", "update ops.source set category = null"])
def test_no_week_is_due_without_a_roster_and_before_a_source_that_counts_covers_a_day(
    complete: Connection, why: str
) -> None:
    complete.execute(why.encode())
    assert str(weekly.due(complete, LATER)) == "Every week that is due has been scored."
    assert weekly.request_due_weeks(complete, LATER) == []


HELD = (
    "update ops.batch set state = 'held' where batch_id = (select batch_id from ops.batch_day where day = '2026-10-15')"
)
WITHOUT = "select published_without from ops.publication"
NOT_LATE = {
    "a quiet weekday": "update ops.source set quiet_weekdays = 'Mon,Thu'",
    "a closure": """
        insert into raw.term_calendar (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on, ends_on)
        values ('calendar', '2026-10-01', 2, 3, 'T1', 'closure', '2026-10-15', '2026-10-15')
    """,
    "not enabled yet": "update ops.source set enabled_from = '2026-10-16'",
    "not collected any more": "update ops.source set disabled_from = '2026-10-19'",
}


@pytest.mark.parametrize("fault", ["delete from ops.batch_day where day = '2026-10-15'", HELD])
def test_a_week_waits_for_a_late_source_until_the_hour_and_is_then_published_without_it(
    complete: Connection, fault: str
) -> None:
    complete.execute(fault.encode())
    found = weekly.due(complete, LATER)
    assert (names(found.ready), names(found.waiting), found.waiting[0].late) == ([], ["2026-10-12"], ["gates"])
    assert str(found) == "The week from 2026-10-12 waits for gates until 14:00 (Europe/London)."
    assert weekly.request_due_weeks(complete, datetime(2026, 10, 19, 12, 59, tzinfo=UTC)) == []
    for now in (datetime(2026, 10, 19, 13, tzinfo=UTC), datetime(2026, 10, 19, 13, 5, tzinfo=UTC)):
        assert names(weekly.request_due_weeks(complete, now)) == ["2026-10-12"], "a killed run repeats"
        assert complete.execute(WITHOUT).fetchall() == [(["gates"],)]


def test_what_is_late_is_not_waited_for_once_it_has_come(complete: Connection) -> None:
    complete.execute("delete from ops.batch_day where day = '2026-10-15'")
    assert weekly.request_due_weeks(complete, LATER) == []
    cover(complete, date(2026, 10, 15), version=2)
    assert names(weekly.request_due_weeks(complete, LATER)) == ["2026-10-12"]
    assert complete.execute(WITHOUT).fetchall() == [([],)]


@pytest.mark.parametrize("why", NOT_LATE.values(), ids=NOT_LATE)
def test_a_day_that_need_not_come_is_not_late(complete: Connection, why: str) -> None:
    complete.execute("delete from ops.batch_day where day = '2026-10-15'")
    assert weekly.due(complete, LATER).waiting
    complete.execute(why.encode())
    assert names(weekly.request_due_weeks(complete, LATER)) == ["2026-10-12"]
    assert complete.execute(WITHOUT).fetchall() == [([],)]


def test_only_the_newest_week_waits_and_only_for_who_is_alive(complete: Connection) -> None:
    complete.execute("delete from ops.batch_day where day > '2026-10-05'")
    monday = datetime(2026, 11, 2, 9, tzinfo=UTC)
    cover(complete, date(2026, 10, 5), version=2)
    found = weekly.due(complete, monday)
    assert (names(found.waiting), len(found.ready)) == (["2026-10-26"], 3), "a day within the three weeks before"
    assert all(week.late == ["gates"] for week in found.ready), "published without it, and said so"
    complete.execute("update ops.batch_day set day = '2026-10-04'")
    assert [week.late for week in weekly.due(complete, monday).ready] == [["gates"], ["gates"], ["gates"], []]


@pytest.mark.parametrize("gone_by", [timedelta(minutes=2), timedelta(hours=13)])
@pytest.mark.parametrize(
    "arrival",
    [
        "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)"
        " values ('gates', 'x', 'x', 1, %(at)s, 'x', %(at)s)",
        "insert into ops.sighting (source_id, name, size_bytes, modified_at, seen_at)"
        " values ('gates', 'x', 1, %(at)s, %(at)s)",
    ],
    ids=["landed", "seen"],
)
def test_a_week_waits_for_what_is_on_its_way_but_not_for_ever(
    complete: Connection, arrival: str, gone_by: timedelta
) -> None:
    complete.execute(arrival.encode(), {"at": LATER - gone_by})
    assert len(weekly.due(complete, LATER).ready) == 1
    is_stuck = gone_by > weekly.WAITS_AT_MOST
    assert weekly.on_its_way(complete, LATER) == (0 if is_stuck else 1)
    assert len(weekly.request_due_weeks(complete, LATER)) == (1 if is_stuck else 0)


@pytest.mark.parametrize(
    "why",
    [
        "update ops.source set disabled_from = '2026-10-19'",
        "update ops.sighting set seen_at = seen_at + interval '90 seconds'",
        "update ops.sighting set problem = 'no such day'",
    ],
    ids=["disabled", "still growing", "refused"],
)
def test_a_week_does_not_wait_for_what_may_never_come(ledger: Connection, why: str) -> None:
    ledger.execute(
        "insert into ops.sighting (source_id, name, size_bytes, modified_at, seen_at)"
        " values ('gates', 'x', 1, %(at)s, %(at)s)",
        {"at": LATER - timedelta(minutes=2)},
    )
    assert weekly.on_its_way(ledger, LATER) == 1
    ledger.execute(why.encode())
    assert weekly.on_its_way(ledger, LATER) == 0


@pytest.mark.parametrize(
    ("now", "quiet", "state", "hours"),
    [
        ("2026-10-15T11:00+00:00", [], "fresh", 36),  # covered until midnight local, 23:00 UTC of the 13th
        ("2026-10-15T11:01+00:00", [], "warning", 36),
        ("2026-10-16T00:00+00:00", [], "stale", 49),
        ("2026-10-16T00:00+00:00", ["Thu"], "quiet", 25),
        ("2026-10-13T09:00+00:00", [], "fresh", 0),
    ],
)
def test_freshness_is_about_the_data(ledger: Connection, now: str, quiet: list[str], state: str, hours: int) -> None:
    source = Source.model_validate({**SOURCES[1], "freshness": {"quiet_weekdays": quiet}})
    found = health.freshness(ledger, source, datetime.fromisoformat(now))
    assert (found.state, round(found.age_h or 0)) == (state, hours)
    assert found.data_until is not None and found.data_until <= datetime.fromisoformat(now)


@pytest.mark.parametrize(
    ("kind", "programme", "quiet_in", "state"),
    [
        ("closure", None, [], "quiet"),
        ("closure", "P1", [], "stale"),  # not for everybody
        ("vacation", None, [], "stale"),
        ("vacation", None, ["vacation"], "quiet"),
        ("teaching", None, ["vacation"], "stale"),
    ],
)
def test_quiet_days_come_from_the_latest_term_calendar(
    ledger: Connection, kind: str, programme: str | None, quiet_in: list[str], state: str
) -> None:
    ledger.execute(
        "insert into raw.term_calendar (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on,"
        " ends_on, programme_code) values ('calendar', '2026-10-03', 0, 0, 'T', %s, '2026-10-14', '2026-10-15', %s),"
        " ('calendar', '2026-10-02', 0, 0, 'T', 'closure', '2026-10-01', '2026-10-31', null)",
        [kind, programme],
    )
    source = Source.model_validate({**SOURCES[1], "freshness": {"quiet_in": quiet_in}})
    found = health.freshness(ledger, source, datetime(2026, 10, 16, 8, tzinfo=UTC))
    assert (found.state, round(found.age_h or 0)) == (state, 9 if state == "quiet" else 57)


def test_freshness_is_judged_by_what_was_known_then(ledger: Connection) -> None:
    then, now = datetime(2026, 10, 15, 22, tzinfo=UTC), datetime(2026, 10, 17, 8, tzinfo=UTC)
    ledger.execute("update ops.delivery set landed_at = %s", [datetime(2026, 10, 14, 6, tzinfo=UTC)])
    ledger.execute("update ops.batch set published_at = %s", [datetime(2026, 10, 17, 7, tzinfo=UTC)])
    found = health.freshness(ledger, GATES, then)
    assert (found.state, found.covered_until) == ("stale", None), "landed, and not published until the 17th"
    assert health.freshness(ledger, GATES, now).covered_until == date(2026, 10, 13)
    assert health.freshness(ledger, GATES, datetime(2026, 10, 14, 5, tzinfo=UTC)).state == "disabled"


def test_a_year_of_deliveries_and_calendars_is_judged_at_once(ledger: Connection) -> None:
    ledger.execute("create table raw.term_calendar_of_a_year partition of raw.term_calendar for values in ('yearly')")
    ledger.execute(
        """
        insert into raw.term_calendar
            (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on, ends_on)
        select 'yearly', day::date, 0, n, 'T', 'closure', day::date - 7 * n, day::date - 7 * n
        from generate_series(date '2025-10-15', date '2026-10-14', interval '1 day') as day, generate_series(1, 20) as n
        """
    )
    ledger.execute(
        """
        with landed as (
            insert into ops.delivery
                (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at, first_day)
            select 'gates', 'of ' || at, 'x', 1, at, 'x', at, at::date - 1
            from generate_series(timestamptz '2025-10-15 06:00+00', '2026-10-14 06:00+00', interval '3 hours') as at
            returning *
        ),
        loaded as (
            insert into ops.batch (delivery_id, source_id, state, started_at, published_at)
            select delivery_id, source_id, 'published', landed_at, landed_at from landed
            returning *
        )
        insert into ops.batch_day
        select batch_id, source_id, first_day, true, true from loaded inner join landed using (delivery_id, source_id)
        """
    )
    # Slower than this by far is what reads them anew for every day and every use.
    ledger.execute("set local statement_timeout = '500ms'")
    found = health.freshness(ledger, GATES, datetime(2026, 10, 18, 8, tzinfo=UTC))
    assert (found.state, found.covered_until) == ("stale", date(2026, 10, 13))


def test_an_event_later_than_the_covered_days_counts(ledger: Connection) -> None:
    cover(ledger, date(2026, 10, 12), datetime(2026, 10, 15, 11, tzinfo=UTC))
    assert health.freshness(ledger, GATES, datetime(2026, 10, 15, 12, tzinfo=UTC)).age_h == 1


def test_a_source_that_never_delivered_is_stale_and_a_disabled_one_is_not(ledger: Connection) -> None:
    now = datetime(2026, 10, 15, tzinfo=UTC)
    never = Source.model_validate({**SOURCES[1], "id": "never"})
    later = Source.model_validate({**SOURCES[1], "id": "never", "enabled_from": "2026-11-01"})
    assert health.freshness(ledger, never, now).state == "stale"
    assert health.freshness(ledger, later, now).state == "disabled"


def test_touched_days_are_counted(ledger: Connection) -> None:
    assert weekly.touched_days(ledger) == weekly.Touched(0, None)
    ledger.execute(
        "insert into ops.touched_day (source_id, day) values ('gates', '2026-10-13'), ('gates', '2026-10-14')"
    )
    assert weekly.touched_days(ledger).days == 2


def test_what_the_gate_has_not_finished_is_counted(ledger: Connection) -> None:
    assert health.unfinished(ledger, "gates") == 0
    ledger.execute("update ops.batch set state = 'loading'")
    assert health.unfinished(ledger, "gates") == 1
    ledger.execute("delete from ops.batch_day")
    ledger.execute("delete from ops.batch")
    assert health.unfinished(ledger, "gates") == 1


def test_a_week_is_scored_by_one_configuration(ledger: Connection, database_url: str) -> None:
    ledger.commit()
    config, sources = PROJECT / "config", {"gates": GATES}
    with configuration.in_force(database_url, config, sources, LATER):
        ledger.execute("set local lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            configuration.sync(ledger, PROJECT / "config" / "profiles" / "oulad", sources, LATER)
        ledger.rollback()
    configuration.sync(ledger, config, sources, LATER)


def test_looking_at_an_installation_does_not_change_its_configuration(
    ledger: Connection, database_url: str, dagster_url: str, home: Path
) -> None:
    ledger.commit()
    version = "select config_version from ops.scoring_parameter"
    before = ledger.execute(version).fetchone()
    other = Settings(PROJECT / "config" / "profiles" / "oulad", home, database_url, str(home), dagster_url=dagster_url)
    with runtime.running(other):
        ledger.rollback()
        assert ledger.execute(version).fetchone() == before


def test_nothing_is_published_while_scores_are_made(ledger: Connection, database_url: str) -> None:
    ledger.commit()
    with weekly.nothing_published(database_url):
        assert ledger.execute("select count(*) from ops.batch").fetchone() == (1,)
        ledger.execute("set local lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ledger.execute("update ops.batch set state = 'held'")
        ledger.rollback()
    ledger.execute("update ops.batch set state = 'held'")
