"""The summary as Dagster makes it: files and figures about them, nothing of anybody; asked for when it is due."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.governance import SUMMARY
from engage.warehouse import connect
from orchestration.jobs import EVERYTHING, GOVERNANCE
from tests.integration.graph.kit import Installation
from tests.integration.report.plausible import University

NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)


def test_an_edition_without_files_gets_them_and_a_second_run_makes_nothing(installation: Installation) -> None:
    installation.at(NOW)
    with connect(installation.run.url) as connection:
        edition = University(connection).edition(12)

    first, second = (_run(installation) for _ in range(2))

    folder = installation.settings.home / "reports" / edition
    assert {"summary.html", "summary.pdf"} <= {one.name for one in folder.iterdir()}
    assert first["editions"] == edition
    assert first["left_out_small"] > 0 and first["left_out_secondary"] == 0
    assert first[edition] == str(folder / "summary.html")
    assert second["editions"] == "none was due"


def test_what_nobody_can_make_fails_in_a_line(installation: Installation) -> None:
    for config in (
        {"kind": "weekly"},
        {"first_day": "tomorrow"},
        {"first_day": "2026-11-01", "last_day": "2026-10-01"},
    ):
        job = installation.defs.resolve_job_def(GOVERNANCE)
        result = job.execute_in_process(
            run_config={"ops": {"governance__summary": {"config": config}}},
            instance=installation.instance,
            raise_on_error=False,
        )
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        said = failure.step_failure_data.error_display_string
        assert "nothing to sum up" in said or "first_day" in said


def test_the_schedule_asks_only_when_something_is_due(installation: Installation) -> None:
    installation.at(NOW)
    with dg.build_schedule_context(installation.instance, resources=installation.defs.resources) as context:
        said = installation.defs.resolve_schedule_def("governance_summaries").evaluate_tick(context)
    assert (said.run_requests, said.skip_message) == ([], "No summary is due.")


def test_the_schedule_says_what_is_due(installation: Installation) -> None:
    installation.at(NOW)
    with connect(installation.run.url) as connection:
        connection.execute(
            "insert into ops.publication (week_start, revision, state, data_as_of, published_at)"
            " values ('2026-11-16', 1, 'published', %(now)s, %(now)s)",
            {"now": NOW},
        )
        connection.commit()
    with dg.build_schedule_context(installation.instance, resources=installation.defs.resources) as context:
        said = installation.defs.resolve_schedule_def("governance_summaries").evaluate_tick(context)
    assert [one.tags["engage/why"] for one in said.run_requests or []] == ["weekly 2026-11-22"]


def test_it_is_in_its_own_job_and_says_what_it_is(installation: Installation) -> None:
    graph = installation.defs.resolve_asset_graph()
    node = graph.get(SUMMARY)
    assert node.owners == ["team:governance"] and node.group_name == "governance" and node.description
    assert set(node.parent_keys) <= graph.get_all_asset_keys() and node.parent_keys
    everything = installation.defs.resolve_job_def(EVERYTHING)
    assert SUMMARY not in everything.asset_layer.executable_asset_keys


def _run(installation: Installation) -> dict[str, Any]:
    result = installation.job(GOVERNANCE)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}
