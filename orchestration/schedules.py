"""The schedules: the weekly score on Monday morning, and an hourly look at how old every source's data is.

Times are the institution's own. What is due is decided by the ledger, so a missed tick is made up by the next.
"""

import dagster as dg

from orchestration.jobs import FRESHNESS, WEEKLY


def all_schedules(time_zone: str) -> list[dg.ScheduleDefinition]:
    """Return the schedules in the institution's time zone (IANA name)."""
    return [
        dg.ScheduleDefinition(
            name="monday_morning",
            job_name=WEEKLY,
            cron_schedule="0 6 * * 1",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Scores the week that ended on Sunday.",
        ),
        dg.ScheduleDefinition(
            name="hourly_freshness",
            job_name=FRESHNESS,
            cron_schedule="5 * * * *",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="A feed that has gone silent has no runs of its own to say so.",
        ),
    ]
