"""The schedules: the weekly score from Monday morning on, an hourly look at how old every source's data is, and what
is done at night.

Times are the institution's own. What is due is decided by the ledger, so a missed tick is made up by the next.
"""

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock, weekly
from orchestration.jobs import DAILY, FRESHNESS, WEEKLY
from orchestration.prune import PRUNE
from orchestration.sensors import in_progress


def all_schedules(time_zone: str) -> list[dg.ScheduleDefinition]:
    """Return the schedules in the institution's time zone (IANA name)."""

    @dg.schedule(
        name="monday_morning",
        job_name=WEEKLY,
        # Every hour, so that a run that failed or never started is asked for again.
        cron_schedule=f"0 {weekly.DUE_AT.hour}-23 * * 1,2",
        execution_timezone=time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Scores the week that ended on Sunday, if it is not scored yet.",
    )
    def _weekly(context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource) -> dg.RunRequest | dg.SkipReason:
        if in_progress(context.instance, WEEKLY):
            return dg.SkipReason("A run of the weekly scores is still in progress.")
        with readable_failures(), warehouse.connect() as connection:
            waiting = weekly.waiting_weeks(connection, clock.now())
            on_its_way = weekly.on_its_way(connection, clock.now())
        if not waiting:
            return dg.SkipReason("Every week that is due has been scored.")
        if on_its_way:
            return dg.SkipReason(f"{waiting} weeks wait for {on_its_way} deliveries that are not through the gate yet.")
        return dg.RunRequest(tags={"engage/why": f"{waiting} weeks to score"})

    return [
        _weekly,
        dg.ScheduleDefinition(
            name="hourly_freshness",
            job_name=FRESHNESS,
            cron_schedule="5 * * * *",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="A feed that has gone silent has no runs of its own to say so.",
        ),
        dg.ScheduleDefinition(
            name="nightly_marts",
            job_name=DAILY,
            cron_schedule="15 0 * * *",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Judges the health of every source at the end of the day, also when nothing has arrived.",
        ),
        dg.ScheduleDefinition(
            name="nightly_pruning",
            job_name=PRUNE,
            cron_schedule="45 3 * * *",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Keeps Dagster's own storage from growing for ever.",
        ),
    ]
