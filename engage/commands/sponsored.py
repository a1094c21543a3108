"""`engage sponsored`: sponsored students by the days that are left, and the evidence about one. For the visa team."""

from pathlib import Path

import click

from engage import clock, decisions, runtime, sponsored_evidence, warehouse
from engage.commands.output import json_option, show
from engage.settings import Settings


@click.group()
def sponsored() -> None:
    """Students whose visa the institution sponsors: contact points, never a score."""


@sponsored.command("list")
@json_option
def list_sponsored(as_json: bool) -> None:
    """List the sponsored students, whoever has the fewest days left first; those not counted at present last."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        rows = sponsored_evidence.sponsored(connection)
    show(rows, as_json, "no sponsored student is counted (config/sponsorship.yaml)")


@sponsored.command("evidence")
@click.argument("student")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the two files."
)
@click.option("--by", help="Who exports; without it ENGAGE_USER, or the operating system's name.")
def evidence(student: str, output: Path, by: str | None) -> None:
    """Write the dated contact points of STUDENT as a page to print and a CSV file.

    Who does so is recorded first. Exit code 1: no sponsored student has this number.
    """
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        done = sponsored_evidence.export(connection, student, output, by or decisions.person(), clock.now())
    click.echo(f"{done.days} days: {done.page} and {done.table}")
