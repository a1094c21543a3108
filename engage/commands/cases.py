"""`engage case`: what the CRM was asked to do, what it did not take, and asking it again."""

import click
from psycopg.rows import dict_row

from engage import clock, runtime, warehouse
from engage.commands.output import json_option, show
from engage.contact import casework
from engage.messaging import load_messaging
from engage.settings import Settings

_LIST = """
select
    ca.case_action_id, ca.created_at, ca.student_id, substr(o.payload ->> 'type', 6) as action, ca.case_kind as kind,
    a.rule_id as rule, coalesce(o.reply ->> 'case_id', ca.case_id) as case_id, o.state, o.attempts,
    case when o.state = 'pending' then o.next_attempt_at end as next_attempt_at, o.error
from ops.case_action as ca
inner join ops.action as a on ca.action_id = a.action_id
inner join ops.outbox as o on ca.message_id = o.message_id
where %(state)s::text is null or o.state = %(state)s
order by ca.case_action_id desc
limit %(limit)s
"""
_STATES = ["pending", "sent", "previewed", "failed", "suppressed"]


@click.group("case")
def case() -> None:
    """The cases that the CRM was asked to open or to add to."""


@case.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state; failed: what was given up, and why.")
@click.option("--limit", type=click.IntRange(1, 2**63 - 1), default=50, show_default=True, help="The newest so many.")
@json_option
def list_cases(state: str | None, limit: int, as_json: bool) -> None:
    """List case actions, newest first. Names students by their number."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_LIST, {"state": state, "limit": limit}).fetchall()
    show(rows, as_json, "nothing of the kind" if state else "the CRM was asked for nothing yet")


@case.command("retry")
@click.argument("case_action_ids", nargs=-1, type=int)
@click.option("--all", "is_all", is_flag=True, help="All that was given up.")
@click.pass_context
def retry_cases(context: click.Context, case_action_ids: tuple[int, ...], is_all: bool) -> None:
    """Put what was given up back into the queue; the next delivery sends it, under the same key.

    Exit code 1: one of these was not given up.
    """
    if is_all == bool(case_action_ids):
        raise click.UsageError("name the case actions, or say --all")
    settings = Settings.from_environment()
    messaging = load_messaging(settings.config)
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        count = casework.retry(connection, messaging, None if is_all else case_action_ids, clock.now())
    click.echo(f"{count} in the queue again")
    context.exit(0 if is_all or count == len(set(case_action_ids)) else 1)
