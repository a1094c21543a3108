"""What really happened, as the marts must show it: the known truth of a world, and a comparison with what a mart holds.

Derived from what each system of the campus says was done, never from the files that were delivered.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from campus import plan
from campus.systems import Done, Feed
from campus.systems.registry import FEEDS
from campus.world import AWAY, NEVER, Ints, World

NOBODY = np.empty(0, np.int64)
NEVER_S = 2**62


class Daily(NamedTuple):
    """A row of daily activity: one student, day and source."""

    student_id: str
    activity_date: date
    source_id: str
    category: str
    interactions: int
    events: int
    first_at: datetime | None
    last_at: datetime | None
    expected: int
    attended: int


def daily_activity(world: World, now: datetime, feeds: Sequence[Feed] = FEEDS) -> Iterator[Daily]:
    """Yield daily activity as it stands once all that was delivered up to `now` is published, bad batches held."""
    versions: dict[str, dict[int, int]] = defaultdict(dict)
    for d in plan.deliveries(world, now, feeds):
        if d.fault != "bad_batch":
            versions[d.source_id][d.day] = max(d.version, versions[d.source_id].get(d.day, 0))
    for day in range(world.day_of(now) + 1):
        for feed in feeds:
            version = versions[feed.source_id].get(day) if feed.files else 1
            if feed.done is None or day < feed.first_day(world) or version is None:
                continue
            does = feed.corrected if version > 1 and feed.corrected else feed.done
            yield from _per_student(world, day, feed, _until(now, does(world, day)))


def _until(now: datetime, done: Done) -> Done:
    seen = done.at < now.timestamp()
    return done._replace(
        who=done.who[seen], at=done.at[seen], quantity=None if done.quantity is None else done.quantity[seen]
    )


def _per_student(world: World, day: int, feed: Feed, done: Done) -> Iterator[Daily]:
    """Yield a row for each student who did something or was expected."""
    n, (who, at, quantity, expected, attended) = world.students, done
    events = np.bincount(who, minlength=n)
    amount = events if quantity is None else np.bincount(who, quantity, n).astype(np.int64)
    must, came = (np.bincount(NOBODY if some is None else some, minlength=n) for some in (expected, attended))
    first, last = np.full(n, NEVER_S), np.zeros(n, np.int64)
    np.minimum.at(first, who, at)
    np.maximum.at(last, who, at)
    ids, on = world.population.student_id, world.date(day)
    for i in np.flatnonzero((amount > 0) | (must > 0)).tolist():
        times = [datetime.fromtimestamp(int(second[i]), UTC) if events[i] else None for second in (first, last)]
        yield Daily(
            ids[i], on, feed.source_id, feed.category, int(amount[i]), int(events[i]), times[0], times[1],
            int(must[i]), int(came[i]),
        )  # fmt: skip


def summary(world: World, now: datetime, feeds: Sequence[Feed] = FEEDS) -> dict[str, object]:
    """Return who fell silent, left or got a new badge and which files and rows were faulty, as known up to `now`."""
    p, today = world.population, world.day_of(now)

    def who(since: Ints) -> list[dict[str, str]]:
        rows = np.flatnonzero(since <= today).tolist()
        return [{"student_id": p.student_id[i], "from": world.date(int(since[i])).isoformat()} for i in rows]

    came = sorted(plan.deliveries(world, now, feeds), key=lambda d: d.due)
    broken = {feed.source_id: feed.bad_rows for feed in feeds if feed.bad_rows}
    bad_rows = [
        {"source_id": d.source_id, "day": str(world.date(d.day)), "file": d.path, "line": line, "kind": kind}
        for d in came if d.source_id in broken
        for line, kind in broken[d.source_id](world, d.day, d.version)
    ]  # fmt: skip
    return {
        "now": now.isoformat(),
        "first_monday": str(world.first_monday),
        "students": world.students,
        "weeks": world.weeks,
        "seed": world.seed,
        "silent": who(p.silent_from),
        "exemptions": [
            {"student_id": p.student_id[e.student], "type": e.kind,
             "from": str(world.date(e.begins)), "to": str(world.date(e.ends))}
            for e in world.exemptions if e.created <= today
        ],
        "withdrawals": who(np.where(p.away == _kind("withdrawn"), p.away_from, NEVER)),
        "away": [
            {"student_id": p.student_id[i], "status": AWAY[p.away[i]][0],
             "from": str(world.date(int(p.away_from[i]))), "to": str(world.date(int(p.away_to[i])))}
            for i in np.flatnonzero((p.away > _kind("withdrawn")) & (p.away_from <= today)).tolist()
        ],
        "badge_reissues": who(p.reissued_from),
        "files": [
            {"source_id": d.source_id, "day": str(world.date(d.day)), "file": d.path, "fault": d.fault,
             "delivered_at": d.due.isoformat()}
            for d in came if d.fault
        ],
        "bad_rows": bad_rows,
    }  # fmt: skip


def _kind(status: str) -> int:
    return [name for name, _, _ in AWAY].index(status)


def write(world: World, now: datetime, folder: Path, feeds: Sequence[Feed] = FEEDS) -> None:
    """Write truth.json and daily_activity.csv into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(summary(world, now, feeds), indent=1) + "\n")
    with (folder / "daily_activity.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Daily._fields)
        rows.writerows(daily_activity(world, now, feeds))


def read_daily(path: Path) -> list[Daily]:
    """Read a daily_activity.csv."""
    with path.open(newline="") as file:
        return [
            Daily(r["student_id"], date.fromisoformat(r["activity_date"]), r["source_id"],
                  r["category"], int(r["interactions"]), int(r["events"]),
                  _instant(r["first_at"]), _instant(r["last_at"]),
                  int(r["expected"]), int(r["attended"]))
            for r in csv.DictReader(file)
        ]  # fmt: skip


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def compare_daily(truth_rows: Iterable[Daily], mart_rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Say where a mart differs from the truth: a line per source and day, with counts and no personal values.

    Mart rows have the columns of `Daily` in that order; null in expected or attended is 0. An empty list means that
    they are equal.
    """
    wanted = {tuple(row[:3]): tuple(row[3:]) for row in truth_rows}
    found: dict[tuple[object, ...], tuple[object, ...]] = {}
    differences: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in mart_rows:
        key = tuple(row[:3])
        if key in found:
            differences[str(key[2]), str(key[1])]["there twice"] += 1
        found[key] = (*row[3:8], *(value or 0 for value in row[8:]))
    for key in wanted.keys() | found.keys():
        if key not in found:
            what = ["missing"]
        elif key not in wanted:
            what = ["not in the truth"]
        else:
            pairs = zip(Daily._fields[3:], wanted[key], found[key], strict=True)
            what = [f"with another {column}" for column, known, mine in pairs if known != mine]
        differences[str(key[2]), str(key[1])].update(what)
    return [
        f"{source} {day}: " + ", ".join(f"{n} rows {what}" for what, n in sorted(kinds.items()))
        for (source, day), kinds in sorted(differences.items())
        if kinds
    ]
