"""The graph as Dagster loads it: the source files, the suites and dbt's manifest put together. No I/O at import, and no
database until a run needs it.
"""

import json

import dagster as dg

from assets import all_assets, freshness_checks
from assets.resources import WarehouseResource
from assets.standing import standing_checks
from engage import dbt
from engage.configuration import load_scoring
from engage.settings import Settings
from engage.sources import load_sources
from engage.suites import load_suite
from orchestration.decisions import decision_jobs
from orchestration.deliveries import deliveries_job, deliveries_sensor
from orchestration.exemptions import exemption_jobs
from orchestration.jobs import all_jobs
from orchestration.owners import owners_job, owners_sensor
from orchestration.prune import prune_job
from orchestration.retention import retention_assets, retention_job
from orchestration.schedules import all_schedules
from orchestration.sensors import arrivals_sensor, touched_days_sensor
from orchestration.subject_access import subject_access_job


def build_defs(settings: Settings | None = None, **resources: object) -> dg.Definitions:
    """Return the whole graph of one installation; `resources` replace the real ones (a test's warehouse).

    Raises ConfigurationError naming file and key.
    """
    settings = settings or Settings.from_environment()
    sources = load_sources(settings.config)
    suites = {source.id: load_suite(settings.expectations, source) for source in sources.values()}
    manifest = json.loads(dbt.parse(settings.home).read_text())
    return dg.Definitions(
        assets=[*all_assets(sources, suites, manifest, settings), retention_assets()],
        asset_checks=[freshness_checks(sources), standing_checks(sources)],
        jobs=[
            *all_jobs(manifest, sources),
            *decision_jobs(),
            *exemption_jobs(),
            owners_job(),
            deliveries_job(),
            prune_job(),
            retention_job(),
            subject_access_job(),
        ],
        sensors=[
            arrivals_sensor(sources),
            touched_days_sensor(),
            owners_sensor(sources, settings),
            deliveries_sensor(settings),
        ],
        schedules=all_schedules(load_scoring(settings.config)),
        resources={"warehouse": WarehouseResource(), **resources},
        # A run is one process: every step of a process of its own would import everything anew.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the graph that the environment describes."""
    return build_defs()
