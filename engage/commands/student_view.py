"""`engage student-view`: what one student may see of their own engagement. Reads only."""

import json
from pathlib import Path

import click

from engage import runtime, student_view_page, warehouse
from engage.commands.output import json_option
from engage.settings import Settings


@click.command("student-view")
@click.argument("student")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to this file.")
@json_option
def student_view(student: str, output: Path | None, as_json: bool) -> None:
    """Show what STUDENT may see: in plain words, as JSON, or as a page. Exit code 1: switched off, or nobody."""
    if as_json and output:
        raise click.UsageError("--json and --output: one of them")
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        shown = student_view_page.view(connection, student)
    if output:
        output.write_text(student_view_page.page(shown), encoding="utf-8")
        click.echo(f"written to {output}")
    elif as_json:
        click.echo(json.dumps(shown.as_json, default=lambda value: value.isoformat(), indent=2, ensure_ascii=False))
    else:
        _tell(shown)


def _tell(shown: student_view_page.View) -> None:
    row = shown.row
    said = [row["standing_words"], row["direction_words"], row["attendance_words"], row["rating_words"]]
    if row["score"] is not None:
        said.insert(2, f"Score: {row['score']} of 1000; 500 is the average.")
    for line in filter(None, said):
        click.echo(line)
    for name, when in (row["last_activity"] or {}).items():
        click.echo(f"  {name}: {when}")
    click.echo(f"{row['missing_words']}\n{row['about_words']}\n{row['not_for_words']}")
