"""`engage rules`: which alert rules there are, what each would do, and the decision that one comes into force.

Rules are read from the file and activated from there; what is in force is what was activated, whatever the file says
by now.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import yaml
from psycopg.rows import dict_row

from engage import clock, runtime, warehouse
from engage.commands.output import json_option, show
from engage.contact import rule_activation, rule_conditions
from engage.contact.rule_activation import ActivationError, Decision
from engage.contact.rule_preview import GoneError, Preview, preview
from engage.contact.rules import TELL_WITHIN_DAYS
from engage.contact.rules_file import Rule, load_rules, read_rules
from engage.settings import Settings
from engage.warehouse import Connection

_HISTORY = """
select decided_at, action, rule_version as version, effective_from, decided_by, reason
from ops.rule_activation
where rule_id = %s
order by activation_id
"""
_TODAY = "select (%s at time zone time_zone)::date from ops.scoring_parameter"
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def rules() -> None:
    """Alert rules: who hears about whom. A rule in the file does nothing until somebody has activated it."""


@rules.command("list")
@json_option
def list_rules(as_json: bool) -> None:
    """List every rule of the file, and every one that was ever activated, with how it stands."""
    with _connected() as (connection, settings):
        there = {rule.id: rule for rule in load_rules(settings.config, settings.expectations)}
        decided = rule_activation.decisions(connection)
    show(
        [_line(name, there.get(name), decided.get(name)) for name in {**there, **decided}], as_json, "there is no rule"
    )


@rules.command("show")
@click.argument("rule_id")
@json_option
def show_rule(rule_id: str, as_json: bool) -> None:
    """Show a rule in words, as it is in force and as the file has it, and everything that was decided of it."""
    with _connected() as (connection, settings):
        rule = next((one for one in load_rules(settings.config, settings.expectations) if one.id == rule_id), None)
        decided = rule_activation.decisions(connection).get(rule_id)
        history = connection.cursor(row_factory=dict_row).execute(_HISTORY, [rule_id]).fetchall()
    if rule is None and decided is None:
        raise click.ClickException(f"there is no rule {rule_id}; engage rules list lists them")
    active = decided.rule if decided and decided.is_active else None
    told = {
        **_line(rule_id, rule, decided),
        "in_force": active.content if active else None,
        "in_the_file": rule.content if rule else None,
        "decisions": history,
    }
    if as_json:
        click.echo(json.dumps(told, default=str, indent=2))
        return
    click.echo(f"{rule_id}: {told['state']}")
    for title, one in (("in force", active), ("in the file", rule)):
        if one and not (title == "in the file" and one == active):
            click.echo(f"\n{title} ({one.version}): {rule_conditions.words(one.when)}")
            click.echo(yaml.safe_dump(one.content, sort_keys=False, allow_unicode=True).rstrip())
    click.echo()
    show(history, False, "nobody has decided anything of it")


@rules.command("preview")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rule", "rule_id", help="Only this one.")
@click.option("--since", type=_DAY, help="The Monday of the first week. Default: 12 published weeks ago.")
@click.option("--students", is_flag=True, help="List the student numbers of those in scope now.")
@json_option
def preview_rules(file: Path, rule_id: str | None, since: datetime | None, students: bool, as_json: bool) -> None:
    """Say what the rules of FILE would do: whom they are about now, and how many they would have told about, by week.

    Nothing is saved. FILE need not be the one of the configuration.
    """
    monday = since.date() if since else None
    if monday and monday.weekday():
        raise click.UsageError(
            f"--since: {monday} is no Monday; its week begins on {monday - timedelta(monday.weekday())}"
        )
    with _connected() as (connection, settings):
        there = read_rules(file, settings.config, settings.expectations)
        if rule_id and rule_id not in [rule.id for rule in there]:
            raise click.ClickException(f"{file} has no rule {rule_id}; it has {', '.join(rule.id for rule in there)}")
        asked = [rule for rule in there if rule_id in (None, rule.id)]
        try:
            found = [preview(connection, rule, monday, clock.now()) for rule in asked]
        except GoneError as error:
            raise click.ClickException(str(error)) from error
        connection.rollback()
    if as_json:
        click.echo(json.dumps([_told(one, students) for one in found], default=str, indent=2))
    else:
        for one in found:
            _tell(one, students)
        click.echo("Nothing was saved." if found else f"{file} has no rule")


@rules.command("activate")
@click.argument("rule_id")
@click.option("--by", required=True, help="Who has decided it.")
@click.option("--reason", required=True, help="Why. Is kept; never name a student.")
@click.option("--from", "effective_from", type=_DAY, help="What triggers on this day or later counts. Default: today.")
def activate(rule_id: str, by: str, reason: str, effective_from: datetime | None) -> None:
    """Put a rule into force as the file has it now. Exit code 1: it is so already, or there is no such rule."""
    now = clock.now()
    with _connected() as (connection, settings):
        there = {rule.id: rule for rule in load_rules(settings.config, settings.expectations)}
        if rule_id not in there:
            raise click.ClickException(f"rules.yaml has no rule {rule_id}; it has {', '.join(there) or 'none'}")
        today = _today(connection, now)
        first = effective_from.date() if effective_from else today
        try:
            before = rule_activation.activate(connection, there[rule_id], by, reason, first, now)
        except ActivationError as error:
            raise click.ClickException(str(error)) from None
    instead = f", instead of {before.rule_version}" if before and before.is_active else ""
    click.echo(f"{rule_id} ({there[rule_id].version}) is in force from {first}{instead}")
    if (today - first).days > TELL_WITHIN_DAYS:
        click.echo(f"what triggered more than {TELL_WITHIN_DAYS} days ago is recorded, and nobody is told")


@rules.command("deactivate")
@click.argument("rule_id")
@click.option("--by", required=True, help="Who has decided it.")
@click.option("--reason", required=True, help="Why. Is kept; never name a student.")
def deactivate(rule_id: str, by: str, reason: str) -> None:
    """Take a rule out of force; what it has raised stays. Exit code 1: it is not in force."""
    now = clock.now()
    with _connected() as (connection, _):
        try:
            rule_activation.deactivate(connection, rule_id, by, reason, _today(connection, now), now)
        except ActivationError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{rule_id} is out of force")


@contextlib.contextmanager
def _connected() -> Iterator[tuple[Connection, Settings]]:
    settings = Settings.from_environment()
    with runtime.running(settings) as run, warehouse.connect(run.url) as connection:
        yield connection, settings


def _today(connection: Connection, now: datetime) -> date:
    row = connection.execute(_TODAY, [now]).fetchone()
    return row[0] if row and isinstance(row[0], date) else now.date()


def _line(rule_id: str, rule: Rule | None, decided: Decision | None) -> dict[str, object]:
    active = decided if decided and decided.is_active else None
    title = rule.title if rule else decided.content["title"] if decided else ""
    return {
        "rule": rule_id,
        "title": title,
        "state": rule_activation.state_of(rule, decided),
        "version": active.rule_version if active else None,
        "effective_from": active.effective_from if active else None,
        "decided_by": decided.decided_by if decided else None,
        "reason": decided.reason if decided else None,
    }


def _told(one: Preview, students: bool) -> dict[str, object]:
    """Return a preview as JSON has it."""
    left_out = sum(not row["in_scope"] for row in one.now)
    told: dict[str, object] = {
        "rule": one.rule.id,
        "title": one.rule.title,
        "version": one.rule.version,
        "when": rule_conditions.words(one.rule.when),
        "now": {
            "about": one.newest,
            "students": len(one.in_scope),
            "in_contact": sum(row["in_contact"] for row in one.in_scope),
            "exempt": sum(row["exempt"] for row in one.in_scope),
            "left_out_as_exempt": left_out,
            "programmes": one.programmes(),
        },
        "since": one.since,
        "weeks": [asdict(week) for week in one.weeks],
    }
    if students:
        told["students"] = [{k: v for k, v in row.items() if k != "in_scope"} for row in one.in_scope]
    return told


def _tell(one: Preview, students: bool) -> None:
    told: Any = _told(one, students)
    now = told["now"]
    click.echo(f"{one.rule.id}: {one.rule.title}\n    {told['when']}")
    if one.newest is None:
        click.echo("    no week has been published since then\n")
        return
    about = f"notifications since {one.newest}" if one.rule.kind else f"week from {one.newest}"
    click.echo(
        f"    in scope now ({about}): {now['students']:,} students, {now['in_contact']:,} of them in contact already;"
        f" {now['left_out_as_exempt']:,} more are exempt and left out"
    )
    show(now["programmes"], False, "    nobody is in scope")
    click.echo("    would have told about, week by week:")
    show(told["weeks"], False, "    no week")
    if students:
        show(told["students"], False, "    nobody is in scope")
    click.echo()
