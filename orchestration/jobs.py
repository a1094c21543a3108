"""The jobs: which assets run together. When they run is said by sensors and schedules; what they do by the assets.

A job means "do what is waiting", so that any may be started at any time, killed, and started again.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.feeds import GOES_ON
from assets.freshness import CHECK
from assets.governance import SUMMARY
from assets.manifest import Node, read_manifest
from assets.naming import landing_key, raw_key
from assets.notifications import DELIVERED, EVALUATED
from assets.standing import CHECKS
from assets.warehouse import RESTATE
from engage.sources import Source
from orchestration.retention import KEPT

DAILY, WEEKLY, EVERYTHING, FRESHNESS = "daily_marts", "weekly_scores", "everything", "freshness"
WHOLE_HISTORY, NOTIFY, GOVERNANCE = "whole_history", "notify", "governance_summary"
AFTER_SCORES = "after_scores"
"""Tag of the models of casework that only a run of the scores makes anew."""
INGEST = "ingest"
_ROOMS = ("landing", "raw")


def ingest(source: Source) -> str:
    """Return the name of the job that takes in what a source has delivered."""
    return f"ingest_{source.id}"


def sources_of(run: dg.DagsterRun, sources: Mapping[str, Source]) -> set[str]:
    """Return the sources that a run takes in."""
    if run.asset_selection is not None:
        return {key.path[-1] for key in run.asset_selection if key.path[0] in _ROOMS} & set(sources)
    if run.job_name in (INGEST, EVERYTHING):
        return set(sources)
    return {name for name, source in sources.items() if run.job_name == ingest(source)}


def all_jobs(manifest: Node, sources: dict[str, Source]) -> list[Any]:
    """Return the jobs over the graph of these sources and models (Dagster has no public name for their type)."""
    models = read_manifest(manifest, sources)
    whole = dg.AssetSelection.checks(*(check.key for check in models.whole_history.values()))
    daily = dg.AssetSelection.assets(*(models.specs[one].key for one in sorted(models.daily))) - whole
    warehouse = dg.AssetSelection.assets(*(spec.key for spec in models.part(casework=False).specs.values())) - whole
    casework = models.part(casework=True).specs.values()
    people = dg.AssetSelection.assets(EVALUATED, *(spec.key for spec in casework), DELIVERED) - whole
    # What changes with the scores only needs no night.
    tonight = people - dg.AssetSelection.assets(*(spec.key for spec in casework if AFTER_SCORES in spec.tags))
    keys = [raw_key(source) for source in sources.values()]
    standing = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, check) for key in keys for check in CHECKS))
    freshness = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, CHECK) for key in keys))
    taken_in = [key(source) for source in sources.values() for key in (landing_key, raw_key)]
    return [
        dg.define_asset_job(
            INGEST,
            dg.AssetSelection.assets(*taken_in) - standing,
            description="Land, load, audit and publish what the sources of this run have delivered, rosters first.",
            # One that refuses us turns its check red, and keeps none of the others from the gate.
            tags={GOES_ON: "true"},
        ),
        *(
            dg.define_asset_job(
                ingest(source),
                dg.AssetSelection.assets(landing_key(source), raw_key(source)) - standing,
                description=f"Land, load, audit and publish what {source.title} has delivered.",
            )
            for source in sources.values()
        ),
        dg.define_asset_job(
            DAILY,
            daily | tonight,
            description="Rebuild exactly the days whose published rows changed, and tell whom it concerns.",
        ),
        dg.define_asset_job(
            WEEKLY,
            warehouse | people,
            description="Rebuild the changed days, score the weeks that are due, and tell whom it concerns.",
        ),
        dg.define_asset_job(
            RESTATE,
            warehouse | people,
            description="Score published weeks again, with a reason: a revision is added, and the one before stays. "
            "In the Launchpad: ops: warehouse: config: {weeks: [2026-10-12], reason: ..., by: ...}",
        ),
        dg.define_asset_job(
            EVERYTHING,
            dg.AssetSelection.all() - whole - dg.AssetSelection.assets(SUMMARY, KEPT),
            description="All of it in one run, left to right: a backfill, the demo, a replay.",
            tags={GOES_ON: "true"},
        ),
        dg.define_asset_job(
            WHOLE_HISTORY,
            whole,
            description="Check the marts over all there ever was; the other runs look at what they have built.",
        ),
        dg.define_asset_job(
            NOTIFY,
            tonight,
            description="Evaluate the active rules on what is built, and tell whom it concerns: after a rule was "
            "activated, without waiting for the night.",
        ),
        dg.define_asset_job(
            GOVERNANCE,
            dg.AssetSelection.assets(SUMMARY),
            description="Make the governance summaries that are due. One on request, in the Launchpad: ops: "
            "governance__summary: config: {kind: on_request, first_day: 2026-09-21, last_day: 2026-11-15}",
        ),
        dg.define_asset_job(
            FRESHNESS,
            freshness | standing,
            description="Look how old every source's newest data is, and for what lies about.",
        ),
    ]
