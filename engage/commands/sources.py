"""`engage source`: what the source files say. Delivers nothing and needs no database."""

import click

from engage.commands.output import json_option, show
from engage.settings import Settings
from engage.sources import ConfigurationError, load_source, load_sources
from engage.suites import load_suite


@click.group()
def source() -> None:
    """The feeding systems, one YAML file each in config/sources."""


@source.command("list")
@json_option
def list_sources(as_json: bool) -> None:
    """List the sources with their owner, transport and record."""
    rows: list[dict[str, object]] = [
        {
            "source": s.id,
            "title": s.title,
            "record": s.record,
            "relation": s.relation,
            "transport": s.transport.kind,
            "category": s.category,
            "digital": s.digital,
            "owner": s.owner.email,
        }
        for _, s in sorted(load_sources(Settings.from_environment().config).items())
    ]
    show(rows, as_json, "")


@source.command("check")
@click.argument("names", nargs=-1)
@click.pass_context
def check_sources(context: click.Context, names: tuple[str, ...]) -> None:
    """Check source files and their expectation suites; all of them, or NAMES. Exit code 1: something is wrong."""
    settings = Settings.from_environment()
    folder = settings.config / "sources"
    paths = [folder / f"{name}.yaml" for name in names] or sorted(folder.glob("*.yaml"))
    if missing := [path for path in paths if not path.exists()]:
        raise click.UsageError(f"no such file: {', '.join(map(str, missing))}")
    if not paths:
        raise ConfigurationError(f"{folder}: holds no source file")
    wrong = 0
    for path in paths:
        try:
            suite = load_suite(settings.expectations, load_source(path))
            click.echo(f"{path.stem}: well formed, {len(suite.rules)} rules")
        except ConfigurationError as error:
            wrong += 1
            click.echo(str(error), err=True)
    context.exit(1 if wrong else 0)
