"""Runs sensors and jobs in this process, against the real instance: for the demo, a replay and tests, without a daemon.

A tick does what the daemon does with a sensor: look, request, remember the cursor. The runs are in Dagster's storage,
so that the UI shows them afterwards.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import dagster as dg

from orchestration.sensors import IN_PROGRESS

PROCESS_TAG = "engage/process"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# What of a run's metadata is worth a word on its line.
SAID = {
    "deliveries_landed": "landed",
    "batches_processed": "batches",
    "batches_held": "held",
    "rows_changed": "rows changed",
    "messages_written": "messages",
    "editions_made": "summaries",
}

Say = Callable[[str], None]


def tick(
    defs: dg.Definitions, instance: dg.DagsterInstance, names: Collection[str] | None = None, say: Say = print
) -> list[dg.ExecuteInProcessResult]:
    """Evaluate every sensor (or those of `names`) once, run what they request one after the other, return the results.

    A failed run is a result, not an exception; a sensor that raises (access refused) raises.
    """
    close_orphans(instance)
    results = []
    for sensor in defs.sensors or []:
        if not isinstance(sensor, dg.SensorDefinition) or (names is not None and sensor.name not in names):
            continue
        memory, key = instance.daemon_cursor_storage, f"engage/driver/{sensor.name}"
        cursor = memory.get_cursor_values({key}).get(key)
        with dg.build_sensor_context(instance, cursor, resources=defs.resources, sensor_name=sensor.name) as context:
            answer = sensor(context)
        assert isinstance(answer, dg.SensorResult)  # noqa: S101
        for request in answer.run_requests or []:
            # The tag by which the UI knows who asked.
            tags = {**request.tags, "dagster/sensor_name": sensor.name}
            results.append(_run(defs, instance, sensor.job_name or "", tags, say, request.asset_selection))
        if answer.cursor is not None:
            memory.set_cursor_values({key: answer.cursor})
    return results


def run_job(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    name: str,
    say: Say = print,
    config: Mapping[str, object] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a whole job in this process and return its result; a failed run is a result, not an exception."""
    close_orphans(instance)
    return _run(defs, instance, name, {}, say, config=config)


def _run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    name: str,
    tags: dict[str, str],
    say: Say,
    selection: Sequence[dg.AssetKey] | None = None,
    config: Mapping[str, object] | None = None,
) -> dg.ExecuteInProcessResult:
    began = time.monotonic()
    result = defs.resolve_job_def(name).execute_in_process(
        instance=instance,
        tags={**tags, PROCESS_TAG: str(os.getpid())},
        run_config={**QUIET, **(config or {})},
        asset_selection=selection,
        raise_on_error=False,
    )
    say(f"{name}: {_summary(result)} ({time.monotonic() - began:.1f} s)")
    return result


def _summary(result: dg.ExecuteInProcessResult) -> str:
    """Say in a few words what a run did: the sums of its metadata, or which step failed."""
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    if failed:
        return f"FAILED in {', '.join(str(step) for step in failed)}"
    sums = dict.fromkeys(SAID, 0)
    for event in result.get_asset_materialization_events():
        for key, value in event.materialization.metadata.items():
            if key in sums and isinstance(value.value, int):
                sums[key] += value.value
    return ", ".join(f"{count:,} {SAID[key]}" for key, count in sums.items() if count) or "nothing to do"


def close_orphans(instance: dg.DagsterInstance, every: bool = False) -> int:
    """Mark the runs whose process is gone (killed) as failed, so that they are asked for again; return how many.

    `every`: those that a daemon had started as well; only right when no daemon is running.
    """
    statuses = [status for status in IN_PROGRESS if status != dg.DagsterRunStatus.QUEUED]
    closed = 0
    for record in instance.get_run_records(dg.RunsFilter(statuses=statuses)):
        process = record.dagster_run.tags.get(PROCESS_TAG)
        if (not Path(f"/proc/{process}").exists()) if process else every:
            instance.report_run_failed(record.dagster_run, "The process of this run ended before it did.")
            closed += 1
    return closed
