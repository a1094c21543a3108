"""`engage restate`: published weeks scored again, by a run like any other, so that it is in the UI.

What a restatement is stands in engage.restatement.
"""

from datetime import datetime

import click

from engage import clock, configuration, decisions, restatement, runtime, warehouse, weekly
from engage.commands.output import json_option, show
from engage.settings import Settings
from engage.sources import load_sources

MONDAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("week", type=MONDAY, metavar="WEEK")
@click.option(
    "--until",
    type=MONDAY,
    metavar="WEEK",
    help="Monday of the last week; the published ones between are restated, too.",
)
@click.option("--reason", required=True, help="Why. Is kept, and published with the scores; never name a student.")
@click.option("--by", help="Who decides; without it ENGAGE_USER, or the operating system's name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def restate(
    context: click.Context,
    week: datetime,
    until: datetime | None,
    reason: str,
    by: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Score published weeks again, WEEK being a Monday, by the data and the configuration of now.

    Adds a revision; the ones before stay readable in marts.weekly_score_revision. Asking again while one is pending
    finishes that one, with its first reason. Exit code 1: not published, not confirmed, or the run failed.
    """
    if not (reason := reason.strip()):
        raise click.UsageError("--reason must say something")
    try:
        mondays = restatement.weeks_of(week.date(), until.date() if until else None)
    except restatement.RestatementError as error:
        raise click.UsageError(str(error)) from None
    settings = Settings.from_environment()
    with runtime.running(settings) as run:
        with warehouse.connect(run.url) as connection:
            before = restatement.state(connection, mondays)
            coming = weekly.on_its_way(connection, clock.now())
            # As the run will write it; the version is known only then.
            with connection.transaction(force_rollback=True):
                version = configuration.sync(connection, settings.config, load_sources(settings.config), clock.now())
        restatement.must_be_published([mondays[0], mondays[-1]], before)
        planned: list[dict[str, object]] = [
            {
                "week_start": one.week_start,
                "revision": one.revision,
                "students": one.students,
                "configuration_then": one.config_version,
                "configuration_now": version,
                "data_as_of": one.data_as_of,
                "days_delivered_since": one.days_delivered_since,
                "asked_for_already": one.is_pending,
            }
            for one in before
        ]
        if not as_json:
            show(planned, False, "")
            if coming:
                click.echo(f"{coming} deliveries are on their way to the gate: what they bring will not be in it.")
        if not yes and not click.confirm(f"Restate {len(before)} weeks?", err=True):
            click.echo("Nothing was changed.", err=True)
            context.exit(1)
        changes, red = _run(settings, run, before, reason, (by or "").strip() or decisions.person())
    rows: list[dict[str, object]] = [
        (plan if as_json else {"week_start": plan["week_start"]})
        | {key: value for key, value in vars(change).items() if key != "week_start"}
        for plan, change in zip(planned, changes, strict=True)
    ]
    show(rows, as_json, "")
    if red:
        raise restatement.RestatementError(f"the scores are published, but a test of run {red} failed: see its checks")


def _run(
    settings: Settings, run: runtime.Runtime, before: list[restatement.State], reason: str, by: str
) -> tuple[list[restatement.Change], str]:
    """Run the job in this process; return what it changed, and its id if it is red all the same.

    Raises RestatementError when the weeks are still pending, or have not even been asked for.
    """
    # A second and more, which `--help` need not wait for.
    import dagster as dg

    from assets.warehouse import RESTATE
    from orchestration import driver
    from orchestration.definitions import build_defs

    weeks = [one.week_start for one in before]
    config = {"weeks": [str(week) for week in weeks], "reason": reason, "by": by}
    with dg.DagsterInstance.get() as instance:
        result = driver.run_job(
            build_defs(settings), instance, RESTATE, lambda _: None, {"ops": {"warehouse": {"config": config}}}
        )
    with warehouse.connect(run.url) as connection:
        after = restatement.state(connection, weeks)
        if any(one.is_pending for one in after):
            raise restatement.RestatementError(
                f"run {result.run_id} failed, and `engage up` shows why; the weeks are as they were, and pending: "
                "the next run of weekly_scores restates them"
            )
        if {(one.week_start, one.revision) for one in before} & {(one.week_start, one.revision) for one in after}:
            raise restatement.RestatementError(
                f"run {result.run_id} failed before it had asked for a revision, and `engage up` shows why; "
                "nothing is changed"
            )
        return restatement.changes(connection, weeks), "" if result.success else result.run_id
