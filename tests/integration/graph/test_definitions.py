"""The graph as it is loaded: without a database, with what a data engineer looks for on every asset."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from engage.settings import PROJECT, Settings
from orchestration.definitions import build_defs


@pytest.fixture
def graph(home: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.delenv("ENGAGE_DATABASE_URL", raising=False)
    return build_defs(Settings(configuration, home, None, str(home / "landing"), configuration / "expectations"))


@pytest.mark.parametrize("config", ["config", "config/profiles/oulad"])
def test_every_profile_loads_without_a_database(config: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGAGE_DATABASE_URL", raising=False)
    defs = build_defs(Settings(PROJECT / config, home, None, str(home / "landing")))
    dg.Definitions.validate_loadable(defs)
    groups = {spec.group_name for spec in defs.resolve_all_asset_specs()}
    assert groups == {
        *("feeds", "quality_gate", "staging", "intermediate", "marts", "source_owners", "notifications"),
        *("governance", "privacy"),
    }


def test_a_source_is_a_landing_and_a_published_asset(graph: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in graph.resolve_all_asset_specs()}
    landing, raw = specs["landing/gates"], specs["raw/gates"]
    assert (landing.group_name, raw.group_name) == ("feeds", "quality_gate")
    assert landing.kinds == {"sftp", "csv"}
    assert list(landing.owners) == list(raw.owners) == ["ada@example.ac.uk"]
    assert "What gates delivers." in (raw.description or "")
    assert (raw.tags["system"], raw.tags["category"]) == ("Test_systems", "library_access")
    assert raw.freshness_policy == dg.FreshnessPolicy.time_window(timedelta(hours=48), timedelta(hours=36))
    assert {dep.asset_key.to_user_string() for dep in raw.deps} == {"landing/gates", "raw/roster"}
    assert {dep.asset_key.to_user_string() for dep in specs["raw/roster"].deps} == {"landing/roster"}


def test_dbt_models_come_from_the_published_rows_of_every_source_of_a_record(graph: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in graph.resolve_all_asset_specs()}
    assert {dep.asset_key.to_user_string() for dep in specs["staging/stg_feeds__activity"].deps} == {"raw/gates"}
    mart = specs["marts/daily_activity"]
    assert {"dbt", "postgres"} <= mart.kinds
    assert mart.owners
    assert mart.description
    columns = mart.metadata["dagster/column_schema"]
    assert isinstance(columns, dg.TableSchema)
    assert all(column.type != "?" and column.description for column in columns.columns)


def test_rules_dbt_tests_and_freshness_are_asset_checks(graph: dg.Definitions) -> None:
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.resolve_asset_graph().asset_check_keys}
    assert {("raw/gates", name) for name in ("quality_gate", "known_student", "readable", "data_is_fresh")} <= checks
    assert any(asset == "marts/weekly_score" for asset, _ in checks)


def test_the_daily_job_leaves_the_scores_alone(graph: dg.Definitions) -> None:
    keys = {key.to_user_string() for key in graph.resolve_job_def("daily_marts").asset_layer.executable_asset_keys}
    assert "marts/daily_activity" in keys
    assert not {key for key in keys if key.startswith(("raw/", "landing/")) or key == "marts/weekly_score"}


def test_a_missing_warehouse_says_what_to_do(graph: dg.Definitions) -> None:
    result = graph.resolve_job_def("freshness").execute_in_process(raise_on_error=False)
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "start it with `engage up`, or set ENGAGE_DATABASE_URL" in str(failure.event_specific_data)
