"""`engage demo`, `engage up`, `engage replay`: the commands that need a simulated delivering side."""

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from engage.settings import PROJECT, Settings


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Play a term of a simulated campus through the whole graph, and compare the marts with the known truth.

    Exit code 1: they differ.
    """
    from campus import demo as module

    try:
        context.exit(0 if module.demo(Settings.from_environment()) else 1)
    except module.DemoError as error:
        raise click.UsageError(str(error)) from error


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI on 127.0.0.1.")
def up(port: int) -> None:
    """Leave the Dagster UI, its daemon and a delivering campus running in the foreground until Ctrl-C.

    Plays the demo first where there is none yet; then this week's deliveries come in as they fall due.
    """
    from campus import demo as module
    from orchestration.up import services

    settings = Settings.from_environment()
    if not module.is_complete(settings) and not module.demo(settings):
        raise click.ClickException("the demo's marts differ from the truth; the UI is not started")
    os.environ.pop("ENGAGE_NOW", None)
    with module.delivering(settings, fresh=False) as (campus, run):
        # Before any sensor looks: an API that is behind its clock would answer with empty windows.
        arrived = campus.advance(datetime.now(UTC))
        with services(run, port) as running:
            click.secho(f"\nThe Dagster UI: {running.url}   (Ctrl-C stops everything)", bold=True)
            address = urlsplit(run.url)
            click.echo(f"The warehouse:  {address.hostname}:{address.port}{address.path}, user {address.username},")
            click.echo(f"                password in {run.home / 'postgres' / 'password'}")
            while True:
                if arrived:
                    click.echo(f"{len(arrived)} files arrived; the sensors will notice within a minute")
                if running.wait(10):
                    break
                arrived = campus.advance(datetime.now(UTC))


@click.group()
def replay() -> None:
    """Deliver real data over SFTP as a university's systems would have, and run the graph over it."""


@replay.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--daily", is_flag=True, help="Day by day through the sensors, in place of one run for all.")
@click.option("--shuffle", type=int, metavar="SEED", help="Deliver in several portions, in an order drawn from SEED.")
def oulad(folder: Path, daily: bool, shuffle: int | None) -> None:
    """Replay the Open University Learning Analytics dataset: FOLDER holds its official CSV files, plain or gzip.

    Uses the profile config/profiles/oulad and, unless ENGAGE_HOME says otherwise, the folder .engage/oulad.
    Replaying the same files again changes nothing.
    """
    from campus import replay as module
    from campus.oulad import OuladError

    if daily and shuffle is not None:
        raise click.UsageError("--daily and --shuffle exclude each other")
    os.environ.setdefault("ENGAGE_CONFIG", str(PROJECT / "config" / "profiles" / "oulad"))
    os.environ.setdefault("ENGAGE_HOME", str(PROJECT / ".engage" / "oulad"))
    try:
        module.replay(Settings.from_environment(), folder, daily, shuffle)
    except (OuladError, module.ReplayError) as error:
        raise click.ClickException(str(error)) from error
