"""The jobs: which assets run together. When they run is said by sensors and schedules; what they do by the assets.

A job means "do what is waiting", so that any may be started at any time, killed, and started again.
"""

from typing import Any

import dagster as dg

from assets.freshness import CHECK
from assets.manifest import Node, read_manifest
from engage.sources import Source

INGEST, DAILY, WEEKLY, EVERYTHING, FRESHNESS = "ingest", "daily_marts", "weekly_scores", "everything", "freshness"


def all_jobs(manifest: Node, sources: dict[str, Source]) -> list[Any]:
    """Return the jobs over the graph of these sources and models (Dagster has no public name for their type)."""
    models = read_manifest(manifest, sources)
    daily = dg.AssetSelection.assets(*(models.specs[one].key for one in sorted(models.daily)))
    warehouse = dg.AssetSelection.assets(*(spec.key for spec in models.specs.values()))
    freshness = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(["raw", s]), CHECK) for s in sources))
    return [
        dg.define_asset_job(
            INGEST,
            dg.AssetSelection.groups("feeds", "quality_gate"),
            description="Land, load, audit and publish what has arrived. A sensor per source asks for its part.",
        ),
        dg.define_asset_job(DAILY, daily, description="Rebuild exactly the days whose published rows changed."),
        dg.define_asset_job(
            WEEKLY,
            warehouse,
            description="Rebuild the changed days, then score the weeks that are due.",
        ),
        dg.define_asset_job(
            EVERYTHING,
            dg.AssetSelection.all(),
            description="All of it in one run, left to right: a backfill, the demo, a replay.",
        ),
        dg.define_asset_job(FRESHNESS, freshness, description="Look how old every source's newest data is."),
    ]
