"""What really happened, as the marts must show it: the known truth of a world, and a comparison with what a mart holds.

Derived from the tables of `activity`, never from the files that were delivered.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from campus import activity, plan
from campus.world import AWAY, NEVER, ZONE, Ints, World

NOBODY = np.empty(0, np.int64)
NEVER_S = 2**62


CATEGORIES = {"attendance": "attendance", "vle": "vle", "library_gates": "library_access"}


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


def daily_activity(world: World, now: datetime) -> Iterator[Daily]:
    """Yield daily activity as it stands once all that was delivered up to `now` is published, bad batches held."""
    came = list(plan.deliveries(world, now))
    versions = {d.day: d.version for d in came if d.source_id == "attendance"}
    gates = {d.day for d in came if d.source_id == "library_gates" and d.fault != "bad_batch"}
    mandatory = np.array([s.mandatory for s in world.timetable])
    starts = 60 * np.array([s.start for s in world.timetable])
    for day in range(world.day_of(now) + 1):
        # Sessions and swipes are written in clock time; all of them are later than any change of the clocks.
        clock = int(datetime.combine(world.date(day), time(12), ZONE).timestamp()) - 12 * 3600
        if day in versions:
            table = activity.attendance(world, day, versions[day])
            table = table.take(table.fault == 0)
            at, must = clock + starts[table.session], mandatory[table.session]
            expected, attended = table.student[must], table.student[table.attended & must]
            there = table.attended
            yield from _per_student(world, day, "attendance", table.student[there], at[there], expected, attended)
        events = activity.vle(world, day)
        at = int(world.start(day).timestamp()) + events.second
        seen = (at < now.timestamp()) & ~events.login_as
        yield from _per_student(world, day, "vle", events.student[seen], at[seen])
        if day in gates:
            swipes = activity.library(world, day)
            entered = swipes.entry & ~swipes.repeated
            yield from _per_student(
                world, day, "library_gates", swipes.student[entered], clock + swipes.second[entered]
            )


def _per_student(
    world: World, day: int, source_id: str, who: Ints, at: Ints, expected: Ints = NOBODY, attended: Ints = NOBODY
) -> Iterator[Daily]:
    """Yield a row for each student who did something or was expected; `at` is when `who` did it, in epoch seconds."""
    counts = np.stack([np.bincount(students, minlength=world.students) for students in (who, expected, attended)])
    first, last = np.full(world.students, NEVER_S), np.zeros(world.students, np.int64)
    np.minimum.at(first, who, at)
    np.maximum.at(last, who, at)
    ids, on = world.population.student_id, world.date(day)
    for i in np.flatnonzero(counts.any(axis=0)).tolist():
        events, must, came = counts[:, i].tolist()
        times = [datetime.fromtimestamp(int(second[i]), UTC) if events else None for second in (first, last)]
        # One event is one interaction in all of the campus's feeds.
        yield Daily(ids[i], on, source_id, CATEGORIES[source_id], events, events, times[0], times[1], must, came)


def summary(world: World, now: datetime) -> dict[str, object]:
    """Return who fell silent, left or got a new badge and which files and rows were faulty, as known up to `now`."""
    p, today = world.population, world.day_of(now)

    def who(since: Ints) -> list[dict[str, str]]:
        rows = np.flatnonzero(since <= today).tolist()
        return [{"student_id": p.student_id[i], "from": world.date(int(since[i])).isoformat()} for i in rows]

    came = sorted(plan.deliveries(world, now), key=lambda d: d.due)
    bad_rows = []
    for d in came:
        if d.source_id == "attendance" and (fault := activity.attendance(world, d.day, d.version).fault).any():
            row = int(np.flatnonzero(fault)[0])
            kind = activity.FAULTS[fault[row]]
            # Lines count from 1, and the first is the header.
            bad_rows.append({"source_id": d.source_id, "day": str(world.date(d.day)), "file": d.path,
                             "line": row + 2, "kind": kind})  # fmt: skip
    return {
        "now": now.isoformat(),
        "first_monday": str(world.first_monday),
        "students": world.students,
        "weeks": world.weeks,
        "seed": world.seed,
        "silent": who(p.silent_from),
        "exemptions": [],
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


def write(world: World, now: datetime, folder: Path) -> None:
    """Write truth.json and daily_activity.csv into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(summary(world, now), indent=1) + "\n")
    with (folder / "daily_activity.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Daily._fields)
        rows.writerows(daily_activity(world, now))


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
