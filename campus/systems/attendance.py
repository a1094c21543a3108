"""The attendance register: a list of every session of the day with who was expected and who came, by SFTP.

Complete for the day it names; some come late, one is corrected, and a few rows are broken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from campus.activity import Table
from campus.systems import Delivery, Done, Feed
from campus.world import Bools, Ints, World

LATE_BY, CORRECTED_BY = timedelta(days=4), timedelta(days=3)
HEADER = "Event Id,Student Number,Session Start,Session End,Session Type,Mandatory,Attended,Late,Recorded At"
FAULTS = ["", "impossible_date", "truncated"]


@dataclass(frozen=True)
class Register(Table):
    """A student's place in a session; `recorded` is minutes after the day's midnight, `fault` 0 or its kind from 1."""

    session: Ints
    attended: Bools
    late: Bools
    recorded: Ints
    fault: Ints


def register(world: World, day: int, version: int = 1) -> Register:
    """Return the sessions expected of students on the day, by session and student; version 2 is the corrected list."""
    rng, p = world.rng(2, day), world.population
    sessions = [s for s in world.timetable if s.weekday == day % 7]
    student = np.concatenate([np.empty(0, np.int64), *[s.students for s in sessions]])
    session = np.repeat([s.number for s in sessions], [len(s.students) for s in sessions]).astype(np.int64)
    expected = world.present(day)[student]
    student, session = student[expected], session[expected]
    n = len(student)
    likely = 1 / (1 + np.exp(-(1.6 + 0.9 * p.level[student])))
    attended = (rng.random(n) < likely) & (p.silent_from[student] > day)
    starts = np.array([s.start for s in world.timetable])[session]
    ends = starts + np.array([s.minutes for s in world.timetable])[session]
    table = Register(
        student=student,
        session=session,
        attended=attended,
        late=attended & (rng.random(n) < 0.08),
        recorded=np.where(attended, starts + rng.integers(-5, 15, n), ends),
        fault=np.zeros(n, np.int64),
    )
    kinds = [kind for at, kind in world.faults.bad_rows if at == day]
    if kinds and n:
        table.fault[-1 if "truncated" in kinds else n // 2] = FAULTS.index(kinds[0])
    return _corrected(world, day, table) if version > 1 and n > 1 else table


def _corrected(world: World, day: int, table: Register) -> Register:
    """Return the list as corrected: some marks the other way round, one row gone, one student more in a session."""
    rng = world.rng(3, day)
    later = 60 * 24 * 2 + 600
    awake = world.population.silent_from > day
    changed = rng.permutation(np.flatnonzero(awake[table.student]))[: 2 + len(table) // 40]
    attended, late, recorded = table.attended.copy(), table.late.copy(), table.recorded.copy()
    attended[changed], late[changed], recorded[changed] = ~attended[changed], False, later
    table = replace(table, attended=attended, late=late, recorded=recorded)
    outside = np.setdiff1d(np.flatnonzero(world.present(day) & awake), table.student)
    added = replace(table.take(np.zeros(len(outside[:1]), np.int64)), student=outside[:1])
    rows = np.arange(len(table)) != rng.integers(1, len(table))
    return table.take(rows).joined(added)


def content(world: World, day: int, version: int = 1) -> bytes:
    """Return the attendance list of the day: CRLF, local times without zone; faulty rows are written broken."""
    table, ids = register(world, day, version), world.population.student_id
    start_of_day = datetime.combine(world.date(day), datetime.min.time())

    def clock(minutes: int) -> str:
        return (start_of_day + timedelta(minutes=minutes)).strftime("%d/%m/%Y %H:%M")

    sessions = {
        s.number: (clock(s.start), clock(s.start + s.minutes), f"{s.kind},{'Yes' if s.mandatory else 'No'}")
        for s in world.timetable
    }
    times = {m: clock(m) for m in np.unique(table.recorded).tolist()}
    lines = [HEADER]
    for student, session, attended, late, recorded in zip(
        *(c.tolist() for c in (table.student, table.session, table.attended, table.late, table.recorded)), strict=True
    ):
        start, end, kind = sessions[session]
        lines.append(
            f"{world.date(day):%y%m%d}{session:03d}{student:06d},{ids[student]},{start},{end},{kind},"
            f"{'Yes' if attended else 'No'},{'Yes' if late else 'No'},{times[recorded]}"
        )
    for row in np.flatnonzero(table.fault).tolist():
        fields = lines[row + 1].split(",")
        if FAULTS[table.fault[row]] == "impossible_date":
            fields[2] = "31/02" + fields[2][5:]
            lines[row + 1] = ",".join(fields)
        else:
            lines[row + 1] = ",".join(fields[:4])
    return "".join(line + "\r\n" for line in lines).encode()


def files(world: World, day: int) -> Iterable[Delivery]:
    if day < 0:
        return
    path, due = f"attendance/attendance_{world.date(day):%Y%m%d}", world.due(day)
    late = day == world.faults.late_day
    first = partial(content, world, day)
    yield Delivery("attendance", day, f"{path}.csv", due + late * LATE_BY, first, "late" * late)
    if day == world.faults.corrected_day:
        second = partial(content, world, day, 2)
        yield Delivery("attendance", day, f"{path}_v2.csv", due + CORRECTED_BY, second, "corrected", version=2)


def done(world: World, day: int, version: int = 1) -> Done:
    table = register(world, day, version)
    table = table.take(table.fault == 0)
    starts = world.clock(day) + 60 * np.array([s.start for s in world.timetable])
    must = np.array([s.mandatory for s in world.timetable])[table.session]
    came = table.take(table.attended)
    return Done(
        came.student, starts[came.session], expected=table.student[must], attended=table.student[table.attended & must]
    )


def bad_rows(world: World, day: int, version: int) -> list[tuple[int, str]]:
    fault = register(world, day, version).fault
    # Lines count from 1, and the first is the header.
    return [(row + 2, FAULTS[fault[row]]) for row in np.flatnonzero(fault).tolist()]


FEEDS = [
    Feed(
        "attendance",
        "attendance",
        files=files,
        done=done,
        corrected=partial(done, version=2),
        bad_rows=bad_rows,
        is_adopted=False,
    )
]
