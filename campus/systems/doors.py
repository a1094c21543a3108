"""Card doors of two sites, nightly by SFTP: each has its own controller, so columns, separator and times differ.

Both log staff cards and refusals, and cards held before the reader twice.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np

from campus.activity import Table, acts, first_of_chains
from campus.systems import Done, Feed
from campus.systems.files import cut_off, daily, stamped, table
from campus.systems.student_records import badges_on
from campus.world import ZONE, Bools, Ints, World

NORTH, SOUTH = 0, 1
DOORS = [["Chemie-Hörsaal", "Engineering Hub", "Library Annexe"], ["Arts Block", "Music Rooms", "Sports Hall"]]
DENIED_SHARE, TWICE_SHARE, STAFF_PER_DAY = 0.04, 0.03, 6
TWICE_WITHIN_S = 60


@dataclass(frozen=True)
class Swipes(Table):
    """Cards at the doors of a site; `student` from the number of students on are members of staff."""

    second: Ints
    door: Ints
    granted: Bools


def swipes(world: World, day: int, site: int) -> Swipes:
    """Return the day's log of a site in order of time."""
    rng = world.rng(21 + site, day)
    student, second = acts(world, day, 23 + site, 0.5)
    twice = np.flatnonzero(rng.random(len(student)) < TWICE_SHARE)
    staff = world.students + rng.integers(0, 40, STAFF_PER_DAY)
    student = np.concatenate([student, student[twice], staff])
    second = np.concatenate([second, second[twice] + 3, rng.integers(7 * 3600, 20 * 3600, STAFF_PER_DAY)])
    order = np.lexsort((student, second))
    n = len(order)
    return Swipes(student[order], second[order], rng.integers(0, 3, n), rng.random(n) >= DENIED_SHARE)


def _lines(world: World, day: int, site: int) -> list[tuple[str, int, str, bool]]:
    log, cards = swipes(world, day, site), badges_on(world, day) + [f"9{n:08d}" for n in range(40)]
    columns = (log.student.tolist(), log.second.tolist(), log.door.tolist(), log.granted.tolist())
    return [(cards[who], at, DOORS[site][door], ok) for who, at, door, ok in zip(*columns, strict=True)]


def north(world: World, day: int) -> bytes:
    """Return the log of the north site: semicolons, Latin-1, CRLF, European dates."""
    rows = [
        [card, door, stamped(world, day, at, "%d.%m.%Y %H:%M:%S"), "OK" if ok else "ABGELEHNT"]
        for card, at, door, ok in _lines(world, day, NORTH)
    ]
    return table(["Karte", "Tür", "Zeit", "Ergebnis"], rows, ";", "latin-1", "\r\n")


def south(world: World, day: int) -> bytes:
    """Return the log of the south site: commas, UTF-8 with BOM, times with their zone, a closing line."""
    zero = world.clock(day)
    rows = [
        [datetime.fromtimestamp(zero + at, ZONE).isoformat(), card, door, "Access Granted" if ok else "Access Denied"]
        for card, at, door, ok in _lines(world, day, SOUTH)
    ]
    header = ["EventTime", "CardNumber", "Reader", "Outcome"]
    return table(header, [*rows, [f"# {len(rows)} events"]], encoding="utf-8-sig")


def entries(site: int, world: World, day: int) -> Done:
    log = swipes(world, day, site)
    log = log.take(log.granted & (log.student < world.students))
    log = log.take(first_of_chains(log.student, log.second, TWICE_WITHIN_S))
    return Done(log.student, world.clock(day) + log.second)


FEEDS = [
    Feed(
        "doors_north",
        "library_access",
        files=daily("doors_north", "doors/north_{}.csv", north, late=3),
        done=partial(entries, NORTH),
    ),
    Feed(
        "doors_south",
        "library_access",
        files=daily("doors_south", "doors/south_{}.csv", south, spoiled=(3, cut_off)),
        done=partial(entries, SOUTH),
    ),
]
