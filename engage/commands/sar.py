"""`engage sar`: a copy of everything held about a student, and the requests for one.

The rules are engage.privacy.subject_access's; nothing printed names a student.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from engage import clock, decisions, runtime, warehouse
from engage.commands.output import Function, json_option, show
from engage.decisions import DecisionError
from engage.privacy import subject_access
from engage.privacy.due_dates import load_rights
from engage.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])


class _Copy(click.Group):
    """`engage sar STUDENT` is short for `engage sar copy STUDENT`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if args and args[0] not in self.commands and args[0] not in context.help_option_names:
            args = ["copy", *args]
        return super().parse_args(context, args)


@click.group(cls=_Copy, context_settings={"help_option_names": ["-h", "--help"]})
def sar() -> None:
    """Subject access: a copy of everything that is held about a student (`engage sar STUDENT`), and when it is due."""


def _by(function: Function) -> Function:
    return click.option("--by", help="Who does it; without it ENGAGE_USER, or the operating system's name.")(function)


def _recorded(function: Function) -> Function:
    for option in (
        click.option("--received", type=_DAY, help="The day on which the request was received; without it today."),
        click.argument("student_id"),
    ):
        function = option(function)
    return _by(function)


_OUTPUT = click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder; else ENGAGE_HOME/subject-access."
)


@sar.command("copy")
@_recorded
@_OUTPUT
@click.option("--anyway", is_flag=True, help="Also of somebody whom no roster names.")
def copy(student_id: str, received: datetime | None, by: str | None, output: Path | None, anyway: bool) -> None:
    """Record a request and make the copy at once. Exit code 1: no roster names the student, or nothing is held."""
    with _installed() as (installation, period, now):
        connection = installation.connection
        if not anyway and not subject_access.is_known(connection, student_id):
            raise DecisionError(_unknown(subject_access.holdings(installation, student_id)))
        day = received.date() if received else None
        request = subject_access.record(connection, student_id, day, period, _person(by), now)
        _answer(installation, request.request_id, by, now, output)


@sar.command("record")
@_recorded
def record(student_id: str, received: datetime | None, by: str | None) -> None:
    """Record a request; the copy is made by `engage sar make`, or by the job subject_access."""
    with _installed() as (installation, period, now):
        connection = installation.connection
        day = received.date() if received else None
        request = subject_access.record(connection, student_id, day, period, _person(by), now)
        click.echo(f"request {request.request_id} is due on {request.due}")
        if not subject_access.is_known(connection, student_id):
            click.echo("no roster names this student: what is found by the number alone is what the copy will have")


@sar.command("make")
@click.argument("request_id", type=int)
@_by
@_OUTPUT
def make(request_id: int, by: str | None, output: Path | None) -> None:
    """Make the copy of a request that was recorded. Exit code 1: it is done."""
    with _installed() as (installation, _, now):
        _answer(installation, request_id, by, now, output)


@sar.command("list")
@json_option
def list_requests(as_json: bool) -> None:
    """List requests: open, due within a week, overdue, done. Erasures, too. Students are not named."""
    with _installed() as (installation, _, now):
        today = clock.local(installation.connection, now).date()
        rows = subject_access.requests(installation.connection, today)
    show(rows, as_json, "no request")


@sar.command("extend")
@click.argument("request_id", type=int)
@click.option("--until", type=_DAY, required=True, help="The new due date, at most two further months on.")
@click.option("--reason", required=True, help="Why: the student must be told within the month. Never name a student.")
def extend(request_id: int, until: datetime, reason: str) -> None:
    """Put off a request that is complex or one of many. Exit code 1: not possible, and why."""
    with _installed() as (installation, period, now):
        today = clock.local(installation.connection, now).date()
        request = subject_access.extend(installation.connection, request_id, until.date(), reason, period, today)
    click.echo(f"request {request.request_id} is due on {request.due}; tell the student why")


def _answer(
    installation: subject_access.Installation, request_id: int, by: str | None, now: datetime, output: Path | None
) -> None:
    made = subject_access.answer(installation, request_id, _person(by), now, output)
    request = subject_access.find(installation.connection, request_id)
    click.echo(
        f"request {request_id}, due on {request.due}: {made.rows:,} rows of {made.tables} tables, {made.files} files"
    )
    click.echo(str(made.path))


def _unknown(held: Any) -> str:
    said = "no roster names this student"
    if held.is_empty:
        return f"{said}, and nothing is held under this number"
    found = [f"{len(table.rows)} rows of {table.place.table}" for table in held.tables]
    files = sum(document.lines > 0 for document in held.documents)
    return f"{said}, but there are {', '.join([*found, f'{files} files'])}: make the copy with --anyway"


@contextlib.contextmanager
def _installed() -> Iterator[tuple[subject_access.Installation, Any, datetime]]:
    settings, now = Settings.from_environment(), clock.now()
    period = load_rights(settings.config).subject_access
    with runtime.running(settings) as running, warehouse.connect(running.url) as connection:
        yield subject_access.installed(connection, settings), period, now


def _person(by: str | None) -> str:
    return (by or "").strip() or decisions.person()
