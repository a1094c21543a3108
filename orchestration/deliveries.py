"""When staff and students are told: a job, and a sensor that asks for it at the hour of digests and after quiet hours.

Whatever evaluates delivers, too; the sensor is for what had to wait. What waits in the outbox is owners.py's.
"""

from typing import Any

import dagster as dg

from assets.notifications import DELIVERED
from assets.resources import WarehouseResource, readable_failures
from engage import clock
from engage.contact import bundles, visa_digest
from engage.messaging import load_messaging
from engage.settings import Settings
from orchestration.sensors import in_progress

DELIVER = "deliver"


def deliveries_job() -> Any:
    """Return the job that writes what is due and sends what waits (Dagster has no public name for its type)."""
    return dg.define_asset_job(
        DELIVER,
        dg.AssetSelection.assets(DELIVERED),
        description="Write digests and letters that are due, and send what waits in the outbox.",
    )


def deliveries_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that looks every five minutes whether what waits may be told by now."""

    @dg.sensor(
        name="deliveries",
        job_name=DELIVER,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run when the hour of digests has come, or quiet hours are over, and something waits.",
    )
    def _deliveries(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        if in_progress(context.instance, DELIVER):
            return dg.SensorResult(skip_reason="A run is still in progress.", cursor=context.cursor)
        with readable_failures(), warehouse.connect() as connection:
            messaging = load_messaging(settings.config)
            local = clock.local(connection, clock.now())
            waiting = bundles.waiting(connection) + visa_digest.waiting(connection, messaging)
        # The same for as long as nothing more may be told than at the look before.
        is_quiet = messaging.quiet_hours.hold(local)
        hour = "quiet" if is_quiet else "digests" if local.time() >= messaging.digest_at else "before digests"
        state = f"{local.date()} {hour}"
        if is_quiet or state == context.cursor or not waiting:
            said = f"{waiting} wait, and it is quiet." if is_quiet and waiting else "Nothing new may be told."
            return dg.SensorResult(skip_reason=said, cursor=state)
        return dg.SensorResult(run_requests=[dg.RunRequest(tags={"engage/why": f"{waiting} wait"})], cursor=state)

    return _deliveries
