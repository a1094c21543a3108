"""`engage explain`: one student's score of a week, source by source, in words. Changes nothing."""

import json
from datetime import date, datetime

import click

from engage import runtime, warehouse
from engage.commands.output import json_option, show
from engage.explain import Explanation, NoScoreError, explain, left_out, metric_in_words, trend_in_words
from engage.settings import Settings


def _monday(_context: click.Context, _option: click.Parameter, value: datetime | None) -> date | None:
    if value is not None and value.weekday():
        raise click.BadParameter("a week is named by its Monday")
    return value.date() if value else None


@click.command("explain")
@click.argument("student")
@click.option("--week", type=click.DateTime(["%Y-%m-%d"]), callback=_monday, help="Its Monday; without, the newest.")
@click.option("--revision", type=click.IntRange(0, 32767), help="Without, the current one.")
@json_option
def explain_score(student: str, week: date | None, revision: int | None, as_json: bool) -> None:
    """Say why STUDENT's score of a week is what it is: each source's part, what was left out and why, the trend."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        try:
            found = explain(connection, student, week, revision)
        except NoScoreError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        told = {"score": found.score, "sources": found.parts, "trend": found.trend}
        click.echo(json.dumps(told, default=lambda value: value.isoformat(), indent=2))
    else:
        _tell(found)


def _tell(found: Explanation) -> None:
    score = found.score
    number = score["status"].replace("_", " ") if score["score"] is None else str(score["score"])
    click.secho(f"Week of {score['week_start']}: {number}", bold=True)
    if score["peer_group"]:
        click.echo(f"Compared with {score['peer_n']} students of {score['peer_group']} ({score['peer_level']})")
    if score["marks"]:
        click.echo(f"Marks: {', '.join(score['marks']).replace('_', ' ')}")
    click.echo(
        f"Revision {score['revision']}, published {score['published_at']:%Y-%m-%d %H:%M}, data as of "
        f"{score['data_as_of']:%Y-%m-%d %H:%M}, configuration {score['config_version']}"
    )
    if score["reason"]:
        click.echo(f"Restated: {score['reason']}")
    counted = [part for part in found.parts if part["is_counted"]]
    if counted:
        click.echo()
        show([_row(part) for part in counted], False, "")
        click.echo(f"Contributions add up to {score['composite']:+.3f}; 0 is the mean of the group")
    if others := [part for part in found.parts if not part["is_counted"]]:
        click.echo()
        for line in left_out(others, found.min_complete_days):
            click.echo(line)
    if found.trend:
        click.echo(f"\nTrend: {trend_in_words(found.trend, found.attention_below)}")


def _row(part: dict[str, object]) -> dict[str, object]:
    record = str(part["record"])
    return {
        "source": part["source"],
        "category": part["category"],
        "metric": metric_in_words(record, float(str(part["metric"]))) + (" imputed" if part["is_imputed"] else ""),
        "group mean": metric_in_words(record, float(str(part["group_mean"]))),
        "z": f"{part['z']:+.2f}",
        "weight": f"{part['weight']:.2f}",
        "contribution": f"{part['contribution']:+.3f}",
    }
