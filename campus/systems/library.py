"""The library: its gates' log, loans and the log of its proxy, by SFTP, in the shape that Jisc asks for where it does.

Swipes are both ways, now and then twice; on the bad day most rows of the gates are unreadable.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from campus.activity import Table, acts, first_of_chains
from campus.systems import Delivery, Done, Feed
from campus.systems.files import daily, renamed, stamped, table
from campus.systems.student_records import badges_on
from campus.world import Bools, Ints, World

# Monday to Sunday
WEEKDAY = [1.2, 1.2, 1.2, 1.1, 0.8, 0.4, 0.6]
SITES = ["Main Library", "Law Library", "Médiathèque"]
DOUBLE_SWIPE_SHARE = 0.03
LOANS = ["USERNAME", "ITEM_ID", "ITEM_SUBTYPE", "BORROWING_SITE", "TIMESTAMP"]
PROXY = ["time", "user", "session", "host", "status"]
PUBLISHERS = ["www.jstor.example", "ieeexplore.example", "onlinelibrary.example"]
DOUBLE_CLICK_S = 30
"""Two requests within so many seconds are one use, says COUNTER's code of practice."""
GATES = "USERNAME;TIMESTAMP;TYPE;SITE;ACCESS_ID;DIRECTION_OF_ACCESS"


@dataclass(frozen=True)
class Swipes(Table):
    """Rows of the gate log; `second` is the clock's time of day, `repeated` the second row of a double swipe."""

    second: Ints
    site: Ints
    entry: Bools
    repeated: Bools


def swipes(world: World, day: int) -> Swipes:
    """Return the day's swipes in order of time: an exit after each entry, and now and then one swipe twice."""
    rng, p = world.rng(5, day), world.population
    rate = 0.2 * WEEKDAY[day % 7] * np.exp(0.4 * p.level)
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


def gates(world: World, day: int) -> bytes:
    """Return the gate log of the day: semicolons, Latin-1, a footer; on the bad day most rows are unreadable."""
    log, badges = swipes(world, day), badges_on(world, day)
    rng = world.rng(6, day)
    bad = day == world.faults.bad_gate_day
    garbled_badge, garbled_time = (rng.random((2, len(log))) < (0.75 if bad else 0.0)).tolist()
    columns = (log.student, log.second, log.site, log.entry)
    lines = [GATES]
    for (student, second, site, entry), no_badge, no_time in zip(
        zip(*(c.tolist() for c in columns), strict=True), garbled_badge, garbled_time, strict=True
    ):
        stamp = f"{world.date(day)} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        lines.append(
            f";{'0000-00-00 99:99:99' if no_time else stamp};gate;{SITES[site]};"
            f"{'?????' + str(second % 1000) if no_badge else badges[student]};{'I' if entry else 'O'}"
        )
    return "".join(line + "\n" for line in [*lines, f"TOTAL;{len(log)};;;;"]).encode("latin-1")


def gate_files(world: World, day: int) -> Iterable[Delivery]:
    if day >= 0:
        fault = "bad_batch" if day == world.faults.bad_gate_day else ""
        path, content = f"library/gates_{world.date(day):%Y%m%d}.csv", partial(gates, world, day)
        yield Delivery("library_gates", day, path, world.due(day), content, fault, marker=True)


def entries(world: World, day: int) -> Done:
    table = swipes(world, day)
    table = table.take(table.entry & ~table.repeated)
    return Done(table.student, world.clock(day) + table.second)


def loans(world: World, day: int) -> bytes:
    """Return the day's loans as the library system's spreadsheet export: UTF-16, tabs."""
    who, at, users = *_borrowed(world, day), world.population.username
    kinds = ["BOOK", "BOOK", "LAPTOP", "JOURNAL"]
    rows = [
        [
            users[i],
            f"{30_000_000 + 97 * n + day:08d}",
            kinds[n % 4],
            SITES[n % 3],
            stamped(world, day, second, "%Y-%m-%dT%H:%M:%S"),
        ]
        for n, (i, second) in enumerate(zip(who.tolist(), at.tolist(), strict=True))
    ]
    rows.append(["staff.librarian", "30000001", "BOOK", SITES[0], stamped(world, day, 36_000, "%Y-%m-%dT%H:%M:%S")])
    return table(LOANS, rows, "\t", "utf-16", "\r\n")


def _borrowed(world: World, day: int) -> tuple[Ints, Ints]:
    return acts(world, day, 7, 0.15, 9, 20)


def lent(world: World, day: int) -> Done:
    who, at = _borrowed(world, day)
    return Done(who, world.clock(day) + at)


def proxy_log(world: World, day: int) -> bytes:
    """Return the day's log of the proxy before the publishers' sites: tabs, epoch seconds, refusals too."""
    who, at, users, zero = *_asked(world, day), world.population.username, world.clock(day)
    rows = [
        [str(zero + second), users[i], f"s{n:05d}", PUBLISHERS[n % 3], "403" if _is_refused(n) else "200"]
        for n, (i, second) in enumerate(zip(who.tolist(), at.tolist(), strict=True))
    ]
    rows += [
        [str(zero + 40_000 + n), user, "s99999", PUBLISHERS[0], "200"] for n, user in enumerate(["-", "test.proxy"])
    ]
    return table(PROXY, rows, "\t")


def _asked(world: World, day: int) -> tuple[Ints, Ints]:
    who, at = acts(world, day, 8, 0.4, 7, 23)
    twice = np.arange(0, len(who), 9)
    who, at = np.concatenate([who, who[twice]]), np.concatenate([at, at[twice] + 12])
    order = np.lexsort((who, at))
    return who[order], at[order]


def _is_refused(number: int) -> bool:
    return number % 30 == 29


def read(world: World, day: int) -> Done:
    who, at = _asked(world, day)
    good = np.array([not _is_refused(n) for n in range(len(who))], bool)
    who, at = who[good], at[good]
    first = first_of_chains(who, at, DOUBLE_CLICK_S)
    return Done(who[first], world.clock(day) + at[first])


FEEDS = [
    Feed("library_gates", "library_access", files=gate_files, done=entries, is_adopted=False),
    Feed(
        "library_loans",
        "library_access",
        files=daily(
            "library_loans",
            "library/loans_{}.txt",
            loans,
            late=6,
            spoiled=(10, renamed("USERNAME", "PATRON", "utf-16-le")),
        ),
        done=lent,
    ),
    Feed(
        "library_eresources",
        "library_access",
        files=daily("library_eresources", "library/proxy_{}.log", proxy_log, late=2, again=7),
        done=read,
    ),
]
