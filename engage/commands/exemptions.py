"""`engage exemption`: who is exempt from when to when, and the changes of it that people make.

The rules are engage.contact.exemptions'; what is printed names a student only where it was asked for.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from psycopg.rows import dict_row

from engage import clock, decisions, runtime, warehouse
from engage.commands.output import json_option, show, signed
from engage.contact import exemption_files, exemptions
from engage.settings import Settings

_LIST = """
with exemptions as (
    select
        e.exemption_id, e.student_id, e.exemption_type, e.starts_on, e.ends_on,
        case
            when e.deleted_at is not null then 'deleted'
            when e.ends_on < %(today)s then 'over'
            when e.starts_on <= %(today)s then 'in force'
            else 'to come'
        end as state,
        e.created_at, e.created_by, last.changed_at, last.changed_by
    from ops.exemption as e
    left join lateral (
        select c.changed_at, c.changed_by from ops.exemption_change as c
        where c.exemption_id = e.exemption_id
        order by c.change_id desc limit 1
    ) as last on true
)
select * from exemptions
where
    (%(student)s::text is null or student_id = %(student)s)
    and (%(type)s::text is null or exemption_type = %(type)s)
    and (%(all)s or state in ('in force', 'to come'))
order by starts_on, exemption_id
"""
_HISTORY = """
select changed_at, action, exemption_type, starts_on, ends_on, changed_by, reason
from ops.exemption_change
where exemption_id = %s
order by change_id
"""
_DAY = click.DateTime(["%Y-%m-%d"])
_TYPE = click.Choice(exemptions.TYPES, case_sensitive=False)


@click.group()
def exemption() -> None:
    """Days on which a student's absence is authorised and raises nothing; both days inclusive."""


@exemption.command("add")
@click.argument("student_id")
@click.option("--type", "kind", type=_TYPE, required=True, help="What it is.")
@click.option("--from", "starts_on", type=_DAY, required=True, help="First day: tomorrow or later.")
@click.option("--to", "ends_on", type=_DAY, required=True, help="Last day.")
@signed
def add(student_id: str, kind: str, starts_on: datetime, ends_on: datetime, by: str | None, reason: str) -> None:
    """Exempt one student. Exit code 1: not possible, and why."""
    wish = exemptions.Wish(student_id, kind, starts_on.date(), ends_on.date())
    with _connected() as (connection, _):
        click.echo(exemptions.add(connection, wish, _signature(by, reason)).said)


@exemption.command("bulk")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as CSV, too.")
@signed
@json_option
@click.pass_context
def bulk(context: click.Context, file: Path, report: Path | None, by: str | None, reason: str, as_json: bool) -> None:
    """Exempt many students: FILE is a CSV file student_id,exemption_type,starts_on,ends_on with days as 2026-03-01.

    Says of every line what became of it. The same file again adds nothing. Exit code 1: a line was refused.
    """
    with _connected() as (connection, _):
        lines = exemption_files.bulk(connection, file, _signature(by, reason))
    if report:
        exemption_files.write_report(report, lines)
    show([asdict(one) for one in lines], as_json, "the file has no line but the first")
    counts = exemption_files.counted(lines)
    click.echo(", ".join(f"{count:,} {result}" for result, count in counts.items()), err=True)
    context.exit(1 if counts["refused"] else 0)


@exemption.command("extend")
@click.argument("exemption_id", type=int)
@click.option("--to", "ends_on", type=_DAY, required=True, help="The new last day.")
@signed
def extend(exemption_id: int, ends_on: datetime, by: str | None, reason: str) -> None:
    """Let an exemption end later. Exit code 1: not possible, and why."""
    with _connected() as (connection, _):
        click.echo(exemptions.extend(connection, exemption_id, ends_on.date(), _signature(by, reason)).said)


@exemption.command("move")
@click.argument("exemption_id", type=int)
@click.option("--from", "starts_on", type=_DAY, help="The new first day; without it only the end changes.")
@click.option("--to", "ends_on", type=_DAY, required=True, help="The new last day.")
@signed
def move(exemption_id: int, starts_on: datetime | None, ends_on: datetime, by: str | None, reason: str) -> None:
    """Give an exemption other days. Of one that has begun the days up to today stay.

    Exit code 1: not possible, and why.
    """
    first = starts_on.date() if starts_on else None
    with _connected() as (connection, _):
        click.echo(exemptions.move(connection, exemption_id, first, ends_on.date(), _signature(by, reason)).said)


@exemption.command("delete")
@click.argument("exemption_id", type=int)
@signed
def delete(exemption_id: int, by: str | None, reason: str) -> None:
    """Take an exemption back; one that has begun ends today. Exit code 1: not possible, and why."""
    with _connected() as (connection, _):
        click.echo(exemptions.delete(connection, exemption_id, _signature(by, reason)).said)


@exemption.command("list")
@click.option("--student", help="Only of this student.")
@click.option("--type", "kind", type=_TYPE, help="Only of this type.")
@click.option("--all", "everything", is_flag=True, help="Those that are over or deleted, too.")
@json_option
def list_exemptions(student: str | None, kind: str | None, everything: bool, as_json: bool) -> None:
    """List the exemptions decided here, in force and to come, by first day. The registry's lists are not among them."""
    with _connected() as (connection, now):
        given = {"student": student, "type": kind, "all": everything, "today": exemptions.today_of(connection, now)}
        rows = connection.cursor(row_factory=dict_row).execute(_LIST, given).fetchall()
    show(rows, as_json, "no exemption")


@exemption.command("history")
@click.argument("exemption_id", type=int)
@json_option
@click.pass_context
def show_history(context: click.Context, exemption_id: int, as_json: bool) -> None:
    """List every change of an exemption: what it then was, who, when and why. Exit code 1: there is no such."""
    with _connected() as (connection, _):
        rows = connection.cursor(row_factory=dict_row).execute(_HISTORY, [exemption_id]).fetchall()
    if not rows:
        click.echo(f"there is no exemption {exemption_id}", err=True)
        context.exit(1)
    show(rows, as_json, "")


def _signature(by: str | None, reason: str) -> exemptions.Signed:
    return exemptions.Signed((by or "").strip() or decisions.person(), clock.now(), reason)


@contextlib.contextmanager
def _connected() -> Iterator[tuple[warehouse.Connection, datetime]]:
    with runtime.running(Settings.from_environment()) as run, warehouse.connect(run.url) as connection:
        yield connection, clock.now()
