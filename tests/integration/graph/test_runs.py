"""Deliveries through the whole graph: what the gate holds changes no number, what fails is asked for again."""

import json
from datetime import UTC, datetime, timedelta

import asyncssh
import dagster as dg
import psycopg
import pytest

from engage import landing
from engage.sources import Source
from orchestration import driver, schedules
from tests.integration.graph.kit import GOOD, ROSTER, SECRET_BADGE, SECRET_NAME, SOURCES, Installation, faults

CORRECTED = ["badge,at", *(f"{SECRET_BADGE}{i:03},2026-10-09 11:00" for i in range(10))]
BAD = ["badge,at", *(f"{SECRET_NAME},sometime {i}" for i in range(20))]
DAILY = "select student_id, activity_date, interactions, first_at from marts.daily_activity order by 1, 2"
PUBLISHED = "select count(*) from raw.activity"


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    found = result.get_asset_check_evaluations()
    return {one.check_name: one for one in found if one.asset_key.path[-1] != "roster"}


def metadata(installation: Installation, *key: str) -> dict[str, object]:
    event = installation.instance.get_latest_materialization_event(dg.AssetKey(key))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_delivery_becomes_daily_activity_and_numbers_in_the_ui(fed: Installation) -> None:
    before = fed.query(DAILY)
    assert len(before) == 20
    assert fed.query("select * from ops.touched_day") == []
    shown = metadata(fed, "raw", "gates")
    assert (shown["quality_score"], shown["rows_accepted"], shown["rows_quarantined"]) == (100, 20, 0)
    assert shown["dagster/row_count"] == 20
    assert metadata(fed, "landing", "gates")["deliveries_landed"] == 1
    assert metadata(fed, "marts", "daily_activity")["dagster/row_count"] == 20
    assert fed.tick() == [], "nothing new, so nothing runs"
    assert faults(fed.job("daily_marts")) == ""
    assert fed.query(DAILY) == before


def test_a_roster_alone_changes_who_is_a_student(fed: Installation) -> None:
    fed.deliver("roster_20261010.csv", [*ROSTER, "S999,New,Student,999"])
    results = fed.tick()
    assert faults(*results) == ""
    assert [result.job_def.name for result in results] == ["ingest", "daily_marts"]
    assert fed.query("select count(*) from marts.student where student_id = 'S999'") == [(1,)]
    assert fed.query("select * from ops.touched_day") == []


def test_one_score_asked_for_alone_is_not_built_alone(fed: Installation) -> None:
    job = fed.defs.resolve_job_def("weekly_scores")
    only = [dg.AssetKey(["marts", "weekly_score"])]
    result = job.execute_in_process(instance=fed.instance, asset_selection=only, raise_on_error=False)
    assert faults(result) == ""
    assert fed.query("select count(*) from marts.weekly_score_revision") == [(0,)]


def test_a_batch_below_the_gate_fails_its_check_and_changes_no_number(fed: Installation) -> None:
    before = fed.query(DAILY)
    fed.deliver("gates_20261009_bad.csv", BAD)
    ingest, _ = fed.tick()
    # No check blocks: the marts are built all the same, and stay as they were.
    assert faults(ingest, fed.job("everything")) == ""
    found = checks(ingest)
    assert not found["quality_gate"].passed
    assert found["quality_gate"].severity == dg.AssetCheckSeverity.ERROR
    assert "gates_20261009_bad.csv is held" in (found["quality_gate"].description or "")
    assert found["readable"].metadata["rows_failed"].value == 20
    assert fed.query(DAILY) == before
    fed.deliver("gates_20261009_v2.csv", CORRECTED)
    corrected, _, _ = fed.tick()
    assert checks(corrected)["quality_gate"].passed, "a correction closes the matter"
    assert len(fed.query(DAILY)) == 10


def test_a_failed_dbt_test_is_a_failed_check_and_a_red_run(fed: Installation) -> None:
    with psycopg.connect(fed.run.url, autocommit=True) as connection:
        connection.execute("insert into marts.daily_activity select * from marts.daily_activity limit 1")
    assert faults(fed.job("weekly_scores")) == "", "the day was not touched, so nothing looks at it"
    result = fed.job("whole_history")
    assert not result.success
    assert "daily_activity_full_history" in faults(result)
    assert not checks(result)["daily_activity_full_history"].passed
    assert checks(result)["weekly_score_full_history"].passed
    assert not result.get_asset_materialization_events()


def test_a_check_asked_for_alone_is_answered_and_nothing_is_built(fed: Installation) -> None:
    job = fed.defs.resolve_implicit_global_asset_job_def()
    key = dg.AssetCheckKey(dg.AssetKey(["marts", "student"]), "student_grain")
    result = job.get_subset(asset_selection=set(), asset_check_selection={key}).execute_in_process(
        instance=fed.instance
    )
    assert faults(result) == ""
    assert [check.check_name for check in result.get_asset_check_evaluations()] == ["student_grain"]
    assert not result.get_asset_materialization_events()


def test_all_history_may_be_looked_at_before_there_is_any(installation: Installation) -> None:
    result = installation.job("whole_history")
    assert faults(result) == ""
    assert result.get_asset_check_evaluations() == []


def test_a_failed_run_is_asked_for_again_later_and_nothing_is_lost(installation: Installation) -> None:
    installation.put("roster_20261009.csv", ROSTER)
    installation.deliver("gates_20261009.csv", GOOD)
    with psycopg.connect(installation.run.url, autocommit=True) as connection:
        connection.execute("alter table ops.rule_result rename to away")
        (failed,) = installation.tick("arrivals")
        (again,) = installation.tick("arrivals")
        assert not failed.success
        assert not again.success, "what was landed and not finished is a wish of its own"
        assert installation.tick("arrivals") == [], "the same wish waits"
        connection.execute("alter table ops.away rename to rule_result")
    installation.at(installation.now + timedelta(minutes=2))
    (mended,) = installation.tick("arrivals")
    assert mended.success
    assert mended.dagster_run.tags["engage/attempt"] == "2"
    assert installation.query(PUBLISHED) == [(20,)]


def test_a_source_in_a_run_in_progress_is_left_out_unless_it_was_killed(installation: Installation) -> None:
    installation.put("roster_20261009.csv", ROSTER)
    installation.deliver("gates_20261009.csv", GOOD)
    job, instance = installation.defs.resolve_job_def("ingest_roster"), installation.instance
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    gates = frozenset({dg.AssetKey(["landing", "gates"]), dg.AssetKey(["raw", "gates"])})
    killed = instance.create_run_for_job(
        installation.defs.resolve_job_def("ingest"),
        asset_selection=gates,
        tags={driver.PROCESS_TAG: "4194304"},
        status=dg.DagsterRunStatus.STARTED,
    )
    (result,) = installation.tick("arrivals")
    assert result.success
    assert result.dagster_run.asset_selection == gates
    assert "roster: a run is in progress" in result.dagster_run.tags["engage/not_asked_for"]
    (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[killed.run_id]))
    assert record.dagster_run.status == dg.DagsterRunStatus.FAILURE


def test_a_file_that_cannot_be_fetched_does_not_keep_the_others_from_the_gate(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asyncssh.SFTPServer.open

    def refusing(server: asyncssh.SFTPServer, path: bytes, *arguments: object) -> object:
        if b"gates_20261010" in path:
            raise asyncssh.SFTPPermissionDenied("no")
        return opened(server, path, *arguments)

    # By the server: rights do not bind it where tests run as root.
    monkeypatch.setattr(asyncssh.SFTPServer, "open", refusing)
    installation.put("roster_20261009.csv", ROSTER)
    installation.put("gates_20261009.csv", GOOD)
    installation.deliver("gates_20261010.csv", CORRECTED)
    ingest, *_ = installation.tick()
    assert faults(ingest) == ""
    left = checks(ingest)["fetched"]
    assert not left.passed
    assert left.severity == dg.AssetCheckSeverity.ERROR
    assert "gates_20261010.csv" in (left.description or "")
    assert installation.query(PUBLISHED) == [(20,)]
    (again,) = installation.tick("arrivals")
    assert not checks(again)["fetched"].passed, "asked for again"
    assert installation.tick("arrivals") == [], "the same wish waits"


def test_one_feed_out_of_reach_does_not_keep_the_marts_from_what_is_published(
    fed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUS_SFTP_PORT", "1")
    fed.query("insert into ops.touched_day (source_id, day) values ('gates', '2026-10-09') returning day")
    result = fed.job("everything")
    assert faults(result) == ""
    found = {one.asset_key.path[-1]: one for one in result.get_asset_check_evaluations() if one.check_name == "fetched"}
    assert [(one.passed, one.severity.value) for one in found.values()] == [(False, "ERROR")] * 2
    assert fed.query("select * from ops.touched_day") == []


@pytest.mark.parametrize("fault", ["unreachable", "refused", "unset"])
def test_what_has_landed_is_gated_whatever_has_become_of_its_server(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    installation.put("roster_20261009.csv", ROSTER)
    installation.deliver("gates_20261009.csv", GOOD)
    installation.job("ingest_roster")
    gates = Source.model_validate(SOURCES[1])
    with psycopg.connect(installation.run.url) as connection:
        # As a run that was killed between land and load leaves it.
        landing.land(connection, gates, installation.settings.landing_url, installation.now)
    if fault == "unreachable":
        monkeypatch.setenv("CAMPUS_SFTP_PORT", "1")
    elif fault == "refused":
        key = installation.served.parent / "keys" / "other"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
        monkeypatch.setenv("CAMPUS_SFTP_KEY", str(key))
    else:
        monkeypatch.delenv("CAMPUS_SFTP_KEY")
    (result,) = installation.tick("arrivals")
    assert faults(result) == ""
    assert not checks(result)["fetched"].passed
    assert installation.query(PUBLISHED) == [(20,)]


def test_a_refused_key_is_a_red_run(fed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    key = fed.served.parent / "keys" / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    monkeypatch.setenv("CAMPUS_SFTP_KEY", str(key))
    assert "refuses the key of engage" in faults(fed.job("ingest_gates"))
    result = fed.job("everything")
    assert faults(result) == ""
    assert "refuses the key of engage" in str(checks(result)["fetched"].description)
    monkeypatch.delenv("CAMPUS_SFTP_KEY")
    result = fed.job("ingest")
    assert faults(result) == ""
    assert "CAMPUS_SFTP_KEY is not set" in str(checks(result)["fetched"].description)


def test_an_unreachable_server_is_a_skipped_tick_and_a_changed_host_key_a_red_check_later_and_later(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = installation.defs.resolve_sensor_def("arrivals")
    with monkeypatch.context() as patch:
        patch.setenv("CAMPUS_SFTP_PORT", "1")
        with dg.build_sensor_context(installation.instance, resources=installation.defs.resources) as context:
            answer = sensor(context)
    assert isinstance(answer, dg.SensorResult)
    assert "gates: not reachable now" in str(answer.skip_reason)
    known_hosts = installation.served.parent / "keys" / "known_hosts"
    host = known_hosts.read_text().partition(" ")[0]
    known_hosts.write_text(f"{host} {asyncssh.generate_private_key('ssh-ed25519').export_public_key().decode()}")
    (loud,) = installation.tick("arrivals")
    assert not checks(loud)["fetched"].passed
    assert "host key" in (checks(loud)["fetched"].description or "")
    gates = dg.AssetKey(["raw", "gates"])
    assert installation.instance.get_latest_materialization_event(gates) is None, "nothing looks fresh by that"
    runs = 1
    for _ in range(30):
        installation.at(installation.now + timedelta(minutes=1))
        runs += len(installation.tick("arrivals"))
    assert runs == 5, "after 1, 3, 7 and 15 minutes"


def test_no_value_of_a_row_reaches_the_event_log(
    installation: Installation, dagster_storage: psycopg.Connection[tuple[object, ...]]
) -> None:
    installation.put("roster_20261009.csv", ROSTER)
    installation.deliver("gates_20261009.csv", BAD)
    held = installation.tick()
    assert faults(*held) == ""
    assert not checks(held[0])["quality_gate"].passed
    # An error of the database that quotes the row it refused.
    with psycopg.connect(installation.run.url, autocommit=True) as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as"
            " $$ begin raise exception 'refused %', new.student_id using detail = new::text; end $$"
        )
        connection.execute("create trigger refuse before insert on pii.student for each row execute function refuse()")
    installation.deliver("roster_20261010.csv", [*ROSTER, f"S999,{SECRET_NAME},Example,{SECRET_BADGE}999"])
    (refused,) = installation.tick("arrivals")
    assert "roster_20261010.csv: the database refuses it, SQLSTATE P0001" in faults(refused)
    tables = dagster_storage.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    for planted in (SECRET_NAME, SECRET_BADGE, "S000", "S999", "sometime 1"):
        for (table,) in tables:
            query = f"select count(*) from {table} as t where position(%s in t::text) > 0"
            found = dagster_storage.execute(query.encode(), [planted]).fetchone()
            assert found == (0,), f"{planted} in {table}"
    logged = dagster_storage.execute("select count(*) from event_logs where event like '%the database refuses it%'")
    assert logged.fetchone() != (0,), "the search would find it"


def test_scores_are_asked_for_every_hour_while_a_week_is_to_be_scored(
    fed: Installation, dagster_storage: psycopg.Connection[tuple[object, ...]]
) -> None:
    schedule = fed.defs.resolve_schedule_def(schedules.PUBLICATION)
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.cron_schedule == "0 * * * *"

    def answer() -> object:
        # Left to the garbage collector, a context takes Dagster's global state with it at some later moment.
        with dg.build_schedule_context(fed.instance, resources=fed.defs.resources) as context:
            return schedule(context)

    def why() -> str:
        said = answer()
        assert isinstance(said, dg.SkipReason)
        return str(said.skip_message)

    assert why() == "Every week that is due has been scored."
    fed.query(
        "insert into ops.publication (week_start, revision, state, data_as_of, published_at)"
        " values ('2026-09-28', 1, 'pending', now(), now()) returning week_start"
    )
    assert why().startswith("1 weeks to score. Not before we have caught up: watching again since ")
    long_ago = datetime.now(UTC) - timedelta(minutes=31)
    watching = json.dumps({"since": long_ago.isoformat(), "last": long_ago.isoformat()})
    fed.instance.daemon_cursor_storage.set_cursor_values({f"engage/{schedules.PUBLICATION}": watching})
    assert isinstance(answer(), dg.RunRequest)
    for name, reason in (("weekly_scores", "in progress"), ("restate", "in progress"), ("ingest", "has been running")):
        run = fed.instance.create_run_for_job(fed.defs.resolve_job_def(name), status=dg.DagsterRunStatus.STARTED)
        if name == "ingest":
            assert isinstance(answer(), dg.RunRequest), "an everyday run, not a backlog"
            dagster_storage.execute("update runs set create_timestamp = create_timestamp - interval '31 minutes'")
        assert reason in why()
        fed.instance.delete_run(run.run_id)
    assert faults(fed.job("weekly_scores")) == ""
    assert why() == "Every week that is due has been scored."
