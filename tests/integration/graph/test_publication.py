"""Weeks as they are published: what was late is said, what is published stays, and a restatement adds a revision."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result

from assets.figures import FOLDER as FIGURES
from engage import restatement
from engage.cli import cli
from engage.warehouse import connect
from orchestration.commands import _run
from orchestration.definitions import build_defs
from tests.integration.graph.kit import SOURCES, SUITES, Installation, faults, source
from tests.integration.graph.test_runs import metadata

FIRST, SECOND, THIRD = "2026-10-05", "2026-10-12", "2026-10-19"
TABLES = ("weekly_score", "weekly_score_part", "weekly_score_revision")
CLICKS = source("clicks", **{**SOURCES[1], "id": "clicks", "category": "vle"})
ENROLMENTS = source(
    "enrolments",
    record="enrolments",
    relation="snapshot",
    columns={name: {"name": name} for name in ("student_id", "status", "programme_code")},
)
UNIVERSITY = """
create table raw.enrolments_of_all partition of raw.enrolments for values in ('enrolments');
insert into raw.enrolments (source_id, as_of_date, batch_id, row_number, student_id, status, programme_code)
select 'enrolments', '2026-10-01', 1, n, 's' || n, 'active', 'P1' from generate_series(1, 40) as n;
create table raw.term_calendar_of_all partition of raw.term_calendar for values in ('calendar');
insert into raw.term_calendar (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on, ends_on)
values ('calendar', '2026-10-01', 1, 1, 'T1', 'teaching', '2026-10-05', '2026-11-29');
create table raw.activity_clicks partition of raw.activity for values in ('clicks');
create table raw.activity_gates partition of raw.activity for values in ('gates')
"""
PUBLISH = """
with named as (
    select source_id, day::date as day
    from unnest(%(sources)s::text[]) as source_id
    cross join generate_series(%(first)s::date, %(last)s::date, interval '1 day') as day
    where (source_id, day::date) <> all(select 'clicks', date '2026-10-15' where %(first)s::date < '2026-10-15')
),
deliveries as (
    insert into ops.delivery
        (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at, first_day)
    select source_id, day::text, 'x', 1, %(now)s, 'x', %(now)s, day from named returning *
),
batches as (
    insert into ops.batch (delivery_id, source_id, state, quality_score, started_at, published_at)
    select delivery_id, source_id, 'published', 100, %(now)s, %(now)s from deliveries returning *
),
days as (
    insert into ops.batch_day (batch_id, source_id, day, is_covered, is_current)
    select batch_id, source_id, first_day, true, true from batches inner join deliveries using (delivery_id, source_id)
),
events as (
    insert into raw.activity (source_id, activity_date, student_id, occurred_at, quantity, batch_id, row_number)
    select
        source_id, day, 's' || n, day + time '12:00',
        n * (extract(day from day)::integer %% 5 + length(source_id)), 1, n
    from named cross join generate_series(1, 40) as n
    where (n + extract(day from day)::integer + length(source_id)) %% 3 > 0
)
insert into ops.touched_day (source_id, day) select source_id, day from named
"""


@pytest.fixture
def university(installation: Installation) -> Installation:
    """Forty students of one programme, who have a score by two sources; one of them lacks a day of the second week."""
    config = installation.served.parent / "config"
    (config / "sources").mkdir(parents=True)
    for one in (*SOURCES, CLICKS, ENROLMENTS):
        (config / "sources" / f"{one['id']}.yaml").write_text(yaml.safe_dump(one))
        rules = {"description": "any", "expectations": SUITES["gates" if one["record"] == "activity" else "roster"]}
        (config / f"{one['id']}.yaml").write_text(yaml.safe_dump(rules))
    weigh(config, 0.6)
    installation.monkeypatch.setenv("ENGAGE_CONFIG", str(config))
    installation.monkeypatch.setenv("ENGAGE_EXPECTATIONS", str(config))
    settings = replace(installation.settings, config=config, expectations=config)
    with connect(installation.run.url, autocommit=True) as connection:
        connection.execute(UNIVERSITY)
    publish(installation, ["clicks", "gates"], FIRST, "2026-10-18", datetime(2026, 10, 19, 5, tzinfo=UTC))
    return replace(installation, settings=settings, defs=build_defs(settings))


def weigh(config: Path, clicks: float) -> None:
    weights = {"vle": clicks, "library_access": 1 - clicks}
    content = {"category_weights": weights, "peer_levels": [{"name": "institution", "attributes": []}]}
    (config / "scoring.yaml").write_text(yaml.safe_dump(content))


def publish(house: Installation, sources: list[str], first: str, last: str, now: datetime) -> None:
    with connect(house.run.url, autocommit=True) as connection:
        connection.execute(PUBLISH, {"sources": sources, "first": first, "last": last, "now": now})


def published(house: Installation, where: str = "true") -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of the three tables as the bytes of their texts."""
    return {table: house.query(f"select t::text from marts.{table} as t where {where} order by 1") for table in TABLES}


def engage(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = (one for one in result.get_asset_check_evaluations() if one.check_name == name)
    return found


def test_a_published_score_stays_and_a_restatement_adds_a_revision(university: Installation) -> None:
    house = university
    house.at(datetime(2026, 10, 19, 13, tzinfo=UTC))
    result = house.job("weekly_scores")
    assert faults(result) == ""
    late = check(result, "no_source_was_late")
    assert (late.passed, late.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"The week from {SECOND}: clicks." in str(late.description)
    figures = metadata(house, "marts", "weekly_score")
    assert (figures["week_start"], figures["weeks_in_this_run"], figures["students_scored"]) == (SECOND, 2, 40)
    assert (figures["late_sources"], figures["missing_sources"], figures["sources_used"]) == ("clicks", "none", 2)
    assert figures["students_insufficient_data"] == 0
    below = house.query(f"select count(*) from marts.weekly_score where score < 350 and week_start = '{SECOND}'")
    assert below == [(3,)] and figures["students_below_attention"] == 5, "to the nearest five"
    assert not any(name.endswith("_pct") for name in figures)
    for path in FIGURES.glob("*.sql"):
        told = metadata(house, "marts", path.stem)
        # Nobody asked the CRM for anything here, and no ladder has begun.
        if told["dagster/row_count"]:
            assert told.keys() - {"seconds", "rows_changed", "dagster/row_count"}, path.stem
    assert metadata(house, "marts", "weekly_score_revision")["revisions_published"] == 2
    # Else who asks on Monday morning waits a minute for what takes a blink in the afternoon.
    known = {table for (table,) in house.query("select distinct tablename from pg_stats where schemaname = 'marts'")}
    assert known >= {"weekly_score", "weekly_score_part", "weekly_score_revision", "weekly_score_source", "score_trend"}
    first_two = published(house)
    assert [len(rows) for rows in first_two.values()] == [80, 160, 80]

    # Late data of a published week, another weight, a source disabled from its first day on, and a third week.
    house.at(datetime(2026, 10, 26, 14, tzinfo=UTC))
    publish(house, ["clicks"], "2026-10-15", "2026-10-15", datetime(2026, 10, 20, tzinfo=UTC))
    publish(house, ["clicks"], THIRD, "2026-10-25", house.now)
    weigh(house.settings.config, 0.8)
    disabled = {**SOURCES[1], "disabled_from": SECOND}
    (house.settings.config / "sources" / "gates.yaml").write_text(yaml.safe_dump(disabled))
    house = replace(house, defs=build_defs(house.settings))
    assert faults(house.job("weekly_scores")) == ""
    assert published(house, f"week_start < '{THIRD}'") == first_two
    assert house.query(f"select count(*) from marts.weekly_score where week_start = '{THIRD}'") == [(40,)]
    everything = published(house)

    assert "needs weeks, a reason" in faults(house.job("restate"))
    monday = datetime.fromisoformat(SECOND).date()
    with connect(house.run.url) as connection:
        before = restatement.state(connection, [monday])
    with pytest.raises(restatement.RestatementError, match="nothing is changed"):
        _run(house.settings, house.run, before, " ", "Ada")
    for reason in ("Clicks of the 15th came late.", "Asked once more."):
        with connect(house.run.url) as connection:
            restatement.ask(connection, [monday], reason, "Ada", house.now)
    # As a run that was killed leaves it: asked for, and not done.
    done = engage("restate", SECOND, "--reason", "As before", "--by", "Bob", "--yes", "--json")
    assert done.exit_code == 0, done.output
    (said,) = json.loads(done.stdout)
    assert (said["week_start"], said["revision"], said["students"], said["days_delivered_since"]) == (SECOND, 2, 40, 1)
    assert said["configuration_then"] != said["configuration_now"]
    assert said["differ"] > 10 and said["mean_points"] > 0
    after = published(house, f"(week_start, revision) <> ('{SECOND}', 2)")
    assert after["weekly_score"] == [row for row in everything["weekly_score"] if SECOND not in str(row)]
    assert after["weekly_score_part"] == everything["weekly_score_part"]
    assert after["weekly_score_revision"] == everything["weekly_score_revision"]
    assert house.query(
        f"select distinct revision, reason, sources_used from marts.weekly_score where week_start = '{SECOND}'"
    ) == [(2, "Clicks of the 15th came late.", ["clicks"])]
    assert house.query("select person, action from ops.audit") == [
        ("Ada", f"asked to restate the week from {SECOND} as revision 2")
    ]
    listed = json.loads(engage("week", "list", "--json").stdout)
    keys = ("week_start", "revision", "state", "late", "left_out", "reason", "by")
    assert [[row[key] for key in keys] for row in listed] == [
        [FIRST, 1, "published", [], [], None, None],
        [SECOND, 1, "published", ["clicks"], [], None, None],
        [SECOND, 2, "published", [], [], "Clicks of the 15th came late.", "Ada"],
        [THIRD, 1, "published", [], [], None, None],
    ]
    assert {row["scored"] for row in listed} == {40}


def test_what_cannot_be_restated_is_refused(university: Installation) -> None:
    asked = ("--reason", "why", "--yes")
    tuesday = engage("restate", "2026-10-13", *asked)
    assert tuesday.exit_code == 2
    assert "2026-10-13 is a Tuesday; weeks are named by their Monday: 2026-10-12" in tuesday.output
    assert engage("restate", SECOND, "--reason", " ", "--yes").exit_code == 2
    unknown = engage("restate", SECOND, *asked)
    assert isinstance(unknown.exception, restatement.RestatementError)
    assert "not published" in str(unknown.exception)
    listed = engage("week", "list")
    assert listed.exit_code == 0, listed.output
    assert "no week is over yet" in listed.output
