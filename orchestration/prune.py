"""The pruning of Dagster's own storage, which has none: old runs with their events, and old results of checks.

What is newest of each asset and each check stays. Ticks have a retention of their own (dagster.yaml); the ledger of the
warehouse is not touched.
"""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg
from psycopg import sql

from assets.resources import readable_failures
from engage.sources import ConfigurationError
from engage.warehouse import Connection, connect
from orchestration.jobs import FRESHNESS

PRUNE = "prune_dagster"
DAYS = {"ENGAGE_KEEP_RUNS_DAYS": 30, "ENGAGE_KEEP_FAILED_RUNS_DAYS": 90}
HOURLY, CHECK_RESULTS = timedelta(days=2), timedelta(days=7)
"""How long a run of the hourly look stays, and the result of a check: both are many, and say little when old."""
PORTION = 100

# Dagster forgets neither of these with a run. Portions, so that nothing is locked for long.
_CHECK_RESULTS = """
delete from asset_check_executions where id in (
    select id from (
        select id, create_timestamp, row_number() over (partition by asset_key, check_name order by id desc) as place
        from asset_check_executions
    ) as executions
    where place > 1 and create_timestamp < %(before)s
    limit {portion}
)
"""
# Left when a run was deleted and this was killed before its events were.
_ORPHANS = """
delete from event_logs where id in (
    select id from event_logs
    where
        run_id <> '' and timestamp < %(before)s
        and not exists (select from runs where runs.run_id = event_logs.run_id)
    limit {portion}
)
"""
_TABLES = {"asset_check_executions": _CHECK_RESULTS, "event_logs": _ORPHANS}


def prune_job() -> dg.JobDefinition:
    """Return the job `prune_dagster`; may be killed anywhere and run again."""

    @dg.op(description="Deletes old runs with their events, and old results of checks; keeps what is newest.")
    def prune(context: dg.OpExecutionContext) -> None:
        with readable_failures():
            keep, keep_failed = (timedelta(days=_days(name)) for name in DAYS)
        now = datetime.now(UTC)
        deleted = prune_runs(context.instance, now, keep, keep_failed)
        with readable_failures(), connect(os.environ["ENGAGE_DAGSTER_URL"], autocommit=True) as connection:
            rows = prune_rows(connection, now - min(keep, CHECK_RESULTS))
        context.log.info(f"{deleted} runs; {', '.join(f'{count} rows of {name}' for name, count in rows.items())}")

    @dg.job(name=PRUNE, description="Keep Dagster's own storage from growing for ever.")
    def _prune() -> None:
        prune()

    return _prune


def prune_runs(instance: dg.DagsterInstance, now: datetime, keep_for: timedelta, keep_failed_for: timedelta) -> int:
    """Delete runs that finished longer ago than `keep_for` (failed ones: `keep_failed_for`) with their events; return
    how many. The newest materialisation of every asset stays, with its run.
    """
    newest = map(instance.get_latest_materialization_event, instance.get_asset_keys())
    keep = {event.run_id for event in newest if event}
    done = 0
    for status, job, age in [
        (dg.DagsterRunStatus.SUCCESS, FRESHNESS, min(keep_for, HOURLY)),
        (dg.DagsterRunStatus.SUCCESS, None, keep_for),
        (dg.DagsterRunStatus.CANCELED, None, keep_for),
        (dg.DagsterRunStatus.FAILURE, None, keep_failed_for),
    ]:
        chosen = dg.RunsFilter(statuses=[status], job_name=job, updated_before=now - age)
        while old := set(instance.get_run_ids(chosen, limit=PORTION + len(keep))) - keep:
            for run_id in old:
                instance.delete_run(run_id)
            done += len(old)
    return done


def prune_rows(connection: Connection, before: datetime) -> dict[str, int]:
    """Delete what no run takes with it; `connection` is one to Dagster's storage. Return how many rows of what."""
    found = dict.fromkeys(_TABLES, 0)
    for table, statement in _TABLES.items():
        # An institution may keep Dagster's storage elsewhere.
        if connection.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
            continue
        query = sql.SQL(statement).format(portion=sql.Literal(10_000))
        # Dagster writes times without a zone, in UTC.
        while gone := connection.execute(query, {"before": before.replace(tzinfo=None)}).rowcount:
            found[table] += gone
    return found


def _days(name: str) -> int:
    said = os.environ.get(name) or str(DAYS[name])
    if not said.isdigit() or int(said) == 0:
        raise ConfigurationError(f"{name}: must be a number of days, at least 1")
    return int(said)
