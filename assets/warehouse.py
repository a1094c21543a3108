"""The `staging`, `intermediate` and `marts` groups: every dbt model as an asset, every dbt test as its check.

One step that a run selects from: every day what is tagged `daily` (and what it is made from), every week all of it, so
that no score is made before the days it rests on. engage.dbt runs dbt in this process; which days and weeks are rebuilt
stands in ops tables.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from assets.dbt_results import Result, build, checks_alone, events
from assets.manifest import Node, Warehouse, read_manifest
from assets.resources import WarehouseResource, readable_failures
from engage import access, clock, configuration, dbt, restatement, weekly
from engage.settings import Settings
from engage.sources import Source

POOL = "dbt"
RESTATE = "restate"
NAMED = 10
SCORES = dg.AssetKey(["marts", "weekly_score"])
ON_TIME = dg.AssetCheckSpec(
    "no_source_was_late",
    asset=SCORES,
    description="The weeks of the last publication had every day of every source that might still deliver.",
)


class Restate(dg.Config):
    """Weeks that are published, and are to be scored again by this run. For the job `restate`; else empty."""

    weeks: list[str] = []
    """Their Mondays, as 2026-10-12."""
    reason: str = ""
    """Is kept and published with the scores; never names a student."""
    by: str = ""
    """Who asks for it: the page does not know who uses it."""

    @property
    def is_meant(self) -> bool:
        """Say whether anything was filled in."""
        return bool(self.weeks or self.reason or self.by)

    @property
    def mondays(self) -> list[date]:
        """The weeks. Raises RestatementError for what is no date."""
        try:
            return [date.fromisoformat(week) for week in self.weeks]
        except ValueError:
            raise restatement.RestatementError("weeks: dates, as 2026-10-12") from None


def warehouse_asset(manifest: Node, sources: dict[str, Source], settings: Settings) -> dg.AssetsDefinition:
    """Return the step over the models of `manifest`; whatever a run selects, all daily ones or all are built."""
    models = read_manifest(manifest, sources).part(casework=False)
    ids = {spec.key: unique_id for unique_id, spec in models.specs.items()}

    @dg.multi_asset(
        name="warehouse",
        specs=list(models.specs.values()),
        check_specs=[*models.checks.values(), ON_TIME],
        can_subset=True,
        pool=POOL,
    )
    def _warehouse(
        context: dg.AssetExecutionContext, config: Restate, warehouse: WarehouseResource
    ) -> Iterator[Result]:
        wanted = {ids[key] for key in context.selected_asset_keys}
        checks = context.selected_asset_check_keys
        if not wanted:
            yield from checks_alone(warehouse, models, settings, checks)
            return
        weekly_too = bool(wanted - models.daily)
        # Whole always: a score built without what it is made from would be published as it is.
        names = [unique_id.rpartition(".")[2] for unique_id in (models.specs if weekly_too else models.daily)]
        asked: Sequence[weekly.Week] = []
        address, now = warehouse.address, clock.now()
        with readable_failures(), contextlib.ExitStack() as stack:
            # Dagster's pool holds the runs of its daemon only.
            stack.enter_context(weekly.one_at_a_time(address))
            if weekly_too:
                version = stack.enter_context(configuration.in_force(address, settings.config, sources, now))
                stack.enter_context(weekly.nothing_published(address))
            with warehouse.connect() as connection:
                if weekly_too:
                    change = configuration.story(connection, version)
                    (context.log.warning if change.is_unsaid else context.log.info)(f"Configuration {change}")
                    if config.is_meant or context.job_name == RESTATE:
                        restatement.ask(connection, config.mondays, config.reason, config.by, now)
                    asked = weekly.request_due_weeks(connection, now)
                    _say(context.log, asked, weekly.due(connection, now))
                else:
                    configuration.sync(connection, settings.config, sources, now)
                    if left := access.apply(connection):
                        context.log.warning(f"{len(left)} rights differ from what was granted: engage access audit")
                    if weekly.trends_are_behind(connection):
                        names.append("tag:follows_scores")
            results, failure = build(warehouse.address, names, settings.home)
        with readable_failures(), warehouse.connect() as connection:
            yield from events(results, models, wanted, checks, connection)
            if asked and ON_TIME.key in checks and any(_is_published(models, result) for result in results):
                yield _on_time(asked)
        if failure:
            raise failure

    return _warehouse


def _say(log: dg.DagsterLogManager, asked: Sequence[weekly.Week], left: weekly.Due) -> None:
    """Log which weeks are scored, without what, and which still wait."""
    log.info(f"{len(asked)} weeks to score")
    for week in asked:
        if week.late:
            log.warning(f"The week from {week.week_start} is published without what is late of {', '.join(week.late)}")
    if left.waiting or len(left.ready) > len(asked):
        log.warning(str(left))


def _is_published(models: Warehouse, result: dbt.NodeResult) -> bool:
    """Say whether the result is that of the model that publishes the scores, and good."""
    spec = models.specs.get(result.unique_id)
    return spec is not None and spec.key == SCORES and result.status == "success"


def _on_time(weeks: Sequence[weekly.Week]) -> dg.AssetCheckResult:
    late = [f"The week from {week.week_start}: {', '.join(week.late)}." for week in weeks if week.late]
    return dg.AssetCheckResult(
        asset_key=ON_TIME.asset_key,
        check_name=ON_TIME.name,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description="\n\n".join(
            [*late[-NAMED:], "A source still counts with enough complete days (docs/the-formula.md)."]
        )
        if late
        else "None was.",
        metadata={"weeks": len(weeks), "weeks_with_late_sources": len(late)},
    )
