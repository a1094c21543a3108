"""`engage batch`: what arrived, how good it was, and why something was held. Reads the ledger, never a row."""

import click
from psycopg.rows import dict_row

from engage import runtime, warehouse
from engage.commands.output import json_option, show
from engage.settings import Settings
from engage.sources import load_sources

LIST = """
select
    b.batch_id, b.source_id as source, d.name as delivery, d.first_day as day, b.state, b.quality_score as quality,
    b.rows_accepted as accepted, b.rows_quarantined as quarantined, b.published_at
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
where (%(source)s::text is null or b.source_id = %(source)s) and (%(state)s::text is null or b.state = %(state)s)
order by b.batch_id desc
limit %(limit)s
"""
SHOW = """
select
    b.batch_id, b.source_id as source, d.name as delivery, d.size_bytes, d.first_day, d.last_day, b.state, b.problem,
    b.notes, b.quality_score, b.rows_read, b.rows_dropped, b.dropped, b.rows_accepted, b.rows_quarantined,
    b.attempts,
    b.started_at, b.published_at
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
where b.batch_id = %s
"""
RULES = """
select
    rule_id as rule, scope, is_critical as critical, weight, rows_checked, rows_failed, share_met * 100 as met_pct,
    problem
from ops.rule_result
where batch_id = %s
order by share_met, rule_id
"""


@click.group()
def batch() -> None:
    """The deliveries as they were loaded, scored and published or held."""


@batch.command("list")
@click.option("--source", help="Only this source.")
@click.option("--state", type=click.Choice(["loading", "published", "held", "superseded"]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 2**63 - 1), default=50, show_default=True, help="The newest so many.")
@json_option
def list_batches(source: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    parameters = {"source": source, "state": state, "limit": limit}
    settings = Settings.from_environment()
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        rows = connection.cursor(row_factory=dict_row).execute(LIST, parameters).fetchall()
    # A source whose file is gone keeps its batches.
    if not rows and source is not None and source not in (known := load_sources(settings.config)):
        raise click.UsageError(f"there is no source {source}; there are {', '.join(sorted(known))}")
    show(rows, as_json, "no batch yet")


@batch.command("show")
@click.argument("batch_id", type=int)
@json_option
@click.pass_context
def show_batch(context: click.Context, batch_id: int, as_json: bool) -> None:
    """Show one batch: its delivery, its quality score, and every rule. Exit code 1: there is no such batch."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute(SHOW, [batch_id]).fetchone()
        rules = cursor.execute(RULES, [batch_id]).fetchall()
    if found is None:
        click.echo(f"there is no batch {batch_id}", err=True)
        context.exit(1)
    elif as_json:
        show([found | {"rules": rules}], as_json, "")
    else:
        dropped = "; ".join(f"{reason}: {rows:,}" for reason, rows in found["dropped"].items())
        lines = found | {"notes": "; ".join(found["notes"]), "dropped": dropped}
        show([{"what": key.replace("_", " "), "value": value} for key, value in lines.items()], as_json, "")
        click.echo()
        show(rules, as_json, "no rule was evaluated")
