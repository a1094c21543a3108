"""The standing checks of every source: nothing held for too long, nothing left failed, nothing seen but never loaded.

A run judges what it did; what no run does is found by looking at the ledger on a schedule of its own.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.naming import raw_key
from assets.resources import WarehouseResource, readable_failures
from engage import clock, standing
from engage.sources import Source

CHECKS: dict[standing.Kind, str] = {
    "held_too_long": "No batch is held for longer than its owner's escalate_after_h (3 days): somebody decides.",
    "left_failed": "No delivery waits for the gate for over an hour, and no decision for what follows from it.",
    "never_loaded": "No file was seen over a day ago and is not loaded.",
}
NAMED = 10


def standing_checks(sources: dict[str, Source]) -> dg.AssetChecksDefinition:
    """Return one step with three checks per source."""
    by_key = {raw_key(source): source for source in sources.values()}

    @dg.multi_asset_check(
        name="nothing_lies_about",
        can_subset=True,
        specs=[dg.AssetCheckSpec(name, asset=key, description=said) for key in by_key for name, said in CHECKS.items()],
    )
    def _standing(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        with readable_failures(), warehouse.connect() as connection:
            keys = {check.asset_key for check in selected}
            found = {key: standing.matters(connection, by_key[key], clock.now()) for key in keys}
        for check in selected:
            yield _result(check, [m for m in found[check.asset_key] if m.kind == check.name])

    return _standing


def _result(check: dg.AssetCheckKey, matters: Sequence[standing.Matter]) -> dg.AssetCheckResult:
    lines = [f"{m.name}, since {m.since:%Y-%m-%d %H:%M} UTC: {m.what}." for m in matters[:NAMED]]
    if len(matters) > NAMED:
        lines.append(f"And {len(matters) - NAMED:,} more.")
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=not matters,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n\n".join(lines) or "Nothing.",
        metadata={
            "how_many": len(matters),
            **({"oldest": dg.MetadataValue.timestamp(matters[0].since)} if matters else {}),
        },
    )
