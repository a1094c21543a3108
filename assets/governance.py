"""The `governance` group: the summary of each week, month and term, made when it is due.

Thin: the figures are engage.governance', page, PDF and tables engage.report's. No metadata is about a person.
"""

from datetime import date, datetime
from typing import Literal

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock
from engage.report import files, making
from engage.report.making import Made
from engage.settings import Settings
from engage.sources import ConfigurationError

GROUP = "governance"
SUMMARY = dg.AssetKey([GROUP, "summary"])
_MADE_FROM = (
    "score_trend", "score_distribution", "source_health", "notification", "contact_step", "case_action",
    "intervention_outcome",
)  # fmt: skip


class Edition(dg.Config):
    """Which summary; without a kind those that are due."""

    kind: Literal["", "weekly", "monthly", "termly", "on_request"] = ""
    first_day: str = ""
    """As 2026-09-21; of a period on request. Without it the term so far."""
    last_day: str = ""


def summary_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset that makes summaries."""

    @dg.asset(
        key=SUMMARY,
        deps=[dg.AssetKey(["marts", name]) for name in _MADE_FROM],
        group_name=GROUP,
        description="The governance summary as a page, a PDF and tables in ENGAGE_HOME/reports: rounded and suppressed "
        "figures alone, so that nobody can be told from them. Makes what is due; a second run makes nothing.",
        kinds={"postgres", "html"},
        owners=["team:governance"],
    )
    def _summary(
        context: dg.AssetExecutionContext, config: Edition, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        folder, now = settings.home / files.FOLDER, clock.now()
        with readable_failures():
            period = _period(config)
            with warehouse.connect() as connection:
                if config.kind or period:
                    made = [making.make(connection, folder, config.kind or "on_request", period, now)]
                else:
                    made = making.make_due(connection, folder, now)
        context.log.info(f"{len(made)} made")
        return dg.MaterializeResult(metadata=_metadata(made, folder))

    return _summary


def _metadata(made: list[Made], folder: object) -> dict[str, dg.MetadataValue]:
    found: dict[str, dg.MetadataValue] = {
        "editions_made": dg.MetadataValue.int(len(made)),
        "editions": dg.MetadataValue.text(", ".join(one.edition_id for one in made) or "none was due"),
        "archive": dg.MetadataValue.path(f"{folder}/index.html"),
        "numbers": dg.MetadataValue.int(sum(one.numbers for one in made)),
        "left_out_small": dg.MetadataValue.int(sum(one.small for one in made)),
        "left_out_secondary": dg.MetadataValue.int(sum(one.secondary for one in made)),
    }
    return found | {one.edition_id: dg.MetadataValue.path(str(one.folder / files.PAGE)) for one in made}


def _period(config: Edition) -> tuple[date, date] | None:
    if not (config.first_day or config.last_day):
        return None
    if config.kind not in ("", "on_request"):
        raise ConfigurationError("first_day, last_day: are for kind on_request")
    try:
        first, last = (datetime.strptime(one, "%Y-%m-%d").date() for one in (config.first_day, config.last_day))
    except ValueError:
        raise ConfigurationError("first_day, last_day: must both be days as 2026-09-21") from None
    if first > last:
        raise ConfigurationError("first_day: lies after last_day")
    return first, last
