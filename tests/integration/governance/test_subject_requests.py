"""Requests of data subjects are counted from one termly edition to the next, so that no two editions give one away."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engage.governance import editions, subject_requests
from engage.governance.periods import Kind
from tests.integration.governance.kit import FIRST, NOW, Registry
from tests.integration.governance.people import university
from tests.reference.governance import nearest_five, weeks_of

WEEKS = weeks_of(FIRST, 9)
SUNDAYS = [week + timedelta(days=6) for week in WEEKS]


def ask(registry: Registry, day: date, answered: date | None = None, kind: str = "access") -> None:
    at = answered and datetime(answered.year, answered.month, answered.day, 12, tzinfo=UTC)
    registry.connection.execute(
        "insert into ops.subject_request"
        " (kind, received_on, due_on, recorded_at, recorded_by, completed_at, completed_by)"
        " values (%s, %s, %s, now(), 'ada', %s, %s)",
        [kind, day, day + timedelta(days=30), at, at and "ada"],
    )


def make(registry: Registry, kind: Kind, start: date, end: date, days: int = 0) -> dict[str, float | None]:
    """Make an edition, and return what it shows of requests."""
    edition = editions.make(registry.connection, kind, (start, end), NOW + timedelta(days=days))
    return {category: value for (*_, category), value in registry.values(edition, "subject_requests").items()}


def scored(registry: Registry) -> None:
    students = university(3, 30)
    registry.enrol(students)
    for week in WEEKS:
        registry.score(week, students)


def test_two_in_each_week_are_not_told_by_the_month_or_by_some_weeks(registry: Registry) -> None:
    scored(registry)
    for week in WEEKS[:4]:
        ask(registry, week, week + timedelta(days=3))
        ask(registry, week, week + timedelta(days=3))
    for week, sunday in zip(WEEKS[:4], SUNDAYS[:4], strict=True):
        assert make(registry, "weekly", week, sunday) == {}
    assert make(registry, "monthly", FIRST, SUNDAYS[3]) == {}
    assert make(registry, "on_request", FIRST, SUNDAYS[3]) == {}
    term = make(registry, "termly", FIRST, SUNDAYS[3])
    assert (term["access:received"], term["access:completed"], term["erasure:received"]) == (10, 10, 0)
    assert len(term) == 6


def test_every_request_is_in_one_termly_edition(registry: Registry) -> None:
    """Before the first term, in it, between two: nothing is lost, nothing counted twice, and what was said stays."""
    scored(registry)
    for day in (FIRST - timedelta(days=40), FIRST, SUNDAYS[2] + timedelta(days=3), WEEKS[5]):
        for _ in range(5):
            ask(registry, day)
    first = make(registry, "termly", FIRST, SUNDAYS[2])
    second = make(registry, "termly", WEEKS[4], SUNDAYS[6], 1)
    assert (first["access:received"], second["access:received"]) == (10, 10)
    assert (first["access:overdue"], second["access:overdue"]) == (5, 5)

    assert make(registry, "termly", WEEKS[1], SUNDAYS[5], 2) == {}
    ask(registry, FIRST)
    registry.score(WEEKS[0], university(3, 30), revision=2, at=NOW + timedelta(days=3))
    ask(registry, FIRST)
    ask(registry, FIRST)
    assert make(registry, "termly", FIRST, SUNDAYS[2], 4) == first
    assert make(registry, "termly", WEEKS[7], SUNDAYS[8], 5)["access:received"] == 0


TERM = st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(TERM, min_size=1, max_size=2))
@example([(2, 0, 0), (7, 8, 0)])
@example([(2, 1, 0), (2, 3, 0)])
def test_of_no_small_number_of_requests_anything_can_be_ruled_out(terms: list[tuple[int, int, int]]) -> None:
    """An attacker who tries every number of requests in every term, with what everybody knows of them."""
    exact = [dict(zip(STATES, term, strict=True)) for term in terms]
    if not is_possible([list(term) for term in terms]):
        return
    shown: list[Mapping[str, float | None]] = []
    for n in range(len(exact)):
        left_out = subject_requests.left_out(exact[: n + 1], shown)
        shown.append({name: None if name in left_out else nearest_five(exact[n][name]) for name in STATES})
    seen: dict[tuple[int, str], set[int]] = {}
    for world in worlds(shown):
        for n, term in enumerate(world):
            for name, number in zip(STATES, term, strict=True):
                seen.setdefault((n, name), set()).add(number)
    for n, one in enumerate(exact):
        for name, number in one.items():
            assert number > 2 or {0, 1, 2} <= seen[n, name], (n, name, shown)


STATES = ("access:received", "access:completed", "access:overdue")


def is_possible(terms: Sequence[Sequence[int]]) -> bool:
    """Nothing is completed or overdue that was not received; who asked a term ago has an answer, or is overdue."""
    received = completed = overdue = before = 0
    for asked, answered, late in terms:
        received, completed, overdue, before = received + asked, completed + answered, overdue + late, received
        if max(completed, overdue) > received or before > completed + overdue:
            return False
    return True


def worlds(shown: Sequence[Mapping[str, float | None]]) -> Iterator[list[tuple[int, ...]]]:
    ranges = [
        range(16) if (value := term[name]) is None else range(max(0, int(value) - 2), int(value) + 3)
        for term in shown
        for name in STATES
    ]
    for numbers in product(*ranges):
        world = [numbers[at : at + 3] for at in range(0, len(numbers), 3)]
        if is_possible(world):
            yield world
