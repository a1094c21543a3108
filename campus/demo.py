"""The demo: a campus delivers a term, the whole graph runs over it, and the marts are held against the known truth.

Plays time with `ENGAGE_NOW`. What the graph does is not known here; what is printed comes from the warehouse.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import cast

import click
import dagster as dg
from psycopg.rows import dict_row

from campus import silence, truth
from campus.folder import DemoError, claimed
from campus.simulation import Campus
from campus.world import ZONE, World, last_weeks
from engage import clock, health, landing, runtime, warehouse
from engage.commands.output import show
from engage.contact import rule_activation
from engage.contact.rules_file import load_rules
from engage.scoring import load_scoring
from engage.settings import Settings
from engage.sources import Source, load_sources
from orchestration import driver
from orchestration.definitions import build_defs

WEEKS = 12
SEEN_SHARE = 0.8
"""Of the students silent for two whole weeks, how many must score below 350. In 24 simulated terms 94-100 % did,
for some who were keen before are not that low yet. Scores unrelated to silence would put 7 % there, the quota of
rank calibration. So of 20 students four may be missed, where one at most is usual."""
LOOK_AGAIN = timedelta(minutes=1)

SOURCES = """
select
    b.source_id as source, count(*) as deliveries, count(*) filter (where b.state = 'held') as held,
    sum(b.rows_accepted)::bigint as rows_accepted, sum(b.rows_quarantined)::bigint as rows_quarantined,
    avg(b.quality_score) as mean_quality, min(b.quality_score) as lowest_quality
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
group by b.source_id
order by b.source_id
"""
HELD = """
select b.batch_id as batch, b.source_id as source, d.name as delivery, b.quality_score as quality, b.problem as why
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
where b.state = 'held'
order by b.batch_id
"""
SCORES = """
select
    week_start, count(score) as students_scored, count(*) - count(score) as without_score,
    count(*) filter (where score < 350) as below_350, count(*) filter (where score < 300) as below_300,
    min(array_length(sources_used, 1)) as fewest_sources, max(array_length(sources_used, 1)) as most_sources
from marts.weekly_score
group by week_start
order by week_start
"""
DAILY = f"""
select {", ".join(truth.Daily._fields)} from marts.daily_activity
where activity_date < %s
"""  # noqa: S608
SILENT = """
select count(*), count(*) filter (where score < 350)
from marts.weekly_score
where week_start = %s and score is not null and student_id = any(%s)
"""
NOTIFICATIONS = """
select
    kind, status, count(*) as notifications, count(distinct student_id) as students, min(trigger_date) as first,
    max(trigger_date) as last
from marts.notification group by kind, status order by kind, status
"""
SILENT_DAYS = """
select student_id, trigger_date, status = 'raised' from marts.notification
where kind = 'no_digital_activity' and status in ('raised', 'held', 'undetermined')
"""
RULES = """
select rule_id as rule, kind as action, state, count(*) as actions, max(why) as why
from ops.action where rule_id is not null group by rule_id, kind, state order by rule_id, kind, state
"""
CONTACTS = "select priority, score, days_since_contact, why from marts.contact_list order by priority limit 5"
SPONSORED = """
select s.status, count(*) as students, min(s.days_left) as fewest_days_left
from marts.sponsored_contact_point as s
inner join (
    select student_id, max(contact_date) as contact_date from marts.sponsored_contact_point group by student_id
) as newest using (student_id, contact_date)
group by s.status order by s.status
"""
EDITIONS = """
select
    e.edition_id as edition, e.title, count(f.value) as numbers,
    count(*) filter (where f.suppressed = 'small') as few_people,
    count(*) filter (where f.suppressed = 'secondary') as would_give_others_away
from governance.edition as e
inner join governance.figure as f using (edition_id)
group by e.edition_id order by e.made_at, e.edition_id
"""
MESSAGES = "select kind, state, count(*) as messages from ops.outbox group by kind, state order by kind, state"


@contextmanager
def delivering(settings: Settings, fresh: bool) -> Iterator[tuple[Campus, runtime.Runtime]]:
    """Yield a campus and an installation that pulls from it; both end with the block.

    `fresh` forgets an earlier demo in `settings.home`, which is ours alone meanwhile. Raises DemoError.
    """
    folder = settings.home / "campus"
    with claimed(settings, fresh), Campus(folder, _world(folder)) as campus:
        os.environ.update(campus.environment)
        with runtime.running(settings) as run:
            yield campus, run


def _world(folder: Path) -> World:
    """Return the world that plays in `folder`, or a new one whose twelve weeks end on the last Sunday."""
    state = folder / "campus.json"
    if state.exists():
        known = json.loads(state.read_text())["world"]
        return World(date.fromisoformat(known["first_monday"]), weeks=int(known["weeks"]))
    today = datetime.now(UTC).astimezone(ZONE).date()
    # The term has a week more than the demo plays: the present one.
    return World(last_weeks(today, WEEKS), weeks=WEEKS + 1)


def play(campus: Campus, run: runtime.Runtime, settings: Settings) -> None:
    """Let eleven weeks arrive at once and the twelfth day by day; then publish it."""
    world, defs = campus.world, build_defs(settings)
    last_week = 7 * (WEEKS - 1)
    with dg.DagsterInstance.get() as instance:
        click.secho(f"\n[1/3] Weeks 1-{WEEKS - 1} arrive at once: a backfill is one run", bold=True)
        arrived = _at(campus, _morning(world, last_week))
        click.echo(f"{len(arrived)} files, a replica of Moodle and {last_week} days of APIs are waiting")
        _look(run, settings)
        _at(campus, _morning(world, last_week) + LOOK_AGAIN)
        _done(driver.run_job(defs, instance, "everything", click.echo))
        _publish(campus, defs, instance, settings, last_week)
        _sum_up(defs, instance)
        _activate(run, settings, world.date(last_week))
        click.secho(f"\n[2/3] Week {WEEKS} arrives day by day, noticed by the sensors", bold=True)
        for day in range(last_week + 1, last_week + 8):
            arrived = _at(campus, _morning(world, day))
            click.echo(f"{world.date(day):%a %d %b}: {len(arrived)} files arrived")
            _look(run, settings)
            _at(campus, _morning(world, day) + LOOK_AGAIN)
            _done(*driver.tick(defs, instance, say=_indented))
        _publish(campus, defs, instance, settings, last_week + 7)
        _done(driver.run_job(defs, instance, "whole_history", click.echo))
        _sum_up(defs, instance)


def _publish(campus: Campus, defs: dg.Definitions, instance: dg.DagsterInstance, settings: Settings, day: int) -> None:
    """Publish at the hour of that Monday from which a week waits no longer: of both weeks a file is late or held."""
    until = load_scoring(settings.config).wait_until
    os.environ["ENGAGE_NOW"] = datetime.combine(campus.world.date(day), until, ZONE).isoformat()
    click.echo(f"Mon {until:%H:%M}: what is late is waited for no longer")
    _done(driver.run_job(defs, instance, "weekly_scores", click.echo))


def _sum_up(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Make the governance summaries that are due; the second of a kind says what changed since the first."""
    _done(driver.run_job(defs, instance, "governance_summary", click.echo))


def _activate(run: runtime.Runtime, settings: Settings, since: date) -> None:
    """Put every rule of the configuration into force, as a person would who has looked at its preview."""
    rules = load_rules(settings.config, settings.expectations)
    with warehouse.connect(run.url) as connection:
        for rule in rules:
            rule_activation.activate(connection, rule, "the demo", "to show what rules do", since, clock.now())
    click.echo(f"{len(rules)} rules are activated; until now nobody was told anything of a student")


def _look(run: runtime.Runtime, settings: Settings) -> None:
    """Take the first of two looks: a file is fetched once it has stood still."""
    with warehouse.connect(run.url) as connection:
        for source in load_sources(settings.config).values():
            landing.look(connection, source, clock.now())


def _indented(line: str) -> None:
    click.echo(f"    {line}")


def _done(*results: dg.ExecuteInProcessResult) -> None:
    if failed := [result.run_id for result in results if not result.success]:
        raise DemoError(f"a run failed: {', '.join(failed)}; `make up` shows it in the UI")


def report(campus: Campus, run: runtime.Runtime, settings: Settings) -> bool:
    """Print what was found; return whether the marts say what really happened and the scores show who fell silent."""
    click.secho("\n[3/3] What the warehouse says, and whether it is true", bold=True)
    end = campus.world.date(7 * WEEKS)
    folder = campus.write_truth(campus.now)
    known = json.loads((folder / "truth.json").read_text())
    with warehouse.connect(run.url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        click.secho("\nSources", bold=True)
        sources = load_sources(settings.config)
        rows = cursor.execute(SOURCES).fetchall()
        show([row | _freshness(connection, sources[row["source"]]) for row in rows], False, "nothing was delivered")
        click.secho("\nHeld by the quality gate (none of it is in any mart)", bold=True)
        show(cursor.execute(HELD).fetchall(), False, "no batch")
        click.secho("\nWeekly scores", bold=True)
        show(cursor.execute(SCORES).fetchall(), False, "no week")
        happened = [row for row in truth.read_daily(folder / "daily_activity.csv") if row.activity_date < end]
        marts = connection.execute(DAILY, [end]).fetchall()
        differences = truth.compare_daily(happened, marts)
        last_week = end - timedelta(days=7)
        since = last_week - timedelta(days=7)
        quiet = [s["student_id"] for s in known["silent"] if date.fromisoformat(s["from"]) <= since]
        scored, below = connection.execute(SILENT, [last_week, quiet]).fetchall()[0]
        for title, query in {
            "Notifications of the term": NOTIFICATIONS,
            "What the rules asked for in the last week": RULES,
            "The first five on the contact list": CONTACTS,
            f"Messages ({_short(settings.home / 'outbox')}: written as files, nothing is sent)": MESSAGES,
            "Sponsored students, by the days left until their next contact point is due": SPONSORED,
            f"Governance summaries ({_short(settings.home / 'reports' / 'index.html')})": EDITIONS,
        }.items():
            click.secho(f"\n{title}", bold=True)
            show(cursor.execute(query).fetchall(), False, "none")
        told = connection.execute(SILENT_DAYS).fetchall()
    click.secho("\nFaults that were planned", bold=True)
    planned = [
        {"fault": file["fault"], "file": file["file"], "delivered": datetime.fromisoformat(file["delivered_at"])}
        for file in known["files"]
    ]
    show(planned, False, "no file was late, spoiled, corrected or sent twice")
    click.secho("\nAgainst the truth", bold=True)
    is_seen = silence_is_seen(int(str(scored)), int(str(below)))
    click.secho(
        f"  of {scored} students who fell silent before the last two weeks, {below} are below 350 in the last one"
        + ("" if is_seen else f": FEWER than {SEEN_SHARE:.0%}"),
        fg="green" if is_seen else "red",
    )
    if differences:
        click.secho(f"  daily_activity DIFFERS from what happened in {len(differences)} source-days:", fg="red")
        for line in differences[:20]:
            click.echo(f"    {line}")
    else:
        click.secho(f"  daily_activity: all {len(marts):,} rows are true, none missing, none doubled", fg="green")
    found = cast(list[tuple[str, date, bool]], told)
    raised = {(student, day) for student, day, is_raised in found if is_raised}
    waiting = {(student, day) for student, day, is_raised in found if not is_raised}
    digital = [source.id for source in sources.values() if source.digital]
    silent = silence.silences(campus.world, datetime.combine(end, time(8), ZONE), digital)
    missed, false = silent - raised - waiting, raised - silent
    click.secho(
        f"  no digital activity: {len(raised):,} raised, {len(waiting):,} held or closed for want of data, "
        f"{len(missed):,} missed, {len(false):,} false",
        fg="red" if missed or false else "green",
    )
    return is_seen and not (differences or missed or false)


def silence_is_seen(scored: int, below: int) -> bool:
    """Judge how many of the silent students who have a score have one below 350; without any, nothing is shown."""
    return scored > 0 and below >= SEEN_SHARE * scored


def _freshness(connection: warehouse.Connection, source: Source) -> dict[str, object]:
    found = health.freshness(connection, source, clock.now())
    until = found.data_until
    return {"freshness": found.state, "data_until": until.astimezone(ZONE) if until else None}


def _morning(world: World, day: int) -> datetime:
    """Return 08:30 local on day number `day`: the night's files are there, and a Monday's publication is due."""
    return datetime.combine(world.date(day), time(8, 30), ZONE)


def _at(campus: Campus, now: datetime) -> list[str]:
    """Make it `now` for the campus and for the graph; return what the campus delivered."""
    os.environ["ENGAGE_NOW"] = now.isoformat()
    return campus.advance(now)


def demo(settings: Settings) -> bool:
    """Play the demo and report. True: marts and scores agree with the truth."""
    with delivering(settings, fresh=True) as (campus, run):
        click.echo(f"{campus.world.students:,} students, {WEEKS} teaching weeks, delivered by SFTP and HTTP.")
        play(campus, run, settings)
        agrees = report(campus, run, settings)
    click.echo(f"\nEverything lies in {_short(settings.home)}. See it in the Dagster UI: make up")
    return agrees


def _short(path: Path) -> str:
    """Return a path as a user in the checkout would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
