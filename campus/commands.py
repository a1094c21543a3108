"""`engage demo`, `engage up`, `engage replay`: the commands that start the graph, and what delivers to it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from engage import runtime
from engage.settings import PROJECT, Settings


@contextmanager
def _told() -> Iterator[None]:
    """Say what a user can mend in a line, with exit code 1."""
    from campus.folder import DemoError
    from campus.oulad import OuladError
    from campus.replay import ReplayError
    from campus.simulation import CampusError
    from engage.dbt import DbtError
    from orchestration.up import ServiceError

    try:
        yield
    except (CampusError, DbtError, DemoError, OuladError, ReplayError, ServiceError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Play a term of a simulated campus through the whole graph, and compare the marts with the known truth.

    Exit code 1: they differ, or the scores do not show who fell silent.
    """
    from campus import demo as module

    with _told():
        context.exit(0 if module.demo(Settings.from_environment()) else 1)


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI on 127.0.0.1.")
@click.option("--campus/--no-campus", default=True, help="Whether a simulated campus delivers.", show_default=True)
def up(port: int, campus: bool) -> None:
    """Leave the Dagster UI and its daemon running in the foreground until Ctrl-C, with a campus that delivers.

    Plays the demo first where there is none yet. Then the campus goes on: what fell due in the meantime is there at
    once, the rest comes day by day. --no-campus is for sources of your own, as ENGAGE_CONFIG describes them.
    """
    from campus import demo as module
    from campus.folder import installed, is_played
    from orchestration.up import services

    settings = Settings.from_environment()
    with _told(), ExitStack() as stack:
        if campus:
            if not is_played(settings) and not module.demo(settings):
                raise click.ClickException("the demo does not show what really happened; the UI is not started")
            os.environ.pop("ENGAGE_NOW", None)
            deliverer, run = stack.enter_context(module.delivering(settings, fresh=False))
            # Before any sensor looks: an API that is behind its clock would answer with empty windows.
            if missed := deliverer.advance(datetime.now(UTC)):
                click.echo(f"{len(missed)} files have arrived since the campus was last open")
        else:
            stack.enter_context(installed(settings))
            run = stack.enter_context(runtime.running(settings))
        running = stack.enter_context(services(run, port))
        address = urlsplit(run.url)
        click.secho(f"\nThe Dagster UI: {running.url}   (Ctrl-C stops everything)", bold=True)
        click.echo(f"The warehouse:  {address.hostname}:{address.port or 5432}{address.path}, user {address.username}")
        if settings.database_url is None:
            click.echo(f"                password in {run.home / 'postgres' / 'password'}")
        while not running.wait(10):
            if campus and (arrived := deliverer.advance(datetime.now(UTC))):
                click.echo(f"{len(arrived)} files arrived; the sensors will notice within a minute")


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
    from campus.folder import installed

    if daily and shuffle is not None:
        raise click.UsageError("--daily and --shuffle exclude each other")
    os.environ.setdefault("ENGAGE_CONFIG", str(PROJECT / "config" / "profiles" / "oulad"))
    os.environ.setdefault("ENGAGE_HOME", str(PROJECT / ".engage" / "oulad"))
    settings = Settings.from_environment()
    with _told(), installed(settings):
        module.replay(settings, folder, daily, shuffle)
