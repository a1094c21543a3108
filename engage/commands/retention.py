"""`engage retention`: what is past its period, what goes, what is held back, and the proof that nothing is left.

What is done is engage.privacy's; what is printed are counts and places, and a student only where one was asked for.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

import click

from engage import clock, decisions, runtime, warehouse
from engage.commands.output import json_option, show, signed
from engage.privacy import erasure, holds
from engage.privacy import retention as keeping
from engage.privacy.old_rows import Finding
from engage.settings import Settings

_NOTHING = "nothing is past its period"


@click.group("retention")
def retention() -> None:
    """How long what is held of people is kept: what goes, what is held back, and what a student has erased."""


@retention.command("preview")
@json_option
def preview(as_json: bool) -> None:
    """List what is past its period: rows and files by place, and how many a legal hold keeps. Changes nothing."""
    with _running() as (settings, run, now), warehouse.connect(run.url) as connection:
        found = keeping.look(connection, settings.config, run.home, settings.landing_url, now)
    show(_told([one for one in found if one.rows or one.held]), as_json, _NOTHING)


@retention.command("run")
@signed
@json_option
@click.pass_context
def run(context: click.Context, by: str | None, reason: str, as_json: bool) -> None:
    """Delete what is past its period, and prove it. May be repeated. Exit code 1: something is left."""
    with _running() as (settings, run, now):
        ran = keeping.run(run.url, settings.config, run.home, settings.landing_url, _by(by), reason or None, now)
    show(_told(ran.taken), as_json, _NOTHING)
    click.echo(f"run {ran.run_id}: {sum(one.rows for one in ran.taken):,} rows and files went", err=True)
    _prove(context, ran.left)


@retention.command("prove")
@json_option
@click.pass_context
def prove(context: click.Context, as_json: bool) -> None:
    """Count in every place what is older than its period. Exit code 1: there is something."""
    with _running() as (settings, run, now), warehouse.connect(run.url) as connection:
        found = keeping.look(connection, settings.config, run.home, settings.landing_url, now)
    show(_told(found), as_json, _NOTHING)
    _prove(context, [one for one in found if one.rows])


@retention.command("log")
@json_option
def log(as_json: bool) -> None:
    """List every deletion: when, who asked, how many rows of which place. Names no student."""
    with _running() as (_, run, _now), warehouse.connect(run.url) as connection:
        show(keeping.log(connection), as_json, "nothing has been deleted yet")


@retention.group("hold")
def hold() -> None:
    """Legal holds: students of whom nothing is deleted, however old."""


@hold.command("add")
@click.argument("student_id")
@signed
def add(student_id: str, by: str | None, reason: str) -> None:
    """Keep everything about a student until the hold is released. Exit code 1: not possible, and why."""
    with _running() as (_, run, now), warehouse.connect(run.url) as connection:
        click.echo(holds.add(connection, student_id, reason, _by(by), now))


@hold.command("release")
@click.argument("student_id")
@click.option("--by", help="Who decides; without it ENGAGE_USER, or the operating system's name.")
def release(student_id: str, by: str | None) -> None:
    """Release the hold of a student. Exit code 1: there is none."""
    with _running() as (_, run, now), warehouse.connect(run.url) as connection:
        click.echo(holds.release(connection, student_id, _by(by), now))


@hold.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that were released, too.")
@json_option
def list_holds(everything: bool, as_json: bool) -> None:
    """List the legal holds in force."""
    with _running() as (_, run, _now), warehouse.connect(run.url) as connection:
        show(holds.listed(connection, everything), as_json, "no legal hold")


@retention.command("erase")
@click.argument("student_id")
@click.option("--preview", "only_look", is_flag=True, help="Only count what would go.")
@signed
@json_option
@click.pass_context
def erase(context: click.Context, student_id: str, by: str | None, reason: str, only_look: bool, as_json: bool) -> None:
    """Delete everything about one student, and prove it. Cannot be undone.

    May be repeated, after a kill, too. Exit code 1: a legal hold forbids it, or something is left.
    """
    with _running() as (settings, run, now):
        at = erasure.Where(run.url, settings.config, run.home, settings.landing_url)
        if only_look:
            show([asdict(one) for one in erasure.look(at, student_id)], as_json, "nothing is held of this student")
            return
        ran = erasure.erase(at, student_id, _by(by), reason, now)
    show([asdict(one) for one in ran.taken], as_json, "nothing was held of this student")
    for one in ran.left:
        click.echo(f"left: {one.place}: {one.rows:,}", err=True)
    if ran.kept:
        click.echo(
            f"kept for a legal hold on somebody else: {ran.kept:,} delivered files that nobody can read", err=True
        )
    context.exit(1 if ran.left else 0)


def _told(found: Sequence[Finding]) -> list[dict[str, object]]:
    return [asdict(one) for one in found]


def _prove(context: click.Context, left: Sequence[Finding]) -> None:
    for one in left:
        click.echo(f"older than {one.older_than}: {one.place}: {one.rows:,}", err=True)
    context.exit(1 if left else 0)


def _by(said: str | None) -> str:
    return (said or "").strip() or decisions.person()


@contextlib.contextmanager
def _running() -> Iterator[tuple[Settings, runtime.Runtime, datetime]]:
    settings = Settings.from_environment()
    with runtime.running(settings) as run:
        yield settings, run, clock.now()
