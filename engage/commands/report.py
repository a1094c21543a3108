"""`engage report`: editions of the governance summary, made now or listed. What is in them is engage.governance' and
engage.report's; nothing printed here is about a person.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import cast, get_args

import click

from engage import clock, runtime, warehouse
from engage.commands.output import json_option, show
from engage.governance.periods import Kind
from engage.report import files, making, stored
from engage.report.making import Made
from engage.settings import Settings
from engage.warehouse import Connection

_DAY = click.DateTime(["%Y-%m-%d"])
_KINDS = [one.replace("_", "-") for one in get_args(Kind)]


@click.group(invoke_without_command=True)
@click.option("--kind", type=click.Choice(_KINDS), help="Weekly unless said; on-request: the term so far.")
@click.option("--from", "first", type=_DAY, help="First day of a period on request; whole weeks that touch it count.")
@click.option("--to", "last", type=_DAY, help="Last day of a period on request.")
@click.option("--edition", help="Write the files of this edition again, which changes no number.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Instead of ENGAGE_HOME/reports.")
@json_option
@click.pass_context
def report(
    context: click.Context,
    kind: str | None,
    first: datetime | None,
    last: datetime | None,
    edition: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make a governance summary: HTML, PDF and CSV files of rounded and suppressed figures.

    Of the newest week, month or term that is over, or of any period. What was made already is not made again.
    Exit code 1: nothing of it is published yet, or there is no such edition.
    """
    if context.invoked_subcommand:
        return
    if (first is None) is not (last is None):
        raise click.UsageError("--from and --to go together")
    if edition and (kind or first):
        raise click.UsageError("--edition says which; --kind, --from and --to would make another")
    if first and kind not in (None, "on-request"):
        raise click.UsageError("--from and --to are for --kind on-request")
    period = (first.date(), last.date()) if first and last else None
    if period and period[0] > period[1]:
        raise click.UsageError("--from lies after --to")
    with _connected() as (connection, home, now):
        folder = output or home / files.FOLDER
        if edition:
            made = making.write(connection, folder, edition)
        else:
            which = cast(Kind, (kind or ("on-request" if period else "weekly")).replace("-", "_"))
            made = making.make(connection, folder, which, period, now)
    if as_json:
        show([asdict(made)], True, "")
    else:
        click.echo(said(made))


@report.command("list")
@json_option
def list_editions(as_json: bool) -> None:
    """List every edition ever made, the newest first."""
    with _connected() as (connection, home, _):
        rows: list[dict[str, object]] = [
            {
                "edition": one.edition_id,
                "kind": one.kind,
                "period_start": one.period_start,
                "period_end": one.period_end,
                "made_at": one.made_at,
                "files": "yes" if (home / files.FOLDER / one.edition_id / files.PAGE).exists() else "no",
            }
            for one in stored.editions(connection)
        ]
    show(rows, as_json, "no edition has been made yet: `engage report` makes one")


def said(made: Made) -> str:
    """Return where an edition lies, and how much of it is left out."""
    left_out = made.small + made.secondary
    return (
        f"{made.edition_id}: {made.folder / files.PAGE}\n{made.numbers:,} numbers; {left_out:,} left out "
        f"({made.small:,} of few people, {made.secondary:,} that would give others away)"
    )


@contextlib.contextmanager
def _connected() -> Iterator[tuple[Connection, Path, datetime]]:
    settings = Settings.from_environment()
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        now = clock.now()
        connection.commit()
        yield connection, settings.home, now
