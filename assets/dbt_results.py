"""What dbt did, as Dagster tells it: its results as materialisations and checks, and checks that are asked for alone.

Which models a step builds is warehouse.py's and casework.py's.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import dagster as dg
from psycopg.sql import Identifier

from assets import figures
from assets.manifest import WHOLE_HISTORY, Warehouse
from assets.resources import WarehouseResource, readable_failures
from engage import dbt, health
from engage.settings import Settings
from engage.warehouse import Connection

Result = dg.MaterializeResult | dg.AssetCheckResult  # type: ignore[type-arg]


def build(address: str, names: Collection[str], home: Path) -> tuple[Sequence[dbt.NodeResult], dg.Failure | None]:
    """Build these models with the tests of what they build; return what became of each, and what to raise after."""
    left_out = ["--exclude", "resource_type:unit_test", f"tag:{WHOLE_HISTORY}"]
    return _told(address, ["build", "--select", *sorted(names), *left_out], home)


def checks_alone(
    warehouse: WarehouseResource, models: Warehouse, settings: Settings, checks: Collection[dg.AssetCheckKey]
) -> Iterator[Result]:
    """Run the tests behind these checks and build nothing: all history once a week, or what a person asks for.

    Of a model that has never been built there is nothing to check.
    """
    results: Sequence[dbt.NodeResult] = []
    failure: dg.Failure | None = None
    with readable_failures():
        with warehouse.connect() as connection:
            there = standing(connection)
        tests = [
            unique_id.split(".")[2]
            for unique_id, check in models.checks.items()
            if check.key in checks and tuple(check.asset_key.path) in there
        ]
        if tests:
            results, failure = _told(warehouse.address, ["test", "--select", *tests], settings.home)
    with readable_failures(), warehouse.connect() as connection:
        yield from events(results, models, (), checks, connection)
    if failure:
        raise failure


def standing(connection: Connection) -> set[tuple[str, ...]]:
    """Return the tables and views there are, by schema and name."""
    rows = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
    return {(str(schema), str(name)) for schema, name in rows}


def events(
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
            counts: dict[str, figures.Figure] = (
                {"rows_changed": result.rows_affected} if result.rows_affected is not None else {}
            )
            if table[0] == "marts":
                counts["dagster/row_count"] = health.table_rows(connection, Identifier(*table)) or 0
                counts |= figures.of(connection, table[-1])
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


def _told(address: str, arguments: Sequence[str], home: Path) -> tuple[Sequence[dbt.NodeResult], dg.Failure | None]:
    try:
        return dbt.run(address, arguments, home), None
    except dbt.DbtError as error:
        return error.nodes, dg.Failure(str(error), allow_retries=False)
