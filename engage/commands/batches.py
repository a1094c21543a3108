"""`engage batch`: what arrived, how good it was, why something was held, and what people decide about it.

Reads the ledger. Rows are shown by `rows` alone, to whom the database lets read them, and that is recorded first.
"""

import contextlib
import json
from collections.abc import Iterator

import click
from psycopg.rows import dict_row

from engage import clock, decisions, runtime, warehouse
from engage.commands.output import Function, json_option, show
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
HELD = """
select
    b.batch_id, b.source_id as source, d.name as delivery, d.first_day as day, b.held_since,
    round(extract(epoch from %(now)s - b.held_since) / 86400, 1) as days_held, b.quality_score as quality,
    b.rows_quarantined as quarantined, b.problem
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
where b.state = 'held' and (%(source)s::text is null or b.source_id = %(source)s)
order by b.held_since, b.batch_id
limit %(limit)s
"""
SHOW = """
select
    b.batch_id, b.source_id as source, d.name as delivery, d.size_bytes, d.first_day, d.last_day, b.state, b.problem,
    b.notes, b.quality_score, b.rows_read, b.rows_dropped, b.dropped, b.rows_accepted, b.rows_quarantined,
    b.is_released, b.is_stale as waits_for_the_gate, b.attempts, b.started_at, b.held_since, b.published_at
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
DECISIONS = """
select
    decided_at, action, case when is_whole then 'the batch' else '' end as whole, rule_ids as rules,
    cardinality(row_numbers) as rows, reason, decided_by, database_role
from ops.decision
where batch_id = %s
order by decision_id
"""
STATES = ["loading", "published", "held", "superseded", "rejected"]


@click.group()
def batch() -> None:
    """The deliveries as they were loaded, scored and published or held."""


@batch.command("list")
@click.option("--source", help="Only this source.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--held", is_flag=True, help="What waits for a decision: why, and for how long; the oldest first.")
@click.option("--limit", type=click.IntRange(1, 2**63 - 1), default=50, show_default=True, help="The first so many.")
@json_option
def list_batches(source: str | None, state: str | None, held: bool, limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    if held and state not in (None, "held"):
        raise click.UsageError("--held and another --state exclude each other")
    parameters = {"source": source, "state": state, "limit": limit, "now": clock.now()}
    settings = Settings.from_environment()
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        rows = connection.cursor(row_factory=dict_row).execute(HELD if held else LIST, parameters).fetchall()
    # A source whose file is gone keeps its batches.
    if not rows and source is not None and source not in (known := load_sources(settings.config)):
        raise click.UsageError(f"there is no source {source}; there are {', '.join(sorted(known))}")
    show(rows, as_json, "nothing is held" if held else "no batch yet")


@batch.command("show")
@click.argument("batch_id", type=int)
@json_option
@click.pass_context
def show_batch(context: click.Context, batch_id: int, as_json: bool) -> None:
    """Show one batch: its delivery, its quality score, every rule, what was decided. Exit code 1: there is no such."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute(SHOW, [batch_id]).fetchone()
        rules = cursor.execute(RULES, [batch_id]).fetchall()
        decided = cursor.execute(DECISIONS, [batch_id]).fetchall()
    if found is None:
        click.echo(f"there is no batch {batch_id}", err=True)
        context.exit(1)
    elif as_json:
        show([found | {"rules": rules, "decisions": decided}], as_json, "")
    else:
        dropped = "; ".join(f"{reason}: {rows:,}" for reason, rows in found["dropped"].items())
        lines = found | {"notes": "; ".join(found["notes"]), "dropped": dropped}
        show([{"what": key.replace("_", " "), "value": value} for key, value in lines.items()], as_json, "")
        click.echo()
        show(rules, as_json, "no rule was evaluated")
        if decided:
            click.echo()
            show([one | {"rules": ", ".join(one["rules"])} for one in decided], as_json, "")


@batch.command("rows")
@click.argument("batch_id", type=int)
@click.option("--rule", help="Only rows that break this rule.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="The first so many lines."
)
@json_option
def show_rows(batch_id: int, rule: str | None, limit: int, as_json: bool) -> None:
    """Show rows in quarantine as they came, with the rules they break. Who looks is recorded in ops.audit.

    Exit code 1: the database user may not read them, or there is no such batch.
    """
    with _connected() as connection:
        rows = decisions.look(connection, batch_id, decisions.person(), clock.now(), rule, limit)
    if not as_json:
        rows = [row | {"record": json.dumps(row["record"], ensure_ascii=False)} for row in rows]
    show(rows, as_json, f"no row of batch {batch_id} is in quarantine" + (f" for {rule}" if rule else ""))


def _deciding(function: Function) -> Function:
    """Add what both decisions need."""
    for option in (
        click.option("--rows", help="Only these of them: row numbers, as `12,17`."),
        click.option("--rule", "rules", multiple=True, help="Rows that break this rule and no other; may be repeated."),
        click.option("--reason", required=True, help="Why. Is kept; never name a student."),
        click.argument("batch_id", type=int),
    ):
        function = option(function)
    return function


@batch.command("release")
@_deciding
def release(batch_id: int, reason: str, rules: tuple[str, ...], rows: str | None) -> None:
    """Let a held batch through the gate, or rows of a batch with --rule; the next run of its source does it.

    Its good rows become visible, its days count as complete. Exit code 1: not possible, and why.
    """
    _decide("release", batch_id, reason, rules, rows)


@batch.command("reject")
@_deciding
def reject(batch_id: int, reason: str, rules: tuple[str, ...], rows: str | None) -> None:
    """Close a batch, or rows of it with --rule; what of it is visible goes. Its days stay uncovered.

    Exit code 1: not possible, and why.
    """
    _decide("reject", batch_id, reason, rules, rows)


def _decide(action: decisions.Action, batch_id: int, reason: str, rules: tuple[str, ...], rows: str | None) -> None:
    try:
        numbers = [int(number) for number in rows.split(",")] if rows else []
    except ValueError:
        raise click.BadParameter("must be row numbers, as 12,17", param_hint="--rows") from None
    if numbers and not rules:
        raise click.UsageError("--rows needs --rule: the rule that they break")
    choice = decisions.Choice(action, batch_id, reason, decisions.person(), rules, numbers)
    with _connected() as connection:
        click.echo(decisions.decide(connection, choice, clock.now()))


@contextlib.contextmanager
def _connected() -> Iterator[warehouse.Connection]:
    """Connect as who we are: a warehouse of one's own is set up first, one that is named is there."""
    settings = Settings.from_environment()
    if settings.database_url:
        with warehouse.connect(settings.database_url) as connection:
            yield connection
    else:
        with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
            yield connection
