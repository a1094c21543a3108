"""A year with known truth and bad feeds: what students really did, who was away or exempt, and which file comes when.

Made from a seed as arrays of students and days. How it gets into a warehouse is backtest.py's.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from campus.silence import triggers
from campus.world import NEVER, Bools, Floats, Ints

TERMS = (
    ("teaching", 11), ("vacation", 4), ("teaching", 5), ("reading", 1), ("teaching", 5), ("vacation", 4),
    ("teaching", 4), ("assessment", 3), ("vacation", 2),
)  # fmt: skip
"""Kinds of weeks, one after the other."""
STATUSES = ("suspended", "placement", "study_abroad", "withdrawn")
FAULTS = (
    "outages of one feed, of a day to three weeks",
    "days down and delivered afterwards",
    "days down and never delivered",
    "files late by days",
    "bad batches, held and corrected later, or for good",
    "files with a third of the rows missing that passed, corrected later",
)
OUTAGES = (1, 2, 3, 5, 8, 14, 21)
"""Days that a feed is down."""


@dataclass(frozen=True)
class Stream:
    """A feed: how often a usual student is seen by it on a day, and over which part of the year it delivers."""

    source_id: str
    rate: float
    is_digital: bool = True
    begins: float = 0.0
    ends: float = 1.0
    works_weekends: bool = True


STREAMS = (
    Stream("vle", 0.55),
    Stream("lecture_capture", 0.3, works_weekends=False),
    Stream("portal", 0.2, ends=0.45),
    Stream("app", 0.2, begins=0.45),
    Stream("library_gates", 0.25, is_digital=False),
)


@dataclass(frozen=True)
class File:
    """What a feed says of a day, and the day number on whose morning it is there."""

    stream: int
    day: int
    comes: int
    is_partial: bool = False
    """A third of its rows are missing; the whole file comes later, as a correction."""


@dataclass(frozen=True)
class Away:
    """Days on which a student (index) is away (the end excluded) or exempt (included); `known` since when."""

    student: int
    kind: str
    begins: int
    ends: int
    known: int


@dataclass(frozen=True)
class Year:
    """A university of `students` from `first_monday` on; equal fields, equal years."""

    students: int = 1500
    seed: int = 7
    terms: tuple[tuple[str, int], ...] = TERMS
    first_monday: date = date(2025, 9, 29)

    @property
    def days(self) -> int:
        return 7 * sum(weeks for _, weeks in self.terms)

    def date(self, day: int) -> date:
        """Return the calendar day of a day number."""
        return self.first_monday + timedelta(day)

    def rng(self, *key: int) -> np.random.Generator:
        """Return the random numbers of one purpose."""
        return np.random.default_rng([self.seed, self.students, self.days, *key])

    def periods(self) -> Iterator[tuple[str, int, int]]:
        """Yield kind, first and last day number of each part of the year."""
        first = 0
        for kind, weeks in self.terms:
            yield kind, first, first + 7 * weeks - 1
            first += 7 * weeks

    @cached_property
    def in_term(self) -> Bools:
        """Which days are in term."""
        kinds = [kind for kind, weeks in self.terms for _ in range(7 * weeks)]
        return np.array([kind != "vacation" for kind in kinds])

    def lives(self, stream: Stream) -> tuple[int, int]:
        """Return the first day of a feed and the first after its last; systems change on a Monday."""
        return tuple(7 * round(self.days * share / 7) for share in (stream.begins, stream.ends))  # type: ignore[return-value]

    @cached_property
    def acts(self) -> list[Bools]:
        """Of each feed who was really seen by it on which day."""
        n, rng = self.students, self.rng(0)
        level: Floats = np.minimum(np.exp(0.7 * rng.normal(size=n)), 3)
        here = np.ones((n, self.days), bool)
        for student in range(n):
            if rng.random() < 0.4:  # days on which they do nothing at all; some never come back
                begins, length = int(rng.integers(0, self.days)), int(rng.integers(4, 40))
                here[student, begins : NEVER if rng.random() < 0.1 else begins + length] = False
        busy = np.where(self.in_term, 1.0, 0.15) * np.array([1.0, 1.0, 1.0, 0.9, 0.7, 0.3, 0.35] * (self.days // 7))
        found = []
        for stream in STREAMS:
            seen = rng.random((n, self.days)) < stream.rate * level[:, None] * busy
            begins, ends = self.lives(stream)
            seen[:, :begins] = seen[:, ends:] = False
            if not stream.works_weekends:
                seen[:, 5::7] = seen[:, 6::7] = False
            found.append(seen & here & self.present)
        return found

    @cached_property
    def away(self) -> list[Away]:
        """Who is away when; the registry knows of a placement beforehand, of the rest on the day."""
        return list(self._spans(1, 0.06, STATUSES, foreseen=False))

    @cached_property
    def exemptions(self) -> list[Away]:
        """Who is exempt when; some are entered when they have begun already."""
        return list(self._spans(2, 0.08, ("Authorised Absence", "Dissertation Period"), foreseen=True))

    def _spans(self, key: int, share: float, kinds: tuple[str, ...], foreseen: bool) -> Iterator[Away]:
        rng = self.rng(key)
        for student in rng.permutation(self.students)[: round(share * self.students)].tolist():
            kind = kinds[int(rng.integers(0, len(kinds)))]
            begins, length = int(rng.integers(1, self.days)), int(rng.integers(5, 60))
            ends = NEVER if kind == "withdrawn" else begins + length
            known = begins + int(rng.integers(-9, 4)) if foreseen or kind == "placement" else begins
            yield Away(student, kind, begins, ends, min(known, begins) if kind in STATUSES else known)

    @cached_property
    def present(self) -> Bools:
        """Who is active on which day."""
        found = np.ones((self.students, self.days), bool)
        for one in self.away:
            found[one.student, one.begins : one.ends] = False
        return found

    @cached_property
    def exempt(self) -> Bools:
        """Who is exempt on which day, and on the one after the last."""
        found = np.zeros((self.students, self.days + 1), bool)
        for one in self.exemptions:
            found[one.student, max(one.begins, one.known + 1) : one.ends + 1] = True
        return found

    @cached_property
    def active(self) -> Bools:
        """Who really did something digital on which day."""
        seen = [did for stream, did in zip(STREAMS, self.acts, strict=True) if stream.is_digital]
        return np.asarray(np.logical_or.reduce(seen), bool)

    @cached_property
    def counts(self) -> Bools:
        """On which days silence counts: the student is here, in term and not exempt."""
        return self.present & self.in_term & ~self.exempt[:, :-1]

    def truth(self) -> set[tuple[int, int]]:
        """Return student (index) and day number of each true No Digital Activity."""
        return set(triggers(self.active, self.counts, self.exempt))

    @cached_property
    def files(self) -> tuple[list[File], Counter[str]]:
        """All files that ever come, and how many days of feeds were hit by which fault."""
        rng, files, faults = self.rng(3), [], Counter(dict.fromkeys(FAULTS, 0))
        for number, stream in enumerate(STREAMS):
            begins, ends = self.lives(stream)
            comes: Ints = np.arange(self.days) + 1
            down = np.zeros(self.days, bool)
            for _ in range(max(1, (ends - begins) // 45) if stream.is_digital else 0):
                first, length = int(rng.integers(begins, ends)), int(rng.choice(OUTAGES))
                down[first : first + length] = True
                comes[first : first + length] = NEVER if rng.random() < 0.2 else first + length + 1
                faults[FAULTS[0]] += 1
            for day in range(begins, ends):
                if not stream.works_weekends and day % 7 > 4:
                    continue
                luck, wait = rng.random(), int(rng.integers(2, 12))
                if down[day]:
                    faults[FAULTS[1 if comes[day] < NEVER else 2]] += 1
                elif luck < 0.02:
                    comes[day] += wait
                    faults[FAULTS[3]] += 1
                elif luck < 0.03:
                    comes[day] = NEVER if wait < 6 else comes[day] + wait
                    faults[FAULTS[4]] += 1
                elif luck < 0.04:
                    files.append(File(number, day, int(comes[day]), is_partial=True))
                    faults[FAULTS[5]] += 1
                    comes[day] += wait
                if comes[day] < NEVER:
                    files.append(File(number, day, int(comes[day])))
        return sorted(files, key=lambda file: (file.comes, file.is_partial)), faults
