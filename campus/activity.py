"""Tables of what students do, and when they usually do it: what the systems of the campus have in common.

Any day can be made without the days before it, so no more than a day is in memory. What is done in a system, and how
that is written, is in `systems`.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from campus.world import Bools, Ints, World

# Monday to Sunday
WEEKDAY = [1.2, 1.2, 1.2, 1.1, 0.9, 0.4, 0.5]


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


def acts(world: World, day: int, key: int, rate: float, first: int = 8, last: int = 22) -> tuple[Ints, Ints]:
    """Return who did something and when, in order of time: students and seconds of the day's clock.

    About `rate` times a student and day, between the hours `first` and `last`: the keener do more, and those who are
    silent or away nothing. `key` sets the random numbers of one purpose apart from others'.
    """
    rng, p = world.rng(key, day), world.population
    usual = rate * WEEKDAY[day % 7] * np.exp(0.4 * p.level)
    count = np.where(world.present(day) & (p.silent_from > day), rng.poisson(usual), 0)
    student = np.repeat(np.arange(world.students), count)
    second = rng.integers(first * 3600, last * 3600, len(student))
    order = np.lexsort((student, second))
    return student[order], second[order]


def first_of_chains(student: Ints, second: Ints, within: int) -> Bools:
    """Return which acts are not within so many seconds of the same student's act before."""
    order = np.lexsort((second, student))
    is_first = np.ones(len(student), bool)
    later = order[1:]
    is_first[later] = (student[later] != student[order[:-1]]) | (second[later] - second[order[:-1]] > within)
    return is_first
