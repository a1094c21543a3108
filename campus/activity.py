"""What the students do on one day: sessions attended, VLE events, swipes at the library gate, as numpy tables.

Any day can be made without the days before it, so no more than a day is in memory. How it is written is in `feeds`.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from campus.world import Bools, Ints, World

# Monday to Sunday, and midnight to 23:00
VLE_WEEKDAY = [0.85, 0.87, 0.85, 0.83, 0.76, 0.50, 0.60]
LIBRARY_WEEKDAY = [1.2, 1.2, 1.2, 1.1, 0.8, 0.4, 0.6]
VLE_HOURS = np.array([3, 2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 10, 9, 10, 11, 10, 9, 8, 8, 9, 10, 9, 7, 5], dtype=float)
VLE_KINDS = [
    ("core", "viewed", "course"),
    ("mod_resource", "viewed", "resource"),
    ("mod_page", "viewed", "page"),
    ("mod_forum", "viewed", "forum"),
    ("mod_quiz", "viewed", "quiz"),
    ("mod_quiz", "attempted", "quiz"),
    ("mod_assign", "submitted", "assign"),
]
VLE_KIND_SHARES = [0.34, 0.26, 0.14, 0.10, 0.09, 0.05, 0.02]
LOGIN_AS_SHARE = 0.002
SITES = ["Main Library", "Law Library", "Médiathèque"]
DOUBLE_SWIPE_SHARE = 0.03
VLE_IDS_PER_DAY = 10_000_000
FAULTS = ["", "impossible_date", "truncated"]


@dataclass(frozen=True)
class Table:
    """Columns of equal length; `student` is the index into the population."""

    student: Ints

    def __len__(self) -> int:
        return len(self.student)

    def take(self, rows: Ints | Bools) -> Self:
        """Return the rows at these positions, or where true."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def joined(self, other: Self) -> Self:
        """Return these rows and then those of the other table."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return replace(self, **{name: np.concatenate(pair) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Attendance(Table):
    """A student's place in a session; `recorded` is minutes after the day's midnight, `fault` 0 or its kind from 1."""

    session: Ints
    attended: Bools
    late: Bools
    recorded: Ints
    fault: Ints


@dataclass(frozen=True)
class VleEvents(Table):
    """Events in order of `id` and of `second`, which counts from local midnight as time passes (not as clocks show)."""

    id: Ints
    second: Ints
    kind: Ints
    object: Ints
    login_as: Bools


@dataclass(frozen=True)
class Swipes(Table):
    """Rows of the gate log; `second` is the clock's time of day, `repeated` the second row of a double swipe."""

    second: Ints
    site: Ints
    entry: Bools
    repeated: Bools


def attendance(world: World, day: int, version: int = 1) -> Attendance:
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
    table = Attendance(
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


def _corrected(world: World, day: int, table: Attendance) -> Attendance:
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


def vle(world: World, day: int) -> VleEvents:
    """Return the day's VLE events, staff acting as a student included."""
    rng, p, n = world.rng(4, day), world.population, world.students
    # The keener come on more days and do more when they come.
    comes = rng.random(n) < np.clip(VLE_WEEKDAY[day % 7] + 0.09 * p.level, 0.3, 0.99)
    many = 1 + rng.poisson(6 * np.exp(0.45 * p.level))
    count = np.where(comes & world.present(day) & (p.silent_from > day), many, 0)
    student = np.repeat(np.arange(n), count)
    total = len(student)
    hour = rng.choice(24, total, p=VLE_HOURS / VLE_HOURS.sum())
    # Days of 23 and 25 hours keep their rhythm; what is scaled never leaves the day.
    length = (world.start(day + 1).timestamp() - world.start(day).timestamp()) / 86_400
    second = ((hour * 3600 + rng.integers(0, 3600, total)) * length).astype(np.int64)
    order = np.argsort(second, kind="stable")
    return VleEvents(
        student=student[order],
        id=(day + 1) * VLE_IDS_PER_DAY + np.arange(total),
        second=second[order],
        kind=rng.choice(len(VLE_KINDS), total, p=VLE_KIND_SHARES),
        object=rng.integers(1, 5000, total),
        login_as=rng.random(total) < LOGIN_AS_SHARE,
    )


def library(world: World, day: int) -> Swipes:
    """Return the day's swipes in order of time: an exit after each entry, and now and then one swipe twice."""
    rng, p = world.rng(5, day), world.population
    rate = 0.2 * LIBRARY_WEEKDAY[day % 7] * np.exp(0.4 * p.level)
    visits = np.where(world.present(day) & (p.silent_from > day), np.minimum(rng.poisson(rate), 2), 0)
    morning, evening = np.flatnonzero(visits >= 1), np.flatnonzero(visits == 2)
    student = np.concatenate([morning, evening])
    # Hours between the two visits, so that no two genuine entries fall within a minute.
    begins = np.concatenate([rng.integers(28_800, 50_400, len(morning)), rng.integers(54_000, 79_200, len(evening))])
    site = rng.choice(len(SITES), len(student), p=[0.7, 0.2, 0.1])
    ends = begins + rng.integers(180, 3000, len(student))
    visit = np.arange(len(student))
    rows = np.concatenate([visit, visit])
    once = Swipes(
        student=student[rows],
        second=np.concatenate([begins, ends]),
        site=site[rows],
        entry=np.arange(len(rows)) < len(visit),
        repeated=np.zeros(len(rows), bool),
    )
    twice = once.take(rng.random(len(once)) < DOUBLE_SWIPE_SHARE)
    twice = replace(twice, second=twice.second + rng.integers(1, 21, len(twice)), repeated=np.ones(len(twice), bool))
    both = once.joined(twice)
    return both.take(np.lexsort((both.student, both.second)))
