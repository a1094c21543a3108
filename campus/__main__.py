"""`python -m campus`: the simulated university in the foreground, for a person or for other programs to pull from."""

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from campus.simulation import Campus, CampusError
from campus.world import World, last_weeks

TICK_SECONDS = 1.0


@click.group()
def main() -> None:
    """A simulated university that delivers over real SFTP and HTTP."""


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=World.seed, show_default=True)
@click.option("--students", default=World.students, show_default=True)
@click.option("--weeks", default=World.weeks, show_default=True, help="Of a term; one follows on the other.")
@click.option(
    "--first-monday", type=click.DateTime(["%Y-%m-%d"]), help="Default: the first term ends on the last Sunday."
)
@click.option("--history", default=0, show_default=True, help="Days delivered at once on the start.")
@click.option("--speed", default=1.0, show_default=True, help="Days of the campus per minute.")
@click.option("--faults/--no-faults", default=True, show_default=True)
@click.option("--sftp-port", default=0, help="Default: a free one.")
@click.option("--api-port", default=0, help="Default: a free one.")
def serve(
    folder: Path, seed: int, students: int, weeks: int, first_monday: datetime | None, history: int, speed: float,
    faults: bool, sftp_port: int, api_port: int,
) -> None:  # fmt: skip
    """Serve a campus from FOLDER until Ctrl-C; FOLDER/environment says how to reach it.

    Its clock begins on the morning of the first Monday, or where it was when it last ran over the same folder.
    """
    try:
        monday = first_monday.date() if first_monday else last_weeks(datetime.now(UTC).date(), weeks)
        world = World(monday, seed, students, weeks, faults)
        campus = Campus(folder, world, sftp_port=sftp_port, api_port=api_port)
    except (ValueError, CampusError) as error:
        raise click.UsageError(str(error)) from error
    # A script's `&` would leave Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with campus:
        click.echo(f"the campus is up: source {campus.script}")
        now = max(campus.now, world.due(history - 1))
        try:
            while True:
                if new := campus.advance(now):
                    click.echo(f"{now:%Y-%m-%d %H:%M} delivered {len(new)} files")
                    campus.write_truth(now)
                time.sleep(TICK_SECONDS)
                now += timedelta(days=speed * TICK_SECONDS / 60)
        except KeyboardInterrupt:
            click.echo("the campus is closed")


if __name__ == "__main__":
    main()
