"""Disclosure control: numbers about people are rounded, and hidden where others would give them away.

Rounding is HESA's: counts to the nearest 5, so that 0 stands for 0, 1 or 2. Pure functions; which numbers there are and
how they hang together is said by relations.py.

What may be shown is decided by counter-examples. A count of 0, 1 or 2 is safe if for each of these three there is
a world (whole numbers for all counts) in which it has that value, every relation holds and everything published is the
same: then nobody can narrow it down, by whatever reasoning. Integer programming looks for the worlds; each is checked
in whole numbers here, so that a fault of the solver can only hide too much. Where there is none, it says which numbers
to hide, the fewest and finest, for there to be one.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

STEP = 5
UNSEEN = 2
"""Counts up to this one are shown as 0."""
MIN_SHARE_BASE = 22.5
MIN_AVERAGE_BASE = 7
_NODES, _SECONDS = 5_000, 300.0
"""How far one search for a world goes; what is not found by then is hidden. In steps, so that a busy machine hides
no more than an idle one; the seconds are for a search that never ends."""

Key = Hashable
World = dict[Key, int]


@dataclass(frozen=True)
class Count:
    """A number of people or events, and whether anybody can read it."""

    exact: int
    is_shown: bool = True
    is_locked: bool = False
    """Shown by an earlier edition: cannot be hidden any more."""
    cost: float = 1.0
    """Of hiding it: the more people read it, the higher."""
    is_sensitive: bool = True
    """False: a sum of points, not a number of people."""

    @property
    def bounds(self) -> tuple[int, int | None]:
        """The least and the most that it can be by what is shown of it alone; None: anything."""
        if not self.is_shown:
            return 0, None
        shown = rounded(self.exact)
        return max(0, shown - STEP // 2), shown + STEP // 2

    @property
    def is_small(self) -> bool:
        """Say whether it must not be narrowed down."""
        return self.is_sensitive and self.exact <= UNSEEN


@dataclass(frozen=True)
class Relation:
    """What everybody knows of counts: a weighted sum of them is within bounds (both included; None: open)."""

    weights: Mapping[Key, int]
    least: int | None = 0
    most: int | None = 0

    def holds(self, world: Mapping[Key, int]) -> bool:
        """Say whether it is so in a world."""
        total = sum(weight * world[key] for key, weight in self.weights.items())
        return (self.least is None or total >= self.least) and (self.most is None or total <= self.most)


def rounded(number: float) -> int:
    """Return a number that is not negative to the nearest 5, halves up."""
    return int((number + STEP / 2) // STEP) * STEP


def share(numerator: float, base: int) -> int | None:
    """Return the share in whole per cent (halves up), None of fewer than 22.5 people.

    Both are rounded first, so it tells nothing that they do not: made from the exact ones, as HESA does, it would.
    """
    if base < MIN_SHARE_BASE:
        return None
    return int((200 * rounded(numerator) + rounded(base)) // (2 * rounded(base)))


def average(total: float, base: int) -> int | None:
    """Return the mean to the nearest 5, halves up; None of 7 people or fewer."""
    return None if base <= MIN_AVERAGE_BASE else int((total / base + STEP / 2) // STEP) * STEP


def to_hide(counts: Mapping[Key, Count], relations: Sequence[Relation]) -> set[Key]:
    """Return which counts must not be shown for every small one to be 0, 1 or 2 as far as anybody can tell.

    A relation that the exact numbers themselves do not obey (a published number has been corrected since) is left out.
    """
    if not any(count.is_small for count in counts.values()):
        return set()
    problem = _Problem(counts, relations)
    problem.find_worlds()
    return problem.hide()


def is_safe(counts: Mapping[Key, Count], relations: Sequence[Relation]) -> bool:
    """Say whether nothing need be hidden."""
    problem = _Problem(counts, relations)
    problem.find_worlds()
    return all(problem.world(key, value) is not None for key, value in problem.unmet())


class _Problem:
    """The counts as an integer programme; hiding one only ever adds worlds, so what has been found stays good."""

    def __init__(self, counts: Mapping[Key, Count], relations: Sequence[Relation]) -> None:
        exact = {key: count.exact for key, count in counts.items()}
        self.counts = dict(counts)
        self.relations = [relation for relation in relations if relation.holds(exact)]
        self.keys = list(counts)
        self.place = {key: place for place, key in enumerate(self.keys)}
        self.cap = 2 * max(exact.values()) + 10 * STEP
        self.wanted = {key: {0, 1, 2} for key, count in counts.items() if count.is_small}
        self._learn(exact)

    def unmet(self) -> list[tuple[Key, int]]:
        """Return small counts with the values for which there is no world yet."""
        return [(key, value) for key, values in self.wanted.items() for value in sorted(values)]

    def find_worlds(self) -> None:
        """Look for worlds that serve as many small counts as possible at once, as long as that pays."""
        for value in (0, 2, 1):
            while open_ := [key for key, values in self.wanted.items() if value in values]:
                world = self._solve({}, dict.fromkeys(open_, value), False)
                if world is None or self._learn(world) == 0:
                    break

    def world(self, key: Key, value: int) -> World | None:
        """Return a world in which a count has a value, everything shown being as it is."""
        return self._solve({key: value}, {}, False)

    def hide(self) -> set[Key]:
        """Find for every count and value without a world the cheapest to hide for there to be one."""
        hidden: set[Key] = set()
        for key, values in self.wanted.items():
            for value in sorted(values):
                if value not in values:  # met by a world that was found for another
                    continue
                world = self._solve({key: value}, {}, True)
                if world is None:
                    found = {k for k, c in self.counts.items() if c.is_shown and not c.is_locked}
                    values.discard(value)
                else:
                    found = {k for k, c in self.counts.items() if not self._fits(c, world[k])}
                for one in found:
                    self.counts[one] = replace(self.counts[one], is_shown=False)
                hidden |= found
                if world is not None:
                    self._learn(world)
        return hidden

    def _fits(self, count: Count, value: int) -> bool:
        least, most = count.bounds
        return value >= least and (most is None or value <= most)

    def _learn(self, world: World) -> int:
        """Cross off what a world shows to be possible; return how much that is."""
        before = sum(len(values) for values in self.wanted.values())
        for key, values in self.wanted.items():
            values.discard(world[key])
        return before - sum(len(values) for values in self.wanted.values())

    def _solve(self, fixed: Mapping[Key, int], aims: Mapping[Key, int], may_hide: bool) -> World | None:
        """Return a world with `fixed` values, as many of the `aims` met as possible, and as little hidden; or None."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        n = len(self.keys)
        hideable = [k for k, c in self.counts.items() if may_hide and c.is_shown and not c.is_locked]
        size = n + len(aims) + len(hideable)
        lower, upper = np.zeros(size), np.full(size, float(self.cap))
        costs = np.zeros(size)
        rows: list[tuple[dict[int, float], float, float]] = []
        for place, count in enumerate(self.counts.values()):
            least, most = count.bounds
            lower[place] = least
            upper[place] = np.inf if not count.is_sensitive else self.cap if most is None else most
        for key, value in fixed.items():
            lower[self.place[key]] = upper[self.place[key]] = value
        for relation in self.relations:
            weights = {self.place[key]: float(weight) for key, weight in relation.weights.items()}
            over, under = relation.least, relation.most
            rows.append((weights, -np.inf if over is None else over, np.inf if under is None else under))
        for place, (key, value) in enumerate(aims.items(), n):
            costs[place] = 1.0
            rows.append(({place: 1.0, self.place[key]: -1.0}, -value, np.inf))
            rows.append(({place: 1.0, self.place[key]: 1.0}, value, np.inf))
        for place, key in enumerate(hideable, n + len(aims)):
            costs[place], upper[place] = self.counts[key].cost, 1.0
            least, most = self.counts[key].bounds
            x = self.place[key]
            if key not in fixed:
                lower[x], upper[x] = 0.0, self.cap
            rows.append(({x: 1.0, place: float(least)}, least, np.inf))
            rows.append(({x: 1.0, place: float((most or 0) - self.cap)}, -np.inf, most or 0))
        entries = [(number, place, weight) for number, row in enumerate(rows) for place, weight in row[0].items()]
        matrix: Any = coo_array(
            ([e[2] for e in entries], ([e[0] for e in entries], [e[1] for e in entries])), shape=(len(rows), size)
        ).tocsr()
        integral = np.ones(size)
        integral[n : n + len(aims)] = 0
        answer = milp(
            costs,
            integrality=integral,
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(matrix, [row[1] for row in rows], [row[2] for row in rows]),
            options={"node_limit": _NODES, "time_limit": _SECONDS, "mip_rel_gap": 0.0 if may_hide else 0.1},
        )
        if answer.x is None:
            return None
        world = {key: round(answer.x[place]) for place, key in enumerate(self.keys)}
        return world if self._is_world(world, fixed, set(hideable)) else None

    def _is_world(self, world: World, fixed: Mapping[Key, int], hideable: set[Key]) -> bool:
        return (
            all(value >= 0 for value in world.values())
            and all(world[key] == value for key, value in fixed.items())
            and all(key in hideable or self._fits(count, world[key]) for key, count in self.counts.items())
            and all(relation.holds(world) for relation in self.relations)
        )
