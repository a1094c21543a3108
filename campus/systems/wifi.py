"""Campus Wi-Fi, nightly by SFTP: the RADIUS accounting of the day, a row per session of a device.

Several devices of a student overlap, some sessions are still open, and visitors come with other realms.
"""

import gzip
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from campus.activity import Table, acts
from campus.systems import Done, Feed
from campus.systems.files import cut_off, daily, table
from campus.world import Bools, Ints, World

REALM = "students.northbank.example"
VISITORS = ["staff.northbank.example", "visitor.northbank.example", "uni-zurich.example", "eduroam.other.example"]
SECOND_DEVICE_SHARE, OPEN_SHARE, VISITORS_PER_DAY = 0.4, 0.03, 12
HEADER = [
    *("radacctid", "username", "acctstarttime", "acctstoptime", "acctsessiontime", "calledstationid"),
    "acctterminatecause",
]


@dataclass(frozen=True)
class Sessions(Table):
    """Sessions by begin, in seconds of the day's clock; an open one has no length yet."""

    second: Ints
    length: Ints
    is_open: Bools


def sessions(world: World, day: int) -> Sessions:
    """Return the day's sessions of students."""
    rng = world.rng(31, day)
    student, second = acts(world, day, 32, 1.5, 8, 21)
    twice = np.flatnonzero(rng.random(len(student)) < SECOND_DEVICE_SHARE)
    student = np.concatenate([student, student[twice]])
    second = np.concatenate([second, second[twice] + rng.integers(0, 900, len(twice))])
    is_open = rng.random(len(student)) < OPEN_SHARE
    length = np.where(is_open, 0, rng.integers(60, 7200, len(student)))
    log = Sessions(student, second, length, is_open)
    return log.take(np.lexsort((student, second)))


def united(log: Sessions) -> Sessions:
    """Return one session for each time that a student is on the network, with however many devices."""
    kept: dict[int, int] = {}
    until, length = log.second + log.length, log.length.copy()
    is_first = np.ones(len(log), bool)
    for row, (who, begins, ends) in enumerate(
        zip(log.student.tolist(), log.second.tolist(), until.tolist(), strict=True)
    ):
        first = kept.get(who)
        if first is not None and begins <= log.second[first] + length[first]:
            length[first] = max(length[first], ends - log.second[first])
            is_first[row] = False
        else:
            kept[who] = row
    return replace(log, length=length).take(is_first)


def accounting(world: World, day: int) -> bytes:
    """Return the day's accounting, gzipped: times in UTC, user names in any letters."""
    log, rng, users = sessions(world, day), world.rng(33, day), world.population.username
    rows = [
        (who, begins, None if is_open else length)
        for who, begins, length, is_open in zip(
            *(c.tolist() for c in (log.student, log.second, log.length, log.is_open)), strict=True
        )
    ]
    names = [f"{users[who].upper() if loud else users[who]}@{REALM}" for (who, _, _), loud in
             zip(rows, rng.random(len(rows)) < 0.1, strict=True)]  # fmt: skip
    for n in range(VISITORS_PER_DAY):
        rows.append((-1, 36_000 + 600 * n, 1800))
        names.append(f"guest{n}@{VISITORS[n % len(VISITORS)]}")
    zero = world.clock(day)
    lines = []
    for number, ((_, begins, length), name) in enumerate(zip(rows, names, strict=True)):
        stop = "" if length is None else _utc(zero + begins + length)
        cause = "" if length is None else "User-Request"
        shown = "" if length is None else str(length)
        access_point = f"AP-{number % 40:03d}:eduroam"
        lines.append([f"{day}{number:06d}", name, _utc(zero + begins), stop, shown, access_point, cause])
    return gzip.compress(table(HEADER, lines), mtime=0)


def _utc(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


def done(world: World, day: int) -> Done:
    log = united(sessions(world, day))
    return Done(log.student, world.clock(day) + log.second)


FEEDS = [
    Feed("wifi", "other", files=daily("wifi", "wifi/radacct_{}.csv.gz", accounting, spoiled=(8, cut_off)), done=done)
]
