"""What is wrong with each source at this moment, from the warehouse alone: read, never remembered.

A condition has facts (numbers, file names, rules, days), never a value of a row. Whether somebody knows of it already
is incidents.py's; how it is said is incident_words.py's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg.rows import dict_row

from engage import health
from engage.landing import disabled_since
from engage.messaging import Messaging
from engage.sources import Source
from engage.transports import Http, Sftp, SqlReplica
from engage.warehouse import Connection

ACCESS = ("unreachable", "access_refused", "host_key", "configuration")
KINDS = (*ACCESS, "held", "format_drift", "low_quality", "quality_fell", "stale")
"""The gravest first: what explains the others."""
SHARED = ("unreachable", "access_refused", "host_key")
"""Kinds that befall every source of a server at a time."""
FALL = 10
"""Points below the median of the last accepted batches that are worth a word."""
LISTED = 5
Row = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Condition:
    """Something that is wrong with a source. `facts` is JSON and always has `since` (ISO 8601)."""

    source_id: str
    kind: str
    facts: Row


@dataclass(frozen=True)
class Incident:
    """A condition from when it became known until it was over: a row of `ops.incident`."""

    incident_id: int
    source_id: str
    kind: str
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    facts: Row
    reminded_at: datetime | None
    escalated_at: datetime | None


@dataclass(frozen=True)
class Conditions:
    """What is wrong now, by source and kind."""

    found: dict[Key, Condition]
    undecided: set[Key]
    """Cannot be judged now, such as lateness on a quiet day: what was wrong before still is."""


_LATEST = """
select
    latest.*, typical.median, typical.batches
from unnest(%(sources)s::text[]) as s (source_id)
cross join lateral (
    select
        b.source_id, b.batch_id, d.name, d.first_day, d.last_day, d.version_at, b.finished_at, b.quality_score,
        b.format_drift, b.is_released
    from ops.batch as b
    inner join ops.delivery as d using (delivery_id)
    where b.source_id = s.source_id and b.state in ('published', 'held')
    order by d.version_at desc, b.batch_id desc
    limit 1
) as latest
cross join lateral (
    select percentile_cont(0.5) within group (order by quality_score) as median, count(*) as batches
    from (
        select b.quality_score
        from ops.batch as b
        inner join ops.delivery as d using (delivery_id)
        where
            b.source_id = s.source_id and b.state = 'published' and not b.is_released
            and (d.version_at, b.batch_id) < (latest.version_at, latest.batch_id)
        order by d.version_at desc, b.batch_id desc
        limit 8
    ) as earlier
) as typical
"""
_HELD = f"""
select source_id, batch_id, name, first_day, last_day, quality_score, problem, held_since, newest_at, files
from (
    select
        b.source_id, b.batch_id, d.name, d.first_day, d.last_day, b.quality_score, b.problem,
        min(coalesce(b.held_since, b.finished_at)) over (partition by b.source_id) as held_since,
        max(coalesce(b.held_since, b.finished_at)) over (partition by b.source_id) as newest_at,
        count(*) over (partition by b.source_id) as files,
        row_number() over (partition by b.source_id order by d.version_at desc, b.batch_id desc) as place
    from ops.batch as b
    inner join ops.delivery as d using (delivery_id)
    where b.state = 'held' and b.source_id = any(%(sources)s)
) as held
where place <= {LISTED}
order by source_id, place
"""  # noqa: S608
_RULES = f"""
select batch_id, rule_id, rows_checked, rows_failed
from (
    select
        batch_id, rule_id, rows_checked, rows_failed,
        row_number() over (partition by batch_id order by is_critical desc, weight * (1 - share_met) desc) as place
    from ops.rule_result
    where batch_id = any(%(batches)s) and share_met < 1
) as broken
where place <= {LISTED}
order by batch_id, place
"""  # noqa: S608
_FAULTS = """
select source_id, kind, since, message from ops.source_fault
where source_id = any(%(sources)s) and (kind <> 'unreachable' or since <= %(unreachable_since)s)
"""
_KNOWN_SINCE = "select min(recorded_at) from ops.config_version where content->'sources' ? %s"


def wrong_now(connection: Connection, sources: Mapping[str, Source], messaging: Messaging, now: datetime) -> Conditions:
    """Return all that is wrong with these sources at `now`; with a disabled one nothing is."""
    collected = [one for one in sources.values() if not disabled_since(connection, one, now)]
    patience = timedelta(minutes=messaging.limits.unreachable_after_min)
    given = {"sources": [one.id for one in collected], "unreachable_since": now - patience}
    conditions = [
        *(
            Condition(row["source_id"], row["kind"], _fault(row, sources[row["source_id"]]))
            for row in _rows(connection, _FAULTS, given)
        ),
        *_of_batches(connection, given),
    ]
    undecided = set()
    for source in collected:
        state, facts = _age(connection, source, now)
        if state == "stale":
            conditions.append(Condition(source.id, "stale", facts))
        elif state == "quiet":
            undecided.add((source.id, "stale"))
    return Conditions({(one.source_id, one.kind): one for one in conditions}, undecided)


def _of_batches(connection: Connection, given: Row) -> Iterable[Condition]:
    """Yield what is wrong with the latest batch of each source, and the held ones."""
    parameters = connection.execute("select min_quality from ops.scoring_parameter").fetchone()
    min_quality = float(str(parameters[0])) if parameters else 0.0
    latest, held = _rows(connection, _LATEST, given), _rows(connection, _HELD, given)
    rules: dict[int, list[Row]] = {}
    for row in _rows(connection, _RULES, {"batches": [row["batch_id"] for row in [*latest, *held]]}):
        rules.setdefault(row.pop("batch_id"), []).append(row)
    for source_id in dict.fromkeys(row["source_id"] for row in held):
        batches = [row for row in held if row["source_id"] == source_id]
        told = [_file(row, rules) | {"problem": row["problem"]} for row in batches]
        first = batches[0]
        since, newest = _iso(first["held_since"]), _iso(first["newest_at"])
        yield Condition(source_id, "held", {"since": since, "newest": newest, "files": first["files"], "batches": told})
    for row in latest:
        facts = {"since": _iso(row["finished_at"]), "batches": [_file(row, rules)], "min_quality": min_quality}
        if row["format_drift"]:
            yield Condition(row["source_id"], "format_drift", facts | {"drift": row["format_drift"]})
        # Of a released batch a person knows, and has decided.
        if row["quality_score"] is None or row["is_released"]:
            continue
        if row["quality_score"] < min_quality:
            yield Condition(row["source_id"], "low_quality", facts)
        elif row["batches"] >= 3 and row["quality_score"] < row["median"] - FALL:
            median = round(row["median"], 1)
            yield Condition(row["source_id"], "quality_fell", facts | {"median": median, "of": row["batches"]})


def _age(connection: Connection, source: Source, now: datetime) -> tuple[str, Row]:
    found = health.freshness(connection, source, now)
    limit = timedelta(hours=source.freshness.fail_after_h)
    if found.data_until is None:
        # A source that is new has its time, too.
        row = connection.execute(_KNOWN_SINCE, [source.id]).fetchone()
        known_since = row[0] if row and isinstance(row[0], datetime) else now
        state = found.state if known_since + limit < now else "fresh"
        return state, {"since": _iso(known_since), "data_until": None, "last": None, "age_h": None}
    last = health.latest_deliveries(connection, source.id, limit=1) if found.state == "stale" else []
    return found.state, {
        "since": _iso(found.data_until),
        "data_until": _iso(found.data_until),
        # Whole days, so that what is remembered changes once a day.
        "age_h": round(found.age_h or 0),
        "last": {"name": last[0].name, "landed_at": _iso(last[0].landed_at)} if last else None,
    }


def _fault(row: Row, source: Source) -> Row:
    return {"since": _iso(row["since"]), "message": row["message"], "server": _server(source)}


def _server(source: Source) -> str | None:
    """Return what the sources of one server have in common; an address that is a secret is a variable's name."""
    match source.transport:
        case Sftp() as there:
            return f"{there.host}:{there.port}"
        case Http() as there:
            return there.base_url
        case SqlReplica() as there:
            return there.url
    return None


def _file(row: Row, rules: Mapping[int, list[Row]]) -> Row:
    return {
        "batch_id": row["batch_id"],
        "name": row["name"],
        "days": sorted({str(day) for day in (row["first_day"], row["last_day"]) if day}),
        "quality": None if row["quality_score"] is None else round(row["quality_score"], 1),
        "rules": rules.get(row["batch_id"], []),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _rows(connection: Connection, query: LiteralString, given: Row) -> list[Row]:
    return connection.cursor(row_factory=dict_row).execute(query, given).fetchall()
