"""The `staging`, `intermediate` and `marts` groups: every dbt model as an asset, every dbt test as its check.

One step that a run selects from: every day what is tagged `daily` (and what it is made from), every week all of it, so
that no score is made before the days it rests on. engage.dbt runs dbt in this process; which days and weeks are rebuilt
stands in ops tables.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence

import dagster as dg
from psycopg.sql import Identifier

from assets.manifest import Node, Warehouse, read_manifest
from assets.resources import WarehouseResource, readable_failures
from engage import clock, configuration, dbt, health, weekly
from engage.settings import Settings
from engage.sources import Source
from engage.warehouse import Connection

Result = dg.MaterializeResult | dg.AssetCheckResult  # type: ignore[type-arg]
POOL = "dbt"


def warehouse_asset(manifest: Node, sources: dict[str, Source], settings: Settings) -> dg.AssetsDefinition:
    """Return the step over the models of `manifest`; whatever a run selects, all daily ones or all are built."""
    models = read_manifest(manifest, sources)
    ids = {spec.key: unique_id for unique_id, spec in models.specs.items()}

    @dg.multi_asset(
        name="warehouse",
        specs=list(models.specs.values()),
        check_specs=list(models.checks.values()),
        can_subset=True,
        pool=POOL,
    )
    def _warehouse(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Result]:
        wanted = {ids[key] for key in context.selected_asset_keys}
        weekly_too = bool(wanted - models.daily)
        # Whole always: a score built without what it is made from would be published as it is.
        names = sorted(unique_id.rpartition(".")[2] for unique_id in (models.specs if weekly_too else models.daily))
        left_out = ["resource_type:unit_test", *([] if weekly_too else ["tag:full_history"])]
        results: Sequence[dbt.NodeResult]
        failure = None
        with readable_failures(), contextlib.ExitStack() as stack:
            if weekly_too:
                address, now = warehouse.address, clock.now()
                stack.enter_context(configuration.in_force(address, settings.config, sources, now))
                stack.enter_context(weekly.nothing_published(address))
            with warehouse.connect() as connection:
                if weekly_too:
                    asked = weekly.request_due_weeks(connection, now)
                    context.log.info(f"{asked} weeks to score")
                    if left := weekly.waiting_weeks(connection, now) - asked:
                        on_its_way = weekly.on_its_way(connection, now)
                        context.log.warning(f"{left} more wait for {on_its_way} deliveries on their way to the gate")
                else:
                    configuration.sync(connection, settings.config, sources, clock.now())
            try:
                results = dbt.run(
                    warehouse.address, ["build", "--select", *names, "--exclude", *left_out], settings.home
                )
            except dbt.DbtError as error:
                results, failure = error.nodes, dg.Failure(str(error), allow_retries=False)
        with readable_failures(), warehouse.connect() as connection:
            yield from _events(results, models, wanted, context.selected_asset_check_keys, connection)
        if failure:
            raise failure

    return _warehouse


def _events(
    results: Sequence[dbt.NodeResult],
    models: Warehouse,
    wanted: Collection[str],
    checks: Collection[dg.AssetCheckKey],
    connection: Connection,
) -> Iterator[Result]:
    """Turn dbt's results into Dagster's. Tests of models that were not selected are left out."""
    for result in results:
        if result.unique_id in wanted and result.status == "success":
            table = models.specs[result.unique_id].key.path
            counts = {"rows_changed": result.rows_affected} if result.rows_affected is not None else {}
            if table[0] == "marts":
                counts["dagster/row_count"] = health.table_rows(connection, Identifier(*table)) or 0
            yield dg.MaterializeResult(
                asset_key=models.specs[result.unique_id].key, metadata={"seconds": round(result.seconds, 2), **counts}
            )
        elif (check := models.checks.get(result.unique_id)) and check.key in checks and result.status != "skipped":
            yield dg.AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=result.status == "pass",
                severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata={"rows_failed": result.failures or 0, "seconds": round(result.seconds, 2)},
            )
