"""`engage source health`: how every source is at this moment, from the ledger. Changes nothing and asks no server."""

import click

from engage import clock, health, runtime, warehouse
from engage.commands.output import json_option, show
from engage.settings import Settings
from engage.sources import load_sources


@click.command("health")
@json_option
def source_health(as_json: bool) -> None:
    """Show how fresh, complete and good every source is, and what waits or is held."""
    settings = Settings.from_environment()
    sources, now = load_sources(settings.config), clock.now()
    rows: list[dict[str, object]] = []
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        for source in sorted(sources.values(), key=lambda one: one.id):
            found, counts = health.freshness(connection, source, now), health.counts(connection, source, now)
            rows.append(
                {
                    "source": source.id,
                    "state": found.state,
                    "last_delivery": found.last_delivery_at,
                    "last_event": found.last_event_at,
                    "covered_until": found.covered_until,
                    "complete_days_of_7": counts.complete_days_of_7,
                    "quality": counts.quality,
                    "waiting": counts.waiting,
                    "held": counts.held,
                }
            )
    show(rows, as_json, "")
