"""The sensors: one per source that looks for settled deliveries, and one that looks for days to rebuild.

They ask the ledger what is waiting and request a run; the cursor only remembers what was asked for, so that a run that
fails is asked for again, later and later. Nothing is fetched or written here but the sightings.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock, health, landing, weekly
from engage.connectors import AccessError, Remote, TransportError
from engage.sources import ConfigurationError, Source
from orchestration.jobs import DAILY, ingest

FIRST_WAIT, DOUBLINGS = timedelta(minutes=1), 6
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def arrival_sensor(source: Source) -> dg.SensorDefinition:
    """Return the sensor `<source>_arrivals`."""

    @dg.sensor(
        name=f"{source.id}_arrivals",
        job_name=ingest(source),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for a run when a settled delivery of {source.title} is not in the ledger.",
    )
    def _arrivals(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        if in_progress(context.instance, ingest(source)):
            return _skip(context, "A run of this source is still in progress.")
        settled: Sequence[Remote] = []
        with warehouse.connect() as connection:
            if since := landing.disabled_since(connection, source, clock.now()):
                return _skip(context, f"Disabled since {since}: nothing is collected.")
            unfinished = health.unfinished(connection, source.id)
            try:
                settled = landing.look(connection, source, clock.now())
            except (AccessError, ConfigurationError, TransportError) as error:
                # What has landed goes on to the gate; else the transient is skipped, for the next look may succeed.
                if not unfinished and isinstance(error, TransportError):
                    return _skip(context, f"Not reachable now: {error}")
                if not unfinished:
                    raise
        if not settled and not unfinished:
            return _skip(context, "Nothing new has settled.")
        return _ask(
            context,
            {**_said_of(settled), "unfinished": unfinished},
            f"{len(settled)} new, {unfinished} unfinished",
        )

    return _arrivals


def touched_days_sensor() -> dg.SensorDefinition:
    """Return the sensor that turns any number of ingests into one rebuild of the days they changed."""

    @dg.sensor(
        name="touched_days",
        job_name=DAILY,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for the rebuild of the days whose published rows changed.",
    )
    def _touched_days(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        if in_progress(context.instance, DAILY):
            return _skip(context, "A rebuild is still in progress.")
        with readable_failures(), warehouse.connect() as connection:
            touched = weekly.touched_days(connection)
        if touched.last_at is None:
            return _skip(context, "No day has changed.")
        said = {"last_at": touched.last_at.isoformat(), "days": touched.days}
        return _ask(context, said, f"{touched.days} days of sources changed")

    return _touched_days


def in_progress(instance: dg.DagsterInstance, job: str) -> bool:
    """Say whether a run of the job is queued or under way."""
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=IN_PROGRESS), limit=1))


def _said_of(settled: Sequence[Remote]) -> dict[str, object]:
    """Return what identifies a wish: the newest files' own time and names, and how many wait."""
    if not settled:
        return {}
    newest = max(remote.modified_at for remote in settled)
    names = sorted(remote.name for remote in settled if remote.modified_at == newest)
    return {"newest": newest.isoformat(), "names": names[:20], "settled": len(settled)}


def _ask(context: dg.SensorEvaluationContext, wish: dict[str, object], reason: str) -> dg.SensorResult:
    """Request a run, unless the same was asked for in vain just now. No run_key: that is remembered for ever."""
    before = json.loads(context.cursor or "{}")
    attempt = before["attempt"] + 1 if before.get("wish") == wish else 1
    if attempt > 1:
        again = datetime.fromisoformat(before["asked_at"]) + FIRST_WAIT * 2 ** min(attempt - 2, DOUBLINGS)
        if clock.now() < again:
            return _skip(context, f"{reason}; asked for {attempt - 1} times in vain, again at {again:%H:%M:%S} UTC.")
    cursor = {"wish": wish, "attempt": attempt, "asked_at": clock.now().isoformat()}
    request = dg.RunRequest(tags={"engage/attempt": str(attempt), "engage/why": reason})
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))


def _skip(context: dg.SensorEvaluationContext, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
