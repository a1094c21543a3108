"""`engage contact`: whom to contact today, and which step of a ladder is due. Reads only, and names students."""

from typing import Any

import click
from psycopg.rows import dict_row

from engage import runtime, warehouse
from engage.commands.output import json_option, show
from engage.settings import Settings

_LIST = """
select priority, student_id, programme_code as programme, tutor_id as tutor, score, why
from marts.contact_list
order by priority
limit %s
"""
_STEPS = """
select student_id, ladder_id as ladder, step_number as step, title, who, channel, due_date, is_overdue
from marts.contact_step
where status = 'due'
order by due_date, ladder_run_id
limit %s
"""
_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 2**63 - 1), default=50, show_default=True, help="The first so many."
)


@click.group()
def contact() -> None:
    """Whom to contact: the list of today, and the steps of ladders that are due."""


@contact.command("list")
@_LIMIT
@json_option
def list_contacts(limit: int, as_json: bool) -> None:
    """List whom to contact today and why, the gravest first."""
    show(_rows("contact_list", _LIST, limit), as_json, "nobody is to be contacted")


@contact.command("steps")
@_LIMIT
@json_option
def list_steps(limit: int, as_json: bool) -> None:
    """List the steps that are due and not done, the oldest first."""
    show(_rows("contact_step", _STEPS, limit), as_json, "no step is due")


def _rows(mart: str, query: str, limit: int) -> list[dict[str, Any]]:
    """Return what a mart says. Raises click.ClickException when no run has made it yet."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        if connection.execute("select to_regclass(%s)", [f"marts.{mart}"]).fetchone() == (None,):
            raise click.ClickException(f"marts.{mart} has not been made yet; the first run of the warehouse makes it")
        return connection.cursor(row_factory=dict_row).execute(query, [limit]).fetchall()
