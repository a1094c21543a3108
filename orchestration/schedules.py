"""The schedules: an hourly look whether a week is to be scored, another at how old every source's data is, what is
done at night, and the summaries.

Times are the institution's own. What is due is decided by the ledger, so a missed tick is made up by the next.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from assets.warehouse import RESTATE
from engage import clock, weekly
from engage.governance import editions
from engage.scoring import Scoring
from orchestration.jobs import DAILY, EVERYTHING, FRESHNESS, GOVERNANCE, INGEST, WEEKLY, WHOLE_HISTORY
from orchestration.prune import PRUNE
from orchestration.retention import RETENTION
from orchestration.sensors import CATCHING_UP, IN_PROGRESS, in_progress, watching_since

PUBLICATION = "weekly_publication"
GAP = timedelta(hours=2)
_REGULAR = (
    ("hourly_freshness", FRESHNESS, "5 * * * *", "A feed that has gone silent has no runs of its own to say so."),
    ("nightly_marts", DAILY, "15 0 * * *",
     "Judges the health of every source at the end of the day, also when nothing has arrived."),
    ("weekly_whole_history", WHOLE_HISTORY, "0 4 * * 6",
     "What no night has the time for: the marts are checked from their first row to the last."),
    ("nightly_retention", RETENTION, "30 2 * * *",
     "Deletes what is past its period, and says whether anything is left."),
    ("nightly_pruning", PRUNE, "45 3 * * *", "Keeps Dagster's own storage from growing for ever."),
)  # fmt: skip
_NEVER = '{"since": "1970-01-01T00:00+00:00", "last": "1970-01-01T00:00+00:00"}'


def all_schedules(scoring: Scoring) -> list[dg.ScheduleDefinition]:
    """Return the schedules in the institution's time zone."""
    # Every hour of every day, so that a run that failed or never started is asked for again.
    minutes = ",".join(str(minute) for minute in sorted({scoring.publish_at.minute, scoring.wait_until.minute}))

    @dg.schedule(
        name=PUBLICATION,
        job_name=WEEKLY,
        cron_schedule=f"{minutes} * * * *",
        execution_timezone=scoring.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Scores the weeks that have ended and are not scored yet: on Monday at "
        f"{scoring.publish_at:%H:%M}, or once what is late has come, at the latest at {scoring.wait_until:%H:%M}.",
    )
    def _weekly(context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource) -> dg.RunRequest | dg.SkipReason:
        busy = _catching_up(context.instance) or _taking_in(context.instance)
        if in_progress(context.instance, WEEKLY) or in_progress(context.instance, RESTATE):
            return dg.SkipReason("A run of the weekly scores is still in progress.")
        with readable_failures(), warehouse.connect() as connection:
            due = weekly.due(connection, clock.now())
        if not due.ready or due.on_its_way:
            return dg.SkipReason(str(due))
        if busy:
            return dg.SkipReason(f"{due} Not before we have caught up: {busy}.")
        return dg.RunRequest(tags={"engage/why": str(due)})

    after = (scoring.wait_until.hour + 1) % 24

    @dg.schedule(
        name="governance_summaries",
        job_name=GOVERNANCE,
        cron_schedule=f"{scoring.wait_until.minute} {after} * * *",
        execution_timezone=scoring.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes the summaries of weeks, months and terms that are over, once their scores are published.",
    )
    def _summaries(warehouse: WarehouseResource) -> dg.RunRequest | dg.SkipReason:
        with readable_failures(), warehouse.connect() as connection:
            due = editions.due(connection, clock.now())
        if not due:
            return dg.SkipReason("No summary is due.")
        return dg.RunRequest(tags={"engage/why": ", ".join(f"{kind} {period.end}" for kind, period in due)})

    regular = [
        dg.ScheduleDefinition(
            name=name,
            job_name=job,
            cron_schedule=cron,
            execution_timezone=scoring.time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=description,
        )
        for name, job, cron, description in _REGULAR
    ]
    return [_weekly, _summaries, *regular]


def _catching_up(instance: dg.DagsterInstance) -> str | None:
    """Say since when we watch again, if we were away until just now: what came meanwhile is not even seen yet."""
    memory, key = instance.daemon_cursor_storage, f"engage/{PUBLICATION}"
    cursor = memory.get_cursor_values({key}).get(key) or _NEVER
    since, cursor = watching_since(cursor, datetime.now(UTC), GAP)
    memory.set_cursor_values({key: cursor})
    return f"watching again since {since:%H:%M} UTC" if since else None


def _taking_in(instance: dg.DagsterInstance) -> str | None:
    """Name the run that has been taking in deliveries for long: a backlog, and who knows how much is to come."""
    long_ago = datetime.now(UTC) - CATCHING_UP
    for record in instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS, created_before=long_ago)):
        if (run := record.dagster_run).job_name.startswith(INGEST) or run.job_name == EVERYTHING:
            return f"{run.job_name} has been running since {record.create_timestamp:%H:%M} UTC"
    return None
