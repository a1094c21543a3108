"""Deliveries through the whole graph: what the gate holds changes no number, what fails is asked for again."""

from datetime import timedelta

import asyncssh
import dagster as dg
import psycopg
import pytest

from engage.connectors import AccessError
from orchestration import driver
from tests.integration.graph.kit import SECRET_BADGE, SECRET_NAME, Installation

ROSTER = ["id,given,family,badge", *(f"S{i:03},{SECRET_NAME},Example,{SECRET_BADGE}{i:03}" for i in range(20))]
GOOD = ["badge,at", *(f"{SECRET_BADGE}{i:03},2026-10-09 10:{i:02}" for i in range(20))]
CORRECTED = ["badge,at", *(f"{SECRET_BADGE}{i:03},2026-10-09 11:00" for i in range(10))]
BAD = ["badge,at", *(f"{SECRET_NAME},sometime {i}" for i in range(20))]
DAILY = "select student_id, activity_date, interactions, first_at from marts.daily_activity order by 1, 2"


def faults(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.event_specific_data.error.to_string() for event in result.all_events if event.is_step_failure]


@pytest.fixture
def fed(installation: Installation) -> Installation:
    """One good day, published and rebuilt."""
    installation.put("roster_20261009.csv", ROSTER)
    installation.deliver("gates_20261009.csv", GOOD)
    results = installation.tick()
    assert "".join(fault for result in results for fault in faults(result)) == ""
    assert [result.job_def.name for result in results] == ["ingest", "ingest", "daily_marts"]
    return installation


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_a_delivery_becomes_daily_activity(fed: Installation) -> None:
    assert len(fed.query(DAILY)) == 20
    assert fed.query("select * from ops.touched_day") == []
    assert fed.tick() == [], "nothing new, so nothing runs"


def test_the_ui_has_the_numbers_of_every_batch(fed: Installation) -> None:
    event = fed.instance.get_latest_materialization_event(dg.AssetKey(["raw", "gates"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["quality_score"].value == 100
    assert (metadata["rows_accepted"].value, metadata["rows_quarantined"].value) == (20, 0)
    landed = fed.instance.get_latest_materialization_event(dg.AssetKey(["landing", "gates"]))
    assert landed is not None
    assert landed.asset_materialization is not None
    assert landed.asset_materialization.metadata["deliveries_landed"].value == 1


def test_a_batch_below_the_gate_fails_its_check_and_changes_no_number(fed: Installation) -> None:
    before = fed.query(DAILY)
    fed.deliver("gates_20261009_bad.csv", BAD)
    ingest = fed.tick()
    # No check blocks: the marts are built all the same, and stay as they were.
    rebuilt = fed.job("everything")
    assert all(result.success for result in [*ingest, rebuilt])
    found = checks(ingest[0])
    assert not found["quality_gate"].passed
    assert found["quality_gate"].severity == dg.AssetCheckSeverity.ERROR
    assert "gates_20261009_bad.csv is held" in (found["quality_gate"].description or "")
    assert found["readable"].metadata["rows_failed"].value == 20
    assert fed.query(DAILY) == before
    assert fed.query("select count(*) from raw.activity where activity_date is null or student_id is null") == [(0,)]


def test_a_correction_closes_the_matter(fed: Installation) -> None:
    fed.deliver("gates_20261009_bad.csv", BAD)
    fed.tick()
    fed.deliver("gates_20261009_v2.csv", CORRECTED)
    found = checks(fed.tick()[0])
    assert found["quality_gate"].passed
    assert len(fed.query(DAILY)) == 10


def test_a_failed_run_is_asked_for_again_later_and_nothing_is_lost(fed: Installation) -> None:
    fed.deliver("gates_20261009_v2.csv", CORRECTED)
    with psycopg.connect(fed.run.url, autocommit=True) as connection:
        connection.execute("alter table ops.rule_result rename to away")
        (failed,) = fed.tick("gates_arrivals")
        (failed_again,) = fed.tick("gates_arrivals")
        assert not failed.success
        assert not failed_again.success, "what was landed and not finished is a wish of its own"
        assert fed.tick("gates_arrivals") == [], "the same wish waits"
        connection.execute("alter table ops.away rename to rule_result")
    fed.at(fed.now + timedelta(minutes=2))
    (mended,) = fed.tick("gates_arrivals")
    assert mended.success
    assert mended.dagster_run.tags["engage/attempt"] == "2"
    fed.tick("touched_days")
    assert len(fed.query(DAILY)) == 10


def test_a_killed_run_is_closed_and_asked_for_again(fed: Installation) -> None:
    fed.deliver("gates_20261009_v2.csv", CORRECTED)
    job = fed.defs.resolve_job_def("ingest")
    tags = {"engage/source": "gates", driver.PROCESS_TAG: "4194304"}
    killed = fed.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    (result,) = fed.tick("gates_arrivals")
    assert result.success
    assert [r.dagster_run.status for r in fed.instance.get_run_records(dg.RunsFilter(run_ids=[killed.run_id]))] == [
        dg.DagsterRunStatus.FAILURE
    ]


def test_a_run_in_progress_is_waited_for(fed: Installation) -> None:
    fed.deliver("gates_20261009_v2.csv", CORRECTED)
    job = fed.defs.resolve_job_def("ingest")
    fed.instance.create_run_for_job(job, tags={"engage/source": "gates"}, status=dg.DagsterRunStatus.STARTED)
    assert fed.tick("gates_arrivals") == []


def test_an_unreachable_server_is_a_skipped_tick(fed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_SFTP_PORT", "1")
    sensor = fed.defs.resolve_sensor_def("gates_arrivals")
    answer = sensor(dg.build_sensor_context(fed.instance, resources=fed.defs.resources))
    assert isinstance(answer, dg.SensorResult)
    assert "Not reachable now" in str(answer.skip_reason)


def test_no_value_of_a_row_reaches_the_event_log(
    fed: Installation, dagster_storage: psycopg.Connection[tuple[object, ...]]
) -> None:
    fed.deliver("gates_20261009_bad.csv", BAD)
    fed.tick()
    # An error of the database that quotes the row it refused.
    with psycopg.connect(fed.run.url, autocommit=True) as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as"
            " $$ begin raise exception 'refused %', new.student_id using detail = new::text; end $$"
        )
        connection.execute("create trigger refuse before insert on pii.student for each row execute function refuse()")
    fed.deliver("roster_20261010.csv", [*ROSTER, f"S999,{SECRET_NAME},Example,{SECRET_BADGE}999"])
    (refused,) = fed.tick("roster_arrivals")
    assert not refused.success
    tables = dagster_storage.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    for planted in (SECRET_NAME, SECRET_BADGE, "S000", "S999", "sometime 1"):
        for (table,) in tables:
            found = dagster_storage.execute(
                f"select count(*) from {table} as t where position(%s in t::text) > 0".encode(), [planted]
            ).fetchone()
            assert found == (0,), f"{planted} in {table}"
    assert dagster_storage.execute("select count(*) from event_logs where event like '%refused:%'").fetchone() != (0,)


def test_a_changed_host_key_is_a_red_tick(fed: Installation) -> None:
    known_hosts = fed.served.parent / "keys" / "known_hosts"
    host = known_hosts.read_text().partition(" ")[0]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known_hosts.write_text(f"{host} {other}")
    with pytest.raises(AccessError):
        fed.tick("gates_arrivals")


def test_an_empty_run_of_everything_does_nothing(fed: Installation) -> None:
    before = fed.query(DAILY)
    assert fed.job("everything").success
    assert fed.query(DAILY) == before
