"""`engage week`: which weeks are scored, when, from what and why again. Reads only."""

from typing import Any

import click

from engage import clock, restatement, runtime, warehouse, weekly
from engage.commands.output import json_option, show
from engage.settings import Settings


@click.group()
def week() -> None:
    """The weekly scores as they were published."""


@week.command("list")
@json_option
def list_weeks(as_json: bool) -> None:
    """List every week and revision, and what is to be scored next. `late` were the sources it did not wait for."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        rows = restatement.publications(connection)
        due = weekly.due(connection, clock.now())
    waiting = [_not_scored(one, "waits") for one in due.waiting]
    rows += [*(_not_scored(one, "due") for one in due.ready if not one.is_pending), *waiting]
    if as_json:
        show(rows, True, "")
    else:
        lists = ("left_out", "late")
        show([row | {key: ", ".join(row[key]) for key in lists} for row in rows], False, "no week is over yet")
        click.echo(str(due))


def _not_scored(one: weekly.Week, state: str) -> dict[str, Any]:
    return dict.fromkeys(restatement.COLUMNS) | {
        "week_start": one.week_start,
        "state": state,
        "left_out": [],
        "late": one.late,
    }
