"""The jobs: which assets run together. When they run is said by sensors and schedules; what they do by the assets.

A job means "do what is waiting", so that any may be started at any time, killed, and started again.
"""

from typing import Any

import dagster as dg

from assets.feeds import GOES_ON
from assets.freshness import CHECK
from assets.manifest import Node, read_manifest
from assets.naming import landing_key, raw_key
from engage.sources import Source

DAILY, WEEKLY, EVERYTHING, FRESHNESS = "daily_marts", "weekly_scores", "everything", "freshness"


def ingest(source: Source) -> str:
    """Return the name of the job that takes in what a source has delivered."""
    return f"ingest_{source.id}"


def all_jobs(manifest: Node, sources: dict[str, Source]) -> list[Any]:
    """Return the jobs over the graph of these sources and models (Dagster has no public name for their type)."""
    models = read_manifest(manifest, sources)
    daily = dg.AssetSelection.assets(*(models.specs[one].key for one in sorted(models.daily)))
    warehouse = dg.AssetSelection.assets(*(spec.key for spec in models.specs.values()))
    freshness = dg.AssetSelection.checks(*(dg.AssetCheckKey(raw_key(source), CHECK) for source in sources.values()))
    return [
        *(
            dg.define_asset_job(
                ingest(source),
                dg.AssetSelection.assets(landing_key(source), raw_key(source)),
                description=f"Land, load, audit and publish what {source.title} has delivered.",
            )
            for source in sources.values()
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
            tags={GOES_ON: "true"},
        ),
        dg.define_asset_job(FRESHNESS, freshness, description="Look how old every source's newest data is."),
    ]
