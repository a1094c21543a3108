"""Who studies here, and what befalls them: people, programmes, status periods, silences, new badges, planned faults.

Everything follows from the fields of `World`. What people do on a day, and how it is written, is in `systems`.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ZONE = ZoneInfo("Europe/London")
NEVER = 10**6
# Snapshots begin two days before the first Monday, so that roster and calendar are there before the first activity;
# so does the calendar of every later term.
FIRST_SNAPSHOT = -2

# code, name, faculty, share of the students: one programme is too small for a peer group of its own, one for its years.
PROGRAMMES = [
    ("CS", "Computer Science", "SCI", 0.21),
    ("BIO", "Biology", "SCI", 0.14),
    ("MATH", "Mathematics", "SCI", 0.10),
    ("HIST", "History", "ART", 0.12),
    ("ENG", "English Literature", "ART", 0.12),
    ("MUS", "Music", "ART", 0.02),
    ("LAW", "Law", "SOC", 0.22),
    ("ECON", "Economics", "SOC", 0.07),
]
YEARS = 3
ENTRY_BANDS = ["120+", "96-119", "below 96", "access"]
SESSION_TYPES = ["Lecture", "Seminar", "Drop-in", "Tutorial", "Laboratory"]
# status, share of the students, whether the registry knows it before it begins
AWAY = [
    ("withdrawn", 0.02, False),
    ("suspended", 0.012, False),
    ("placement", 0.02, True),
    ("study_abroad", 0.012, True),
]
SILENT_SHARE, REISSUED_SHARE, EXEMPT_SHARE = 0.025, 0.003, 0.015
EXEMPTIONS = ["Authorised Absence", "Break in Learning (DA)", "Dissertation Period", "Practice Placement Block"]
SLOTS = 5
GIVEN = [
    "Aisha", "Ben", "Chloë", "Dmitri", "Élodie", "Femi", "Grace", "Harpreet", "Ines", "Jack", "Kwame", "Lucía", "Mei",
    "Niamh", "Oliver", "Priya", "Quentin", "Rhys", "Siân", "Tomasz", "Uma", 'William "Bill"', "Xin", "Zoë",
]  # fmt: skip
FAMILY = [
    "Adeyemi", "Brown", "Chaudhry", "Davies", "Evans", "Fernández", "Green", "Hughes", "Iqbal", "Jones", "Kowalski",
    "Li", "Müller", "Nguyen", "O'Brien", "Patel", "Quinn", "Roberts", "St. John, Jr.", "Taylor", "Umar", "Wilson",
]  # fmt: skip


@dataclass(frozen=True)
class Faults:
    """What goes wrong with deliveries; days are counted from the first Monday, None never comes."""

    late_day: int | None = None  # an attendance file that comes four days late
    corrected_day: int | None = None  # an attendance file corrected three days later
    bad_gate_day: int | None = None  # a library file that must be held
    bad_rows: tuple[tuple[int, str], ...] = ()  # attendance: day and kind of the one bad row


@dataclass(frozen=True)
class Population:
    """The students as arrays of equal length; day numbers are counted from the first Monday."""

    student_id: list[str]
    username: list[str]
    badge: list[str]
    new_badge: list[str]
    given_name: list[str]
    family_name: list[str]
    sponsored: Bools
    programme: Ints  # index into PROGRAMMES
    year: Ints
    part_time: Bools
    entry_band: Ints
    on_campus: Bools
    tutor: Ints
    level: Floats  # latent engagement, standard normal
    away: Ints  # index into AWAY, -1 for those who stay
    away_from: Ints
    away_to: Ints
    silent_from: Ints
    reissued_from: Ints


@dataclass(frozen=True)
class Exemption:
    """Days on which a student (index) is exempt, both inclusive, and the day on which somebody entered it."""

    student: int
    kind: str
    begins: int
    ends: int
    created: int


@dataclass(frozen=True)
class Session:
    """A weekly session: its number, weekday, start and length in minutes, and the students who belong to it."""

    number: int
    weekday: int
    start: int
    minutes: int
    kind: str
    mandatory: bool
    students: Ints


@dataclass(frozen=True)
class World:
    """A university of `students` people from `first_monday` on; equal fields, equal bytes.

    What befalls people and files is planned for the first term of `weeks` weeks. Then life goes on, term after term.
    """

    first_monday: date
    seed: int = 7
    students: int = 1000
    weeks: int = 12
    faulty: bool = True

    def __post_init__(self) -> None:
        if self.first_monday.weekday() != 0:
            raise ValueError(f"first_monday is {self.first_monday}, which is not a Monday")
        if self.students < 10 or self.weeks < 1:
            raise ValueError("a world needs at least 10 students and 1 week")

    @property
    def adopted(self) -> int:
        """Return the day number from which the newly adopted feeds deliver, a Monday."""
        return 7 * max(self.weeks - 3, 0)

    @property
    def days(self) -> int:
        return 7 * self.weeks

    def date(self, day: int) -> date:
        """Return the calendar day of day number `day`."""
        return self.first_monday + timedelta(days=day)

    def start(self, day: int) -> datetime:
        """Return local midnight at which day number `day` begins."""
        return datetime.combine(self.date(day), time(), ZONE)

    def due(self, day: int) -> datetime:
        """Return when the nightly file of day number `day` is delivered: 03:00 local time the morning after."""
        return datetime.combine(self.date(day + 1), time(3), ZONE)

    def day_of(self, moment: datetime) -> int:
        """Return the day number of the local calendar day of a moment with a zone."""
        return (moment.astimezone(ZONE).date() - self.first_monday).days

    def clock(self, day: int) -> int:
        """Return the epoch seconds from which times of the day's clock count, for those after any change of clocks."""
        return int(datetime.combine(self.date(day), time(12), ZONE).timestamp()) - 12 * 3600

    def rng(self, *key: int) -> np.random.Generator:
        """Return the random numbers of one purpose (and day), independent of every other."""
        return np.random.default_rng([self.seed, self.students, self.first_monday.toordinal(), self.weeks, *key])

    @cached_property
    def faults(self) -> Faults:
        """The plan of faults: a late and a corrected file in week 10 of 12, a bad batch in week 11, two bad rows."""
        if not self.faulty:
            return Faults()
        third_last, second_last = 7 * max(self.weeks - 3, 0), 7 * max(self.weeks - 2, 0)
        return Faults(
            late_day=third_last + 3,
            corrected_day=third_last + 4,
            bad_gate_day=second_last + 2,
            bad_rows=((7 * min(2, self.weeks - 1) + 1, "impossible_date"), (7 * min(4, self.weeks - 1), "truncated")),
        )

    @cached_property
    def population(self) -> Population:
        """The students, their attributes and what befalls them."""
        n, rng = self.students, self.rng(0)
        shares = np.array([p[3] for p in PROGRAMMES])
        programme = rng.choice(len(PROGRAMMES), n, p=shares / shares.sum())
        away, away_from, away_to = np.full(n, -1), np.full(n, NEVER), np.full(n, NEVER)
        silent_from, reissued_from = np.full(n, NEVER), np.full(n, NEVER)
        order = iter(rng.permutation(n))

        def some(share: float, at_least: int = 1) -> Ints:
            return np.array([next(order) for _ in range(max(at_least, round(share * n)))])

        lo, hi = max(self.days // 6, 1), max(self.days - 7, 2)
        for kind, (status, share, foreseen) in enumerate(AWAY):
            who = some(share)
            away[who] = kind
            away_from[who] = rng.integers(lo, hi, len(who))
            if status != "withdrawn":
                away_to[who] = away_from[who] + rng.integers(14, 43, len(who))
            elif len(who) > 1:  # half of those who leave go quiet two weeks before
                quiet = who[: len(who) // 2]
                silent_from[quiet] = np.maximum(away_from[quiet] - 14, 0)
            if foreseen:  # half of them are away from before the term until after it
                all_term = who[: (len(who) + 1) // 2]
                away_from[all_term], away_to[all_term] = -7, self.days + 28
        silent = some(SILENT_SHARE)
        silent_from[silent] = rng.integers(lo, hi, len(silent))
        reissued = some(REISSUED_SHARE, at_least=2)
        reissued_from[reissued] = rng.integers(lo, hi, len(reissued))

        badges = _scattered(2 * n, 10**8, 61_803_399, self.seed)
        return Population(
            student_id=[f"{v:07d}" for v in _scattered(n, 10**7, 7_368_787, self.seed)],
            username=[_username(v) for v in _scattered(n, 6_760_000, 4_178_051, self.seed)],
            badge=[f"{v:08d}" for v in badges[:n]],
            new_badge=[f"{v:08d}" for v in badges[n:]],
            given_name=[GIVEN[i] for i in rng.integers(0, len(GIVEN), n)],
            family_name=[FAMILY[i] for i in rng.integers(0, len(FAMILY), n)],
            # Two of those who fall silent first are sponsored, so that a term has somebody near the limit.
            sponsored=(rng.random(n) < 0.15) | _first_two(silent_from, away < 0),
            programme=programme,
            year=rng.integers(1, YEARS + 1, n),
            part_time=rng.random(n) < 0.15,
            entry_band=rng.integers(0, len(ENTRY_BANDS), n),
            on_campus=rng.random(n) < 0.4,
            tutor=100 * programme + rng.integers(0, max(n // 200, 1), n),
            level=rng.normal(size=n),
            away=away,
            away_from=away_from,
            away_to=away_to,
            silent_from=silent_from,
            reissued_from=reissued_from,
        )

    @cached_property
    def exemptions(self) -> list[Exemption]:
        """Who is exempt when: half of them have fallen silent for that reason, the others have not."""
        p, rng = self.population, self.rng(9)
        some = max(2, round(EXEMPT_SHARE * self.students))
        silent = np.flatnonzero((p.silent_from < NEVER) & (p.away < 0))[: some // 2]
        others = rng.permutation(np.flatnonzero((p.silent_from == NEVER) & (p.away < 0)))[: some - len(silent)]
        found = []
        for number, student in enumerate([*silent.tolist(), *others.tolist()]):
            known = student in silent
            begins = int(p.silent_from[student]) + 1 if known else int(rng.integers(2, max(self.days - 7, 3)))
            created, ends = begins - int(rng.integers(1, 10)), begins + int(rng.integers(6, 35))
            found.append(Exemption(student, EXEMPTIONS[number % len(EXEMPTIONS)], begins, ends, created))
        return found

    def present(self, day: int) -> Bools:
        """Return who is active on that day: not withdrawn, suspended, on placement or abroad."""
        p = self.population
        return ~((p.away_from <= day) & (day < p.away_to))

    @cached_property
    def timetable(self) -> list[Session]:
        """The sessions of every week."""
        p, rng = self.population, self.rng(1)
        sessions: list[Session] = []
        for group in range(len(PROGRAMMES) * YEARS):
            members = np.flatnonzero((p.programme * YEARS + p.year - 1) == group)
            # Distinct places in the week, two hours apart, so that nobody has two sessions at once.
            for slot, place in enumerate(rng.permutation(5 * 4)[:SLOTS].tolist()):
                # Part-time students have three sessions a week, full-time ones four or five.
                who = members[np.where(p.part_time[members], 3, 4 + group % 2) > slot]
                start, minutes = 60 * (9 + 2 * (place % 4)), 55 * int(rng.integers(1, 3))
                sessions.append(Session(len(sessions), place // 4, start, minutes, SESSION_TYPES[slot], slot != 2, who))
        return sessions


def last_weeks(today: date, weeks: int = World.weeks) -> date:
    """Return the first Monday of the weeks that end on the last Sunday before `today`."""
    return today - timedelta(days=today.weekday() + 7 * weeks)


def _first_two(silent_from: Ints, stays: Bools) -> Bools:
    """Return which of those who stay fall silent first, two at most."""
    first = np.argsort(np.where(stays, silent_from, NEVER), kind="stable")[:2]
    found = np.zeros(len(silent_from), dtype=np.bool_)
    found[first] = stays[first] & (silent_from[first] < NEVER)
    return found


def _scattered(count: int, modulus: int, step: int, seed: int) -> list[int]:
    """Return `count` distinct numbers below `modulus`, which `step` must not share a factor with."""
    return [(i * step + 104_729 * (seed + 1)) % modulus for i in range(count)]


def _username(value: int) -> str:
    letters, digits = divmod(value, 10_000)
    return f"{chr(97 + letters // 26)}{chr(97 + letters % 26)}{digits:04d}"
