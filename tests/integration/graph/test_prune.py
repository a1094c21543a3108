"""Dagster's own storage: what is old goes, what is newest of every asset and check stays."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from tests.integration.graph.kit import Installation

Storage = psycopg.Connection[tuple[object, ...]]


def count(storage: Storage, table: str) -> int:
    return int(str(storage.execute(f"select count(*) from {table}".encode()).fetchall()[0][0]))


def test_old_runs_events_and_check_results_go_and_the_newest_stay(
    installation: Installation, dagster_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, defs = installation.instance, installation.defs
    old = [installation.job("ingest_roster").run_id for _ in range(3)]
    failed = instance.create_run_for_job(defs.resolve_job_def("ingest_gates"), status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(failed)
    forty_days_ago = (datetime.now(UTC) - timedelta(days=40)).replace(tzinfo=None)
    for table in ("runs", "event_logs", "asset_check_executions"):
        column = "timestamp" if table == "event_logs" else "create_timestamp"
        dagster_storage.execute(f"update {table} set {column} = %s".encode(), [forty_days_ago])
    dagster_storage.execute("update runs set update_timestamp = %s", [forty_days_ago])
    # As a pruning leaves it that was killed between the two.
    dagster_storage.execute("update event_logs set run_id = 'gone' where run_id = %s", [old[0]])
    new = installation.job("freshness").run_id
    landed = dg.AssetKey(["landing", "roster"])
    before = count(dagster_storage, "asset_check_executions")

    assert installation.job("prune_dagster").success
    left = {run.run_id for run in instance.get_runs()}
    assert left >= {old[2], new, failed.run_id}, "the newest materialisation, what is young, what failed not long ago"
    assert not left & set(old[:2])
    seen = {str(run_id) for (run_id,) in dagster_storage.execute("select distinct run_id from event_logs").fetchall()}
    assert seen <= left | {""}
    event = instance.get_latest_materialization_event(landed)
    assert event is not None
    assert event.run_id == old[2]
    after = count(dagster_storage, "asset_check_executions")
    names = dagster_storage.execute("select count(distinct (asset_key, check_name)) from asset_check_executions")
    assert after < before
    assert names.fetchone() == (after,), "one of each check"

    monkeypatch.setenv("ENGAGE_KEEP_FAILED_RUNS_DAYS", "39")
    installation.job("prune_dagster")
    assert failed.run_id not in {run.run_id for run in instance.get_runs()}
    dagster_storage.execute("update runs set update_timestamp = update_timestamp - interval '3 days'")
    installation.job("prune_dagster")
    assert new not in {run.run_id for run in instance.get_runs()}, "the hourly look goes sooner"
    monkeypatch.setenv("ENGAGE_KEEP_RUNS_DAYS", "none")
    assert not installation.job("prune_dagster").success
