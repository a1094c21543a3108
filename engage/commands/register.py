"""`engage register`: what is collected, why and for how long, and the privacy notice made from it. Changes nothing."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import click

from engage import clock, privacy_notice, runtime, warehouse
from engage import register as processing
from engage.commands.output import json_option, show
from engage.configuration import load_scoring
from engage.privacy.periods import load_periods
from engage.settings import Settings
from engage.sources import load_sources
from engage.sponsorship import load_sponsorship


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def register(context: click.Context, as_json: bool) -> None:
    """Show the register of processing: every source, what for, on which basis, who answers, how long it is kept.

    What nobody has said yet stands in the column `missing`, drafts included.
    """
    if context.invoked_subcommand:
        return
    told = [
        {
            **{name: value for name, value in asdict(one).items() if name != "source"},
            "missing": one.missing if as_json else ", ".join(one.missing),
        }
        for one in _entries(Settings.from_environment())
    ]
    if as_json:
        show(told, as_json, "")
        return
    columns = ("source_id", "state", "purpose", "lawful_basis", "dpia_reference", "dpia_date", "owner")
    show([{name: row[name] for name in (*columns, "retention_days", "missing")} for row in told], as_json, "")
    if unsaid := [row["source_id"] for row in told if row["missing"]]:
        click.echo(f"\nNot complete: {', '.join(map(str, unsaid))}; say it in their files in config/sources.")


@register.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it here; else print it.")
@click.option("--format", "form", type=click.Choice(["html", "md"]), default="html", show_default=True)
def notice(output: Path | None, form: str) -> None:
    """Make the privacy notice for students from the register, config/privacy_notice.yaml and retention.yaml.

    What it has to leave open is said; it should not be published before.
    """
    settings = Settings.from_environment()
    entries, said = _entries(settings), privacy_notice.load_notice(settings.config)
    kept, told_as = load_periods(settings.config), cast(privacy_notice.Form, form)
    sponsorship = load_sponsorship(settings.config)
    sponsors = sponsorship is not None and sponsorship.enabled
    text = privacy_notice.render(entries, said, kept, _today(settings), told_as, sponsors=sponsors)
    if output:
        output.write_text(text, encoding="utf-8")
        click.echo(f"Written to {output}.")
    else:
        click.echo(text)
    for gap in privacy_notice.gaps([one for one in entries if one.state != "draft"], said, sponsors=sponsors):
        click.echo(f"not recorded yet: {gap}", err=True)


def _entries(settings: Settings) -> list[processing.Entry]:
    sources = load_sources(settings.config, drafts=True)
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        return processing.entries(connection, sources, load_scoring(settings.config).time_zone, _today(settings))


def _today(settings: Settings) -> date:
    return clock.now().astimezone(ZoneInfo(load_scoring(settings.config).time_zone)).date()
