"""The job of retention, every night: what is past its period goes, and the check says whether anything is left.

What goes, and what a legal hold keeps, is engage.privacy's. Counts and places only: nobody is named here.
"""

import os
from collections import Counter
from typing import Any

import dagster as dg

from assets.resources import readable_failures
from engage import access, clock
from engage.access.rules import ROLES
from engage.privacy import erasure, retention
from engage.settings import Settings
from engage.warehouse import connect

RETENTION = "retention"
KEPT = dg.AssetKey(["privacy", "kept"])
_NO_TIME_LEFT = "Nothing is kept past its period, in any table, file or folder."
_NO_MORE = "The database lets everybody do what was granted, and no more: `engage access audit` says who may not."
_ERASED = "No student who was erased is in a list again: the source that delivers them must be told."
_LESS = ("missing", "not there", "there is no such login")
"""What differs so keeps people out; where nobody may make roles it is always so."""
_NOBODYS = (*ROLES, "PUBLIC")


def retention_assets() -> dg.AssetsDefinition:
    """Return the asset `privacy/kept`: what is held, less what is past its period."""

    @dg.asset(
        key=KEPT,
        group_name="privacy",
        kinds={"postgres"},
        owners=["team:data-protection"],
        pool="dbt",
        description="What is past its period is deleted (config/retention.yaml and the sources); "
        "`engage retention log` lists what went.",
        check_specs=[
            dg.AssetCheckSpec("nothing_past_its_period", asset=KEPT, description=_NO_TIME_LEFT),
            dg.AssetCheckSpec("nobody_erased_is_back", asset=KEPT, description=_ERASED),
            dg.AssetCheckSpec("nobody_reads_more_than_granted", asset=KEPT, description=_NO_MORE),
        ],
    )
    def kept() -> dg.MaterializeResult:  # type: ignore[type-arg]
        settings = Settings.from_environment()
        url = os.environ["ENGAGE_DATABASE_URL"]
        with readable_failures():
            ran = retention.run(
                *(url, settings.config, settings.home, settings.landing_url),
                *("the schedule", None, clock.now()),
            )
            with connect(url) as connection:
                back = erasure.returned(connection, settings.home)
                rights = [one for one in access.audit(connection) if one.difference not in _LESS]
        return dg.MaterializeResult(
            metadata={
                "run": ran.run_id,
                "rows and files": sum(one.rows for one in ran.taken),
                "held back": sum(one.held for one in ran.taken),
                **{one.place: f"{one.rows:,} older than {one.older_than}" for one in ran.taken},
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="nothing_past_its_period",
                    passed=not ran.left,
                    metadata={"left": sum(one.rows for one in ran.left)},
                    description="; ".join(f"{one.place}: {one.rows:,}" for one in ran.left) or "Nothing.",
                ),
                dg.AssetCheckResult(
                    check_name="nobody_erased_is_back",
                    passed=not back,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"students": back},
                ),
                dg.AssetCheckResult(
                    check_name="nobody_reads_more_than_granted",
                    passed=not rights,
                    metadata={"differences": len(rights)},
                    description="; ".join(_told(rights)) or "Nothing.",
                ),
            ],
        )

    return kept


def _told(rights: list[access.Difference]) -> list[str]:
    """Return what differs by role; logins are people's, and only counted."""
    logins = Counter((one.what, one.difference) for one in rights if one.who not in _NOBODYS)
    of_roles = [f"{one.who}: {one.what}, {one.difference}" for one in rights if one.who in _NOBODYS]
    return [
        *(f"{n} login{'s' * (n > 1)}: {what}, {difference}" for (what, difference), n in sorted(logins.items())),
        *sorted(of_roles),
    ]


def retention_job() -> Any:
    """Return the job `retention`; may be killed anywhere and run again."""
    return dg.define_asset_job(
        RETENTION,
        dg.AssetSelection.assets(KEPT),
        description="Delete what is past its period, and prove that nothing is left.",
    )
