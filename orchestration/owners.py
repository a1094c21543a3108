"""When source owners are told: a job, and a sensor that asks for it only when there is something new to say.

What there is to say is engage.incidents'; an idle night adds no run.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.owners import KEY
from assets.resources import WarehouseResource, readable_failures
from engage import clock, incidents
from engage.messaging import load_messaging
from engage.settings import Settings
from engage.sources import Source
from orchestration.sensors import in_progress, watching_since

TELL = "tell_owners"
GAP = timedelta(hours=1)


def owners_job() -> Any:
    """Return the job that tells owners what is new (Dagster has no public name for its type)."""
    return dg.define_asset_job(
        TELL,
        dg.AssetSelection.assets(KEY),
        description="Open and close incidents of the sources, tell their owners, send what waits in the outbox.",
    )


def owners_sensor(sources: Mapping[str, Source], settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that looks every five minutes whether a message is due."""

    @dg.sensor(
        name="source_owners",
        job_name=TELL,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run when something begins or ceases to be wrong with a source, or a message waits.",
    )
    def _owners(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        since, cursor = watching_since(context.cursor, datetime.now(UTC), GAP)
        if since is not None:
            return dg.SensorResult(skip_reason=f"Catching up: watching again since {since:%H:%M} UTC.", cursor=cursor)
        if in_progress(context.instance, TELL):
            return dg.SensorResult(skip_reason="A run is still in progress.", cursor=cursor)
        with readable_failures(), warehouse.connect() as connection:
            is_due = incidents.is_due(connection, sources, load_messaging(settings.config), clock.now())
        if not is_due:
            return dg.SensorResult(skip_reason="Nothing new to say.", cursor=cursor)
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)

    return _owners
