"""What really happened, as the marts must show it: the known truth of a world, and a comparison with what a mart holds.

Derived from the tables of `activity`, never from the files that were delivered.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from campus import activity, plan
from campus.world import AWAY, NEVER, Ints, World


class Daily(NamedTuple):
    """A row of daily activity: one student, day and source."""

    student_id: str
    activity_date: date
    source_id: str
    interactions: int
    expected: int
    attended: int


def daily_activity(world: World, now: datetime) -> Iterator[Daily]:
    """Yield daily activity as it stands once all that was delivered up to `now` is published, bad batches held."""
    came = [d for d in plan.deliveries(world) if d.due <= now]
    versions = {d.day: d.version for d in came if d.source_id == "attendance"}
    gates = {d.day for d in came if d.source_id == "library_gates" and d.fault != "bad_batch"}
    for day in range(world.days):
        if day in versions:
            table = activity.attendance(world, day, versions[day])
            table = table.take(table.fault == 0)
            mandatory = np.array([s.mandatory for s in world.timetable])[table.session]
            marks = (table.attended, mandatory, table.attended & mandatory)
            yield from _per_student(world, day, "attendance", *(table.student[m] for m in marks))
        events = activity.vle(world, day)
        happened = world.start(day).timestamp() + events.second < now.timestamp()
        yield from _per_student(world, day, "vle", events.student[happened & ~events.login_as])
        if day in gates:
            swipes = activity.library(world, day)
            yield from _per_student(world, day, "library_gates", swipes.student[swipes.entry & ~swipes.repeated])


def _per_student(world: World, day: int, source_id: str, *students: Ints) -> Iterator[Daily]:
    """Count interactions, expected and attended (the last two may be absent) and leave out who has none of them."""
    counts = np.zeros((3, world.students), np.int64)
    for row, who in enumerate(students):
        counts[row] = np.bincount(who, minlength=world.students)
    ids, on = world.population.student_id, world.date(day)
    for i in np.flatnonzero(counts.any(axis=0)).tolist():
        interactions, expected, attended = counts[:, i].tolist()
        yield Daily(ids[i], on, source_id, interactions, expected, attended)


def summary(world: World, now: datetime) -> dict[str, object]:
    """Return who fell silent, left or got a new badge and which files and rows were faulty, as known up to `now`."""
    p, today = world.population, world.day_of(now)

    def who(since: Ints) -> list[dict[str, str]]:
        rows = np.flatnonzero(since <= min(today, world.days)).tolist()
        return [{"student_id": p.student_id[i], "from": world.date(int(since[i])).isoformat()} for i in rows]

    came = sorted((d for d in plan.deliveries(world) if d.due <= now), key=lambda d: d.due)
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
                  int(r["interactions"]), int(r["expected"]), int(r["attended"]))
            for r in csv.DictReader(file)
        ]  # fmt: skip


def compare_daily(truth_rows: Iterable[Daily], mart_rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Say where a mart differs from the truth: a line per source and day, with counts and no personal values.

    Mart rows are (student_id, activity_date, source_id, interactions, expected, attended); a null count is 0. An empty
    list means that they are equal.
    """
    wanted = {tuple(row[:3]): tuple(row[3:]) for row in truth_rows}
    found: dict[tuple[object, ...], tuple[object, ...]] = {}
    differences: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in mart_rows:
        key = tuple(row[:3])
        if key in found:
            differences[str(key[2]), str(key[1])]["there twice"] += 1
        found[key] = tuple(int(str(value or 0)) for value in row[3:6])
    for key in wanted.keys() | found.keys():
        if key not in found:
            what = "missing"
        elif key not in wanted:
            what = "not in the truth"
        elif wanted[key] != found[key]:
            what = "with other numbers"
        else:
            continue
        differences[str(key[2]), str(key[1])][what] += 1
    return [
        f"{source} {day}: " + ", ".join(f"{n} rows {what}" for what, n in sorted(kinds.items()))
        for (source, day), kinds in sorted(differences.items())
    ]
