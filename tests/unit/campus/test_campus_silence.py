"""The truth of silence, counted by day from arrays, is what the plain reference finds by walking back."""

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from campus.silence import silences, triggers
from campus.world import World
from tests.reference.silence import SILENCE, Exempt, Feed, History, Term, Trigger, inactivity
from tests.reference.university import Enrolment

FIRST, DAYS = date(2026, 3, 2), 40


@given(st.integers(0, 2**32))
def test_the_truth_is_that_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    active, present = rng.random((3, DAYS)) < 0.07, rng.random((3, DAYS)) < 0.99
    exempt = rng.random((3, DAYS + 1)) < 0.02
    days = [FIRST + timedelta(n) for n in range(DAYS + 1)]
    rows = [Enrolment("list", FIRST, str(k), "active", None, None, {}) for k in range(3)]
    rows += [
        Enrolment("list", FIRST, str(k), "placement", days[n], days[n + 1], {})
        for k, n in np.argwhere(~present).tolist()
    ]
    history = History(
        [Feed("vle")],
        rows,
        [Term("teaching", FIRST, days[-1])],
        {(str(k), days[n], "vle"): 1 for k, n in np.argwhere(active & present).tolist()},
        {("vle", day): True for day in days[:-1]},
        [Exempt(str(k), days[n], days[n], FIRST - timedelta(9)) for k, n in np.argwhere(exempt).tolist()],
    )
    found = triggers(active & present, present & ~exempt[:, :-1], exempt)
    expected = {trigger for trigger in inactivity(history, days[DAYS - 1]) if trigger.kind == SILENCE}
    assert {Trigger(SILENCE, str(k), days[n]) for k, n in found} == expected


def test_whoever_falls_silent_in_a_world_is_in_its_truth_and_the_exempt_are_not() -> None:
    world = World(date(2026, 8, 24), students=400, weeks=6)
    found = silences(world, world.start(42), {"vle"})
    p = world.population
    exempt = {e.student for e in world.exemptions}
    for student in np.flatnonzero((p.silent_from < 30) & (p.away < 0)).tolist():
        by = world.date(int(p.silent_from[student]) + 7)
        # Their last act may have been some days before.
        soon = {by - timedelta(n) for n in range(7)}
        assert student in exempt or soon & {day for who, day in found if who == p.student_id[student]}
    for one in world.exemptions:
        days = {day for who, day in found if who == p.student_id[one.student]}
        assert not days & {world.date(day) for day in range(one.begins, one.ends + 8)}
