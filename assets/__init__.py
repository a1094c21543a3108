"""What is materialised, in the order data flows: feeds, gate, source owners, warehouse, notifications, casework,
governance.

Thin factories over the source files, the suites and dbt's manifest; what happens to a delivery, a number or a message
is engage's and dbt's.
"""

import dagster as dg

from assets.casework import casework_asset
from assets.feeds import landing_asset
from assets.freshness import freshness_checks
from assets.governance import summary_asset
from assets.manifest import Node
from assets.notifications import delivered_asset, evaluated_asset
from assets.owners import owners_asset
from assets.quality_gate import gate_asset
from assets.warehouse import warehouse_asset
from engage.settings import Settings
from engage.sources import Source
from engage.suites import Suite


def all_assets(
    sources: dict[str, Source], suites: dict[str, Suite], manifest: Node, settings: Settings
) -> list[dg.AssetsDefinition]:
    """Return every asset of the graph, left to right."""
    return [
        *(landing_asset(source, settings) for source in sources.values()),
        *(gate_asset(source, suites[source.id], sources, settings) for source in sources.values()),
        owners_asset(sources, suites, settings),
        warehouse_asset(manifest, sources, settings),
        evaluated_asset(settings),
        casework_asset(manifest, sources, settings),
        delivered_asset(settings),
        summary_asset(settings),
    ]


__all__ = ["all_assets", "freshness_checks"]
