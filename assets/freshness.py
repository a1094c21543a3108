"""The check `data_is_fresh` of every source: how old the newest published data is, which no run of the source can tell.

A run judges the moment it ran; a feed that has gone silent has no runs. So this check has its own schedule.
"""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from assets.naming import raw_key
from assets.resources import WarehouseResource, readable_failures
from engage import clock, health
from engage.sources import Source

CHECK = "data_is_fresh"


def policy_of(source: Source) -> dg.FreshnessPolicy | None:
    """Return Dagster's own limits for the published rows. It knows no quiet days, so they are longer by those of a
    week; of a source with an end there are none, for it would be red for ever.
    """
    if source.disabled_from:
        return None
    quiet = timedelta(days=len(set(source.freshness.quiet_weekdays)))
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=source.freshness.fail_after_h) + quiet,
        warn_window=timedelta(hours=source.freshness.warn_after_h) + quiet,
    )


def freshness_checks(sources: dict[str, Source]) -> dg.AssetChecksDefinition:
    """Return one step with a check per source, so that an hourly look at all of them is cheap."""
    by_key = {raw_key(source): source for source in sources.values()}

    @dg.multi_asset_check(
        name=CHECK,
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key,
                description=f"The newest data is at most {source.freshness.fail_after_h:g} h old, quiet days aside.",
            )
            for key, source in by_key.items()
        ],
    )
    def _fresh(context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
        with readable_failures(), warehouse.connect() as connection:
            keys = [check.asset_key for check in context.selected_asset_check_keys]
            found = {key: health.freshness(connection, by_key[key], clock.now()) for key in keys}
        for key, freshness in found.items():
            yield _result(key, by_key[key], freshness)

    return _fresh


def _result(key: dg.AssetKey, source: Source, found: health.Freshness) -> dg.AssetCheckResult:
    age = "nothing has been published yet" if found.age_h is None else f"the newest data is {found.age_h:.0f} h old"
    limits = f"warning after {source.freshness.warn_after_h:g} h, stale after {source.freshness.fail_after_h:g} h"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=found.state in ("fresh", "quiet", "disabled"),
        severity=dg.AssetCheckSeverity.WARN if found.state == "warning" else dg.AssetCheckSeverity.ERROR,
        description=f"{found.state}: {age} ({limits}). Owner: {source.owner.name}.",
        metadata={
            **({"data_until": dg.MetadataValue.timestamp(found.data_until)} if found.data_until else {}),
            **({"age_h": round(found.age_h, 1)} if found.age_h is not None else {}),
            **({"last_delivery": dg.MetadataValue.timestamp(found.last_delivery_at)} if found.last_delivery_at else {}),
            **({"last_event": dg.MetadataValue.timestamp(found.last_event_at)} if found.last_event_at else {}),
            **({"covered_until": str(found.covered_until)} if found.covered_until else {}),
        },
    )
