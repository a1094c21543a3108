"""One university measured: a term and a night, by the floor and by ours, stage by stage, and what memory it took.

Both sides work on the same server in the same run, and nothing counts before both say the same. How the figures are
shown is report.py's.
"""

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import equal, floor
from benchmarks.generator import FEEDS, Size
from benchmarks.installation import Installation, installed
from engage.warehouse import Connection, connect

GATE = ("load", "audit", "publish")
DAYS = (*GATE, "daily activity", "activity windows", "daily rating", "silence")
"""The stages of a run in which no week ends."""
STAGES = (*DAYS, "weekly score", "trends", "explanation")
_MODELS = {
    "daily_activity": "daily activity",
    "activity_windows": "activity windows",
    "daily_rating": "daily rating",
    "weekly_score": "weekly score",
    "weekly_score_revision": "weekly score",
    "peer_set_score": "weekly score",
    "score_trend": "trends",
    "score_distribution": "trends",
    "weekly_score_part": "explanation",
    "weekly_score_source": "explanation",
}
"""Which stage a model belongs to; an intermediate one to the first of _INTERMEDIATE that its name begins with."""
_INTERMEDIATE = {
    "int_day_engagement": "daily rating",
    "int_day_": "activity windows",
    "int_inactivity_fact": None,
    "int_inactivity": "silence",
    "int_quiet_": "silence",
    "int_evidence_": "silence",
    "int_student_trace": "trends",
    **dict.fromkeys(("int_case", "int_contact", "int_ladder_", "int_rule_", "int_working_"), None),
}
_WRITTEN = "9999-01-01"


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def stage_of(model: str) -> str | None:
    """Return the stage of a model; None for one that the floor has no counterpart of."""
    if model.startswith("int_"):
        return next((stage for start, stage in _INTERMEDIATE.items() if model.startswith(start)), "weekly score")
    return _MODELS.get(model)


def stages(report: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each stage of a run that production.py measured."""
    found = dict.fromkeys(STAGES, 0.0) | {stage: report["parts"].get(stage, 0.0) for stage in (*GATE, "silence")}
    for model, seconds in report["models"].items():
        if stage := stage_of(model):
            found[stage] += seconds
    return found


def measure(installation: Installation) -> dict[str, Any]:
    """Let a term and then a night arrive, and let both sides work on them; return what was found.

    Raises DifferentError.
    """
    size, found = installation.size, {}
    with connect(installation.url, autocommit=True) as connection:
        floor.prepare(connection)
        floor.prepare_marts(connection)
        for name, days, weeks in (
            ("term", size.history, size.weeks[:-1]),
            ("night", [size.night], size.weeks[-1:]),
        ):
            began = time.monotonic()
            content = installation.deliver(installation.url, days)
            took = time.monotonic() - began
            say(f"{size.students:,} students, {name}: {content / 1e6:,.0f} MB written in {took:.0f} s")
            by_hand = floor.take_in(connection, installation.drop, FEEDS, days, _WRITTEN)
            by_hand |= floor.marts(connection, days, weeks, is_night=name == "night")
            say(f"  floor: {sum(by_hand.values()):.1f} s")
            report = installation.run(days[-1])
            by_us = stages(report)
            say(f"  ours: {sum(by_us.values()):.1f} s of work, {report['seconds']:.1f} s in all")
            _all_published(connection)
            found[name] = {
                "files": len(days) * len(FEEDS),
                "weeks": len(weeks),
                "bytes": content,
                "floor": by_hand,
                "ours": by_us,
                "run": report,
            }
            # An installation in use has statistics; neither side is to meet what the other left to the disk.
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
        say("  comparing")
        equal.rows(connection, FEEDS)
        equal.marts(connection)
        query = "select sum(rows_accepted)::bigint from ops.batch where source_id = any(%s)"
        ((events,),) = connection.execute(query, [list(FEEDS)]).fetchall()
    return {"students": size.students, "days": size.days, "events": events, **found}


def measure_empty(server: str, folder: Path) -> dict[str, Any]:
    """Return what production.py measured of a night that brings the same files without a row in them."""
    with installed(server, folder, "benchmark_empty", Size(1, 7, 0)) as installation:
        installation.deliver(installation.url, [installation.size.night])
        report = installation.run(installation.size.night)
        with connect(installation.url) as connection:
            _all_published(connection)
    return report


def _all_published(connection: Connection) -> None:
    query = "select source_id, count(*) from ops.batch where state <> 'published' group by source_id"
    found = connection.execute(query).fetchall()
    if found:
        raise equal.DifferentError(f"not published: {found}")
