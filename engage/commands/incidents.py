"""`engage incident` and `engage outbox`: what is wrong with the sources, and what was said about it to whom."""

import click
from psycopg.rows import dict_row

from engage import clock, outbox, runtime, warehouse
from engage.commands.output import json_option, show
from engage.contact import casework
from engage.messaging import load_messaging
from engage.settings import Settings

_INCIDENTS = """
select
    incident_id, source_id as source, kind, opened_at, facts->>'since' as since, resolved_at, reminded_at, escalated_at
from ops.incident
where %(closed)s or resolved_at is null
order by incident_id desc
limit %(limit)s
"""
_OUTBOX = """
select message_id, created_at, kind, channel, recipient, subject, state, attempts, next_attempt_at, sent_at, error
from ops.outbox
where (%(state)s::text is null or state = %(state)s) and (%(kind)s::text is null or kind = %(kind)s)
order by message_id desc
limit %(limit)s
"""
_STATES = ["pending", "sent", "previewed", "failed", "suppressed"]
_KINDS = ["owner", "digest", "immediate", "student", "correction", "case"]
_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 2**63 - 1), default=50, show_default=True, help="The newest so many."
)


@click.group()
def incident() -> None:
    """What is wrong with the sources, from when it was noticed until it was over."""


@incident.command("list")
@click.option("--closed", is_flag=True, help="Those that are over, too.")
@_LIMIT
@json_option
def list_incidents(closed: bool, limit: int, as_json: bool) -> None:
    """List incidents, newest first."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        given = {"closed": closed, "limit": limit}
        rows = connection.cursor(row_factory=dict_row).execute(_INCIDENTS, given).fetchall()
    show(rows, as_json, "nothing is wrong that is known" if not closed else "no incident yet")


@click.group("outbox")
def messages() -> None:
    """The messages to source owners, staff, students and channels: waiting, sent, given up."""


@messages.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only of this kind.")
@_LIMIT
@json_option
def list_messages(state: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """List messages, newest first."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        given = {"state": state, "kind": kind, "limit": limit}
        rows = connection.cursor(row_factory=dict_row).execute(_OUTBOX, given).fetchall()
    show(rows, as_json, "no message")


@messages.command("send")
@click.option("--again", is_flag=True, help="Those that were given up, too.")
@click.pass_context
def send_messages(context: click.Context, again: bool) -> None:
    """Send what waits, or write it as files while `delivery: preview`. Exit code 1: something was not taken."""
    settings = Settings.from_environment()
    messaging = load_messaging(settings.config)
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        if again:
            count = outbox.retry_failed(connection, clock.now())
            count += casework.retry(connection, messaging, None, clock.now())
            click.echo(f"{count} tried again")
        became = outbox.send_due(connection, messaging, settings.home, clock.now())
    click.echo(", ".join(f"{count} {state}" for state, count in became.items()) or "nothing was due")
    context.exit(1 if became.keys() - {"sent", "previewed"} else 0)


@messages.command("preview")
@click.argument("message_id", type=int)
@click.pass_context
def preview_message(context: click.Context, message_id: int) -> None:
    """Write one message as it travels to ENGAGE_HOME/outbox, and print its text. Exit code 1: there is none."""
    settings = Settings.from_environment()
    messaging = load_messaging(settings.config)
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        found = outbox.find(connection, message_id)
    if found is None:
        click.echo(f"there is no message {message_id}", err=True)
        context.exit(1)
    else:
        click.echo(f"{outbox.preview(messaging, settings.home, found)}\n\n{found.text}")
