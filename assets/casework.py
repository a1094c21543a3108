"""The marts that follow from notifications: whom to contact, what the CRM was asked, which step is due, outcomes.

A step of dbt's own, after the notifications are evaluated; the SQL is dbt_project's.
"""

from collections.abc import Iterator

import dagster as dg

from assets.dbt_results import Result, build, checks_alone, events, standing
from assets.manifest import Node, read_manifest
from assets.notifications import EVALUATED
from assets.resources import WarehouseResource, readable_failures
from assets.warehouse import POOL
from engage import weekly
from engage.settings import Settings
from engage.sources import Source


def casework_asset(manifest: Node, sources: dict[str, Source], settings: Settings) -> dg.AssetsDefinition:
    """Return the step over the models tagged `casework`, each by itself."""
    both = read_manifest(manifest, sources)
    models, before = both.part(casework=True), {spec.key for spec in both.part(casework=False).specs.values()}
    ids = {spec.key: unique_id for unique_id, spec in models.specs.items()}

    @dg.multi_asset(
        name="casework",
        # Left out by a run that comes before what they are made from.
        specs=[
            spec.merge_attributes(deps=[EVALUATED]).replace_attributes(skippable=True) for spec in models.specs.values()
        ],
        check_specs=list(models.checks.values()),
        can_subset=True,
        pool=POOL,
    )
    def _casework(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Result]:
        wanted = {ids[key] for key in context.selected_asset_keys}
        checks = context.selected_asset_check_keys
        if not wanted:
            yield from checks_alone(warehouse, models, settings, checks)
            return
        with readable_failures(), weekly.one_at_a_time(warehouse.address):
            with warehouse.connect() as connection:
                there = standing(connection)
            waits_for = {
                unique_id: [
                    key for dep in spec.deps if (key := dep.asset_key) in before and tuple(key.path) not in there
                ]
                for unique_id, spec in models.specs.items()
                if unique_id in wanted
            }
            for unique_id, keys in waits_for.items():
                if keys:
                    said = ", ".join(key.to_user_string() for key in keys)
                    context.log.info(f"{models.specs[unique_id].key.to_user_string()} waits for {said}")
            names = [unique_id.rpartition(".")[2] for unique_id, keys in waits_for.items() if not keys]
            results, failure = build(warehouse.address, names, settings.home) if names else ([], None)
        with readable_failures(), warehouse.connect() as connection:
            yield from events(results, models, wanted, checks, connection)
        if failure:
            raise failure

    return _casework
