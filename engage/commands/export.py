"""`engage export`: the marts as files. What is in them and how they are written is engage.export's business."""

from dataclasses import asdict
from pathlib import Path

import click

from engage import runtime, warehouse
from engage.access.rules import VISA_ONLY
from engage.commands.output import json_option, show
from engage.export import export, marts
from engage.settings import Settings


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--mart", "chosen", multiple=True, help="Only this one; may be given several times.")
@json_option
def export_marts(folder: Path, chosen: tuple[str, ...], as_json: bool) -> None:
    """Write every mart to FOLDER as CSV, and show rows and SHA-256 of each; the visa team's only when it is named.

    The same rows give the same bytes on any machine. The files hold student numbers: keep them like the warehouse.
    """
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        there = marts(connection)
        if unknown := sorted(set(chosen) - set(there)):
            raise click.BadParameter(f"no mart {', '.join(unknown)}; there are {', '.join(there) or 'none yet'}")
        names = list(chosen) or [name for name in there if name not in VISA_ONLY]
        connection.rollback()
        rows: list[dict[str, object]] = []
        with click.progressbar(
            export(connection, folder, names),
            len(names),
            file=click.get_text_stream("stderr"),
        ) as done:
            rows += [asdict(one) for one in done]
    show(rows, as_json, "There are no marts yet: nothing has been built.")
