"""The truth of silence: who triggered No Digital Activity and when, by what people really did.

Counted by day from arrays of students and days, independent of what was delivered and of how the warehouse finds it.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime

import numpy as np

from campus.systems import Feed
from campus.systems.registry import FEEDS
from campus.world import Bools, World

LENGTH = 7


def triggers(active: Bools, counts: Bools, exempt: Bools, length: int = LENGTH) -> Iterator[tuple[int, int]]:
    """Yield student and day number of every notification, in order of days.

    Arrays of student x day: did something digital; is here, in term and not exempt; is exempt, with a day more.
    """
    silent = np.zeros(len(active), np.int64)
    for day in range(active.shape[1]):
        silent = np.where(active[:, day] | ~counts[:, day], 0, silent + 1)
        due = silent == length
        silent[due] = 0
        for student in np.flatnonzero(due & ~exempt[:, day + 1]).tolist():
            yield student, day + 1


def silences(
    world: World, now: datetime, digital: Collection[str], feeds: Sequence[Feed] = FEEDS
) -> set[tuple[str, date]]:
    """Return student and trigger date of every No Digital Activity that a world's students triggered up to `now`.

    `digital`: the ids of the sources with `digital: true`. What did not come, or was held, is in it: of these days a
    notification can only be held, so whoever is in this set is to be raised or held, and nobody else raised.
    """
    days = world.day_of(now)
    shape = (world.students, days)
    active, present, exempt = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros((shape[0], days + 1), bool)
    asked = [feed for feed in feeds if feed.source_id in digital and feed.done]
    for day in range(days):
        present[:, day] = world.present(day)
        for feed in asked:
            if feed.done and day >= feed.first_day(world):
                active[feed.done(world, day).who, day] = True
    for one in world.exemptions:
        exempt[one.student, max(one.begins, one.created + 1) : one.ends + 1] = True
    ids = world.population.student_id
    found = triggers(active, present & ~exempt[:, :days], exempt)
    return {(ids[student], world.date(day)) for student, day in found}
