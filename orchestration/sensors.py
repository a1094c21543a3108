"""The sensors: one that looks for settled deliveries of all sources, and one that looks for days to rebuild.

They ask the ledger what is waiting and request a run; the cursor only remembers what was asked for, so that a run that
fails is asked for again, later and later. Nothing is fetched or written here but the sightings.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from assets.naming import landing_key, raw_key
from assets.resources import WarehouseResource, readable_failures
from engage import clock, weekly
from engage.lookout import Lookout, Seen
from engage.sources import Source
from orchestration.jobs import DAILY, INGEST, sources_of

FIRST_WAIT, DOUBLINGS = timedelta(minutes=1), 6
CATCHING_UP = timedelta(minutes=30)
"""So long it takes who was away himself: until then feeds only seem late."""
MANY = 500
"""A source with more files waiting gets a run of its own: the others of a run wait for its end."""
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def arrivals_sensor(sources: Mapping[str, Source]) -> dg.SensorDefinition:
    """Return the sensor that turns what has arrived, from however many sources, into at most one run a tick."""
    # As long as the process that loaded the graph, so that it knows the looks that still hang.
    lookout = Lookout()

    @dg.sensor(
        name="arrivals",
        job_name=INGEST,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at every source; asks for one run of those that have a settled delivery, or one half done.",
    )
    def _arrivals(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        busy = {name for run in in_progress(context.instance) for name in sources_of(run, sources)}
        idle = [source for source in sources.values() if source.id not in busy]
        sight = lookout.look(idle, warehouse.connect, clock.now())
        before = json.loads(context.cursor or "{}")
        wanted: dict[str, tuple[str, dict[str, Any]]] = {}
        notes = [
            *(f"{name}: a run is in progress" for name in busy),
            *(f"{name}: still looking" for name in sight.late),
        ]
        for name, seen in sight.seen.items():
            why, wish = _wish(seen)
            if wish is None or name in busy:
                notes += [f"{name}: {why}"] if why else []
            elif isinstance(asked := _asked(before.get(name), wish), str):
                notes.append(f"{name}: {why}; {asked}")
            else:
                wanted[name] = why, asked
        many = [name for name in wanted if len(sight.seen[name].settled) > MANY]
        chosen = [name for name in wanted if name not in many] or many[:1]
        if not chosen:
            with readable_failures():
                for error in sight.crashed.values():
                    raise error
            return _skip(context, "; ".join(notes) or "Nothing new has settled.")
        notes += [f"{name}: {type(error).__name__}" for name, error in sight.crashed.items()]
        request = dg.RunRequest(
            asset_selection=[key(sources[name]) for name in chosen for key in _keys(sight.seen[name])],
            tags={
                "engage/attempt": str(max(wanted[name][1]["attempt"] for name in chosen)),
                "engage/why": "; ".join(f"{name}: {wanted[name][0]}" for name in chosen)[:1000],
                **({"engage/not_asked_for": "; ".join(notes)[:1000]} if notes else {}),
            },
        )
        known = {name: one for name, one in before.items() if name in sources}
        cursor = known | {name: wanted[name][1] for name in chosen}
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return _arrivals


def touched_days_sensor() -> dg.SensorDefinition:
    """Return the sensor that turns any number of ingests into one rebuild of the days they changed."""

    @dg.sensor(
        name="touched_days",
        job_name=DAILY,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for the rebuild of the days whose published rows changed.",
    )
    def _touched_days(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        if in_progress(context.instance, DAILY):
            return _skip(context, "A rebuild is still in progress.")
        with readable_failures(), warehouse.connect() as connection:
            touched = weekly.touched_days(connection)
        if touched.last_at is None:
            return _skip(context, "No day has changed.")
        why = f"{touched.days} days of sources changed"
        asked = _asked(json.loads(context.cursor or "null"), f"{touched.last_at.isoformat()} {touched.days}")
        if isinstance(asked, str):
            return _skip(context, f"{why}; {asked}")
        request = dg.RunRequest(tags={"engage/attempt": str(asked["attempt"]), "engage/why": why})
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked))

    return _touched_days


def in_progress(instance: dg.DagsterInstance, job: str | None = None) -> list[dg.DagsterRun]:
    """Return the runs (of the job) that are queued or under way."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=IN_PROGRESS))
    return [record.dagster_run for record in records]


def watching_since(cursor: str | None, now: datetime, gap: timedelta) -> tuple[datetime | None, str]:
    """Return since when we watch again, if that is so short that we are catching up, and the next cursor.

    Who has not looked for `gap` was away himself. `now` is by the clock on the wall: a time that is played leaps.
    """
    before = json.loads(cursor) if cursor else {"since": (now - CATCHING_UP).isoformat(), "last": now.isoformat()}
    since = datetime.fromisoformat(before["since"])
    if now - datetime.fromisoformat(before["last"]) > gap:
        since = now
    is_catching_up = since + CATCHING_UP > now
    return since if is_catching_up else None, json.dumps({"since": since.isoformat(), "last": now.isoformat()})


def _wish(seen: Seen) -> tuple[str, str | None]:
    """Return what is to be said of a source, and what identifies the wish for a run of it; None: no run is needed."""
    if seen.disabled_since:
        return f"disabled since {seen.disabled_since}", None
    if seen.refused and not seen.unfinished:
        # Its run changes nothing but the check that says so in red. The words may differ from look to look.
        return f"refused: {seen.refused}", "refused"
    if not seen.settled and not seen.unfinished:
        return (f"not reachable now: {seen.unreachable}" if seen.unreachable else ""), None
    newest = max((remote.modified_at for remote in seen.settled), default=None)
    names = sorted(remote.name for remote in seen.settled if remote.modified_at == newest)
    said = f"{newest} {len(seen.settled)} {names} {seen.unfinished}"
    why = f"{len(seen.settled)} new, {seen.unfinished} unfinished"
    # Short, for it is written at every tick.
    return why, hashlib.sha256(said.encode()).hexdigest()[:16]


def _keys(seen: Seen) -> Sequence[Callable[[Source], dg.AssetKey]]:
    """Return what a run is asked for. Where nothing can come no rows are published, nor made to look fresh."""
    return (landing_key, raw_key) if seen.settled or seen.unfinished else (landing_key,)


def _asked(before: Mapping[str, Any] | None, wish: str) -> dict[str, Any] | str:
    """Return what to remember of asking for it now, or why it is not asked for: the same was in vain just now.

    No run_key: that is remembered for ever.
    """
    attempt = before["attempt"] + 1 if before and before["wish"] == wish else 1
    if before and attempt > 1:
        again = datetime.fromisoformat(before["asked_at"]) + FIRST_WAIT * 2 ** min(attempt - 2, DOUBLINGS)
        if clock.now() < again:
            return f"asked for {attempt - 1} times in vain, again at {again:%H:%M:%S} UTC"
    return {"wish": wish, "attempt": attempt, "asked_at": clock.now().isoformat()}


def _skip(context: dg.SensorEvaluationContext, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
