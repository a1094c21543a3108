"""`engage config`: what the institution has decided, who changed it, and what a change would do before it is made.

Reads, checks and records; the numbers of a preview are made by engage.preview.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import click
import yaml
from psycopg.rows import dict_row

from engage import clock, configuration, messaging, not_students, runtime, warehouse
from engage.commands.output import json_option, show
from engage.contact.ladders_file import load_ladders
from engage.contact.rules_file import check_ladders, load_rules
from engage.preview import NothingToCompareError, Preview, Row
from engage.preview import preview as compare
from engage.scoring import load_scoring, read_scoring
from engage.settings import Settings
from engage.sources import ConfigurationError, load_source, load_sources
from engage.sponsorship import load_sponsorship
from engage.student_view import load_student_view

_HISTORY = """
with told as (
    select distinct on (p.week_start, p.revision) c.change_id, p.week_start
    from ops.publication as p
    inner join ops.config_change as c using (config_version)
    where p.state = 'published'
    order by p.week_start, p.revision, c.changed_at <= p.published_at desc, c.change_id desc
)
select
    c.config_version as version, c.changed_at, coalesce(c.author, 'not said') as author,
    coalesce(c.reason, 'not said') as reason, c.difference,
    array(select distinct week_start from told where told.change_id = c.change_id order by 1) as weeks_published
from ops.config_change as c
order by c.change_id desc
"""
_FOLDER = click.Path(exists=True, path_type=Path)


@click.group()
def config() -> None:
    """What the institution has decided: weights, peers, thresholds, hours, sources."""


@config.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
def check(folder: Path | None) -> None:
    """Say everything that is wrong with the configuration in FOLDER (default: the one of ENGAGE_CONFIG)."""
    settings = Settings.from_environment()
    folder = folder or settings.config
    readers: list[Callable[[Path], object]] = [
        *(load_scoring, not_students.load, messaging.load_messaging, load_ladders, load_sources),
        *(load_sponsorship, load_student_view),
        lambda folder: load_rules(folder, settings.expectations),
        lambda folder: check_ladders(folder, settings.expectations),
    ]
    files = sorted((folder / "sources").glob("*.yaml"))
    asked = [*((read, folder) for read in readers), *((load_source, path) for path in files)]
    complaints = [complaint for read, path in asked if (complaint := _complaint(read, path))]
    # What is wrong with one file is met again in reading all.
    for complaint in dict.fromkeys(complaints):
        click.echo(complaint)
    if complaints:
        raise click.exceptions.Exit(1)
    click.echo(f"{folder}: nothing is wrong")


@config.command()
@json_option
def history(as_json: bool) -> None:
    """List every change of the configuration, newest first: who, when, why, what, and the weeks published with it."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_HISTORY).fetchall()
    if as_json:
        show(rows, as_json, "")
        return
    for row in rows:
        weeks = ", ".join(map(str, row["weeks_published"])) or "none"
        click.echo(
            f"{row['version']}  {row['changed_at']:%Y-%m-%d %H:%M}  by {row['author']}, because: {row['reason']}"
        )
        click.echo("".join(f"    {line}\n" for line in row["difference"]) + f"    weeks published with it: {weeks}")


@config.command("show")
@click.argument("version", required=False)
@json_option
def show_version(version: str | None, as_json: bool) -> None:
    """Show all that VERSION says, of which a score depends (default: the one in force)."""
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        version = version or configuration.version_in_force(connection)
        content = configuration.content_of(connection, version)
    if not content:
        raise click.ClickException(f"there is no version {version}; engage config history lists them")
    told = {"version": version, **content}
    click.echo(json.dumps(told, indent=2) if as_json else yaml.safe_dump(told, sort_keys=False).rstrip())


@config.command()
@click.option("--by", required=True, help="Who has decided it.")
@click.option("--reason", required=True, help="Why. Kept for good and shown to staff: name no student.")
def record(by: str, reason: str) -> None:
    """Put the configuration as the files have it into force, and keep who decided it and why.

    Of a change that a run has met already, it is said afterwards. Exit code 1: somebody has said it before.
    """
    if not (by := by.strip()) or not (reason := reason.strip()):
        raise click.UsageError("--by and --reason must say something")
    settings = Settings.from_environment()
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        sources = load_sources(settings.config)
        version = configuration.sync(connection, settings.config, sources, clock.now(), by, reason)
        story = configuration.story(connection, version)
    if (story.author, story.reason) != (by, reason):
        raise click.ClickException(f"{version} was recorded by {story.author} already, because: {story.reason}")
    click.echo("\n".join([f"{version} is in force", *(f"    {line}" for line in story.difference)]))


@config.command()
@click.argument("new", type=_FOLDER)
@click.option("--week", type=click.DateTime(["%Y-%m-%d"]), help="Its Monday. Default: the newest week published.")
@click.option("--students", is_flag=True, help="List the student numbers of those who would cross a threshold.")
@json_option
def preview(new: Path, week: datetime | None, students: bool, as_json: bool) -> None:
    """Say what NEW, a scoring.yaml or a whole folder, would change. Nothing is saved.

    A week is scored on today's data by the configuration in force and by NEW. Groups are those of the one in force.
    """
    monday = week.date() if week else None
    if monday and monday.weekday():
        raise click.UsageError(
            f"--week: {monday} is no Monday; its week begins on {monday - timedelta(monday.weekday())}"
        )
    scoring = load_scoring(new) if new.is_dir() else read_scoring(new)
    sources = load_sources(new) if new.is_dir() else None
    settings = Settings.from_environment()
    with runtime.running(settings) as run:
        try:
            found = compare(run.url, run.home, scoring, sources, monday, clock.now(), _progress)
        except NothingToCompareError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        told = {**vars(found), "students": found.students if students else None}
        click.echo(json.dumps(told, default=str, indent=2))
    else:
        _tell(found, students)


# As text: the columns, with the thresholds in them.
_GROUPS = {
    "students": "students",
    "unchanged": "unchanged",
    "by_1_25": "1-25",
    "by_26_50": "26-50",
    "by_51_100": "51-100",
    "by_over_100": "over 100",
    "mean_points": "mean",
    "largest": "largest",
    "gain_a_score": "gain",
    "lose_the_score": "lose",
    "newly_below_attention": "to below {attention_below}",
    "no_longer_below_attention": "from below {attention_below}",
    "newly_below_concern": "to below {concern_below}",
    "no_longer_below_concern": "from below {concern_below}",
}


def _tell(found: Preview, students: bool) -> None:
    click.echo(f"week from {found.week_start}: {found.version_before} -> {found.version_after}")
    click.echo("\n".join(f"    {line}" for line in found.difference) or "    nothing differs")
    said = {
        name: str(after) if before == after else f"{before} -> {after}"
        for name, (before, after) in found.thresholds.items()
    }
    rows = [{"peer_level": "all", "peer_group": ""} | found.total, *found.groups]
    show([_line(row, said) for row in rows], False, "")
    if students:
        show([row | {"what": ", ".join(row["what"])} for row in found.students], False, "nobody crosses a threshold")


def _line(row: Row, said: dict[str, str]) -> dict[str, object]:
    group = {"level": row["peer_level"] or "none", "group": row["peer_group"] or ""}
    return group | {title.format(**said): row[name] for name, title in _GROUPS.items()}


def _progress(said: str) -> None:
    click.echo(said, err=True)


def _complaint(read: Callable[[Path], object], path: Path) -> str | None:
    try:
        read(path)
    except ConfigurationError as error:
        return str(error)
    return None
