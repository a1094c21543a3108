"""Which file comes when: every delivery of a world with its due time, late and corrected ones included.

The plan is a pure function of world and moment, without an end; what has been delivered is what lies in the served
folder.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from campus import feeds
from campus.world import FIRST_SNAPSHOT, World

LATE_BY, CORRECTED_BY = timedelta(days=4), timedelta(days=3)


@dataclass(frozen=True)
class Delivery:
    """A file of a source about a day: its path below the SFTP root, when it comes, and what makes its bytes."""

    source_id: str
    day: int
    path: str
    due: datetime
    content: Callable[[], bytes]
    fault: str = ""  # "", late, corrected or bad_batch
    version: int = 1
    marker: bool = False  # an empty file of the same name and .done follows


def deliveries(world: World, now: datetime) -> Iterator[Delivery]:
    """Yield every file that is due by `now` (with a zone), by the day it is about."""
    # A day's files come after it.
    for day in range(FIRST_SNAPSHOT, world.day_of(now)):
        yield from (delivery for delivery in _of_day(world, day) if delivery.due <= now)


def _of_day(world: World, day: int) -> Iterator[Delivery]:
    stamp, due, faults = f"{world.date(day):%Y%m%d}", world.due(day), world.faults
    for source, writer in (("students", feeds.students), ("enrolments", feeds.enrolments)):
        yield Delivery(source, day, f"student_records/{source}_{stamp}.csv", due, partial(writer, world, day))
    if (day - FIRST_SNAPSHOT) % world.days == 0:
        path = f"student_records/term_calendar_{stamp}.csv"
        yield Delivery("term_calendar", day, path, due, partial(feeds.term_calendar, world, day))
    if day < 0:
        return
    late, corrected, bad = day == faults.late_day, day == faults.corrected_day, day == faults.bad_gate_day
    path, writer = f"attendance/attendance_{stamp}", feeds.attendance
    came = due + LATE_BY if late else due
    yield Delivery("attendance", day, f"{path}.csv", came, partial(writer, world, day), "late" if late else "")
    if corrected:
        content = partial(writer, world, day, 2)
        yield Delivery("attendance", day, f"{path}_v2.csv", due + CORRECTED_BY, content, "corrected", version=2)
    path, content = f"library/gates_{stamp}.csv", partial(feeds.gates, world, day)
    yield Delivery("library_gates", day, path, due, content, "bad_batch" if bad else "", marker=True)


def deliver(delivery: Delivery, root: Path) -> bool:
    """Write a file below `root`, whole at once and dated when it was due; false if it is there already."""
    target = root / delivery.path
    last = target.with_name(f"{target.name}.done") if delivery.marker else target
    if last.exists():
        return False
    _put(target, delivery.content(), delivery.due, root)
    if delivery.marker:
        _put(last, b"", delivery.due, root)
    return True


def _put(target: Path, content: bytes, at: datetime, root: Path) -> None:
    """Write a file so that nobody ever sees a part of it, with `at` as its modification time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder that is served, not in it: a listing never shows the half-written name.
    part = root.with_name(f".{target.name}.part")
    part.write_bytes(content)
    os.utime(part, (at.timestamp(), at.timestamp()))
    part.replace(target)
