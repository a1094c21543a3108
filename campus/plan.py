"""Which file comes when: every delivery of a world with its due time, late and corrected ones included.

The plan is a pure function of world and moment, without an end; what has been delivered is what lies in the served
folder.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from campus.systems import Delivery, Feed
from campus.systems.registry import FEEDS
from campus.world import FIRST_SNAPSHOT, World


def deliveries(world: World, now: datetime, feeds: Sequence[Feed] = FEEDS) -> Iterator[Delivery]:
    """Yield every file that is due by `now` (with a zone), by the day it is about."""
    # A day's files come after it.
    for day in range(FIRST_SNAPSHOT, world.day_of(now)):
        for feed in feeds:
            if feed.files and day >= feed.first_day(world):
                yield from (delivery for delivery in feed.files(world, day) if delivery.due <= now)


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
