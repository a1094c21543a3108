"""Rounding by a plain reference, and hiding by trying every world there is."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engage.governance.disclosure import Count, Key, Relation, average, is_safe, rounded, share, to_hide


@given(st.integers(0, 100_000) | st.integers(0, 40_000).map(lambda n: n / 2))
def test_counts_are_to_the_nearest_five_halves_up(number: float) -> None:
    assert rounded(number) == int((Decimal(number) / 5).quantize(Decimal(1), ROUND_HALF_UP)) * 5


@pytest.mark.parametrize(
    ("exact", "shown"), [(0, 0), (2, 0), (2.5, 5), (3, 5), (7, 5), (7.5, 10), (8, 10), (22, 20), (23, 25)]
)
def test_counts_at_the_limits(exact: float, shown: int) -> None:
    assert rounded(exact) == shown


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_shares_are_of_the_rounded_numbers_and_only_of_enough_people(part: int, base: int) -> None:
    assume(part <= base)
    if base < 22.5:
        assert share(part, base) is None
    else:
        exact = Decimal(100 * rounded(part)) / rounded(base)
        assert share(part, base) == int(exact.quantize(Decimal(1), ROUND_HALF_UP)) <= 100


@given(st.integers(-1_000_000, 1_000_000), st.integers(0, 1_000))
def test_averages_are_to_the_nearest_five_and_only_of_enough_people(total: int, base: int) -> None:
    if base <= 7:
        assert average(total, base) is None
    else:
        halves = Fraction(total, base) / 5 + Fraction(1, 2)
        below = (Decimal(halves.numerator) / halves.denominator).to_integral_value(ROUND_FLOOR)
        assert average(total, base) == 5 * below


def test_a_share_of_exact_numbers_would_tell_what_a_zero_stands_for() -> None:
    """Why shares are not made as HESA makes them: 0 of 40, and 5 per cent, are two of about 40."""
    worlds = [(part, base) for part in range(3) for base in range(38, 43)]
    assert {part for part, base in worlds if round(100 * part / base) == 5} == {2}
    assert {share(part, base) for part, base in worlds} == {0}


def test_a_total_that_tells_what_its_parts_are_is_hidden() -> None:
    """Two parts of 0, 1 or 2, and a total of 3 or more: neither part is 0."""
    counts: dict[Key, Count] = {"a": Count(2), "b": Count(2), "all": Count(4)}
    relations = [Relation({"a": 1, "b": 1, "all": -1})]
    assert not is_safe(counts, relations)
    assert len(to_hide(counts, relations)) == 1


def test_what_was_shown_before_is_never_hidden() -> None:
    counts: dict[Key, Count] = {"a": Count(2), "b": Count(2, is_locked=True), "all": Count(4, is_locked=True)}
    assert to_hide(counts, [Relation({"a": 1, "b": 1, "all": -1})]) == {"a"}


def test_a_relation_that_the_numbers_contradict_is_none() -> None:
    counts: dict[Key, Count] = {"a": Count(2), "b": Count(2), "all": Count(9)}
    assert to_hide(counts, [Relation({"a": 1, "b": 1, "all": -1})]) == set()


@st.composite
def systems(draw: st.DrawFn) -> tuple[dict[Key, Count], list[Relation]]:
    """Two figures of two or three groups, one a part of the other, with their totals."""
    groups = draw(st.integers(2, 3))
    parts = draw(st.lists(st.integers(0, 3), min_size=groups, max_size=groups))
    wholes = [part + draw(st.integers(0, 3)) for part in parts]
    counts: dict[Key, Count] = {("all", 0): Count(sum(parts)), ("all", 1): Count(sum(wholes))}
    relations = [Relation({("all", 0): -1, ("all", 1): 1}, 0, None)]
    for n, (part, whole) in enumerate(zip(parts, wholes, strict=True)):
        counts[n, 0], counts[n, 1] = Count(part), Count(whole)
        relations.append(Relation({(n, 0): -1, (n, 1): 1}, 0, None))
    for figure in (0, 1):
        relations.append(Relation({**{(n, figure): 1 for n in range(groups)}, ("all", figure): -1}))
    return counts, relations


@settings(max_examples=40, deadline=None, derandomize=True)
@given(systems())
def test_every_small_number_can_still_be_nothing_one_or_two(system: tuple[dict[Key, Count], list[Relation]]) -> None:
    counts, relations = system
    for key in to_hide(counts, relations):
        counts[key] = replace(counts[key], is_shown=False)
    for key, values in possible(counts, relations).items():
        assert values >= {0, 1, 2} or counts[key].exact > 2, key


def test_there_are_systems_that_give_themselves_away() -> None:
    """The same without hiding, so that the test above can fail."""
    counts: dict[Key, Count] = {"a": Count(1), "b": Count(2), "all": Count(3)}
    assert possible(counts, [Relation({"a": 1, "b": 1, "all": -1})])["a"] == {1, 2}


def possible(counts: Mapping[Key, Count], relations: Sequence[Relation]) -> dict[Key, set[int]]:
    """Return what every count can be, of all worlds with no number beyond 13."""
    ranges = [
        range(low, min(13, 13 if high is None else high) + 1) for low, high in (c.bounds for c in counts.values())
    ]
    found: dict[Key, set[int]] = {key: set() for key in counts}
    totals = [key for key in counts if key == "all" or (isinstance(key, tuple) and key[0] == "all")]
    free = [key for key in counts if key not in totals]
    by_key = dict(zip(counts, ranges, strict=True))
    for values in itertools.product(*(by_key[key] for key in free)):
        world = dict(zip(free, values, strict=True))
        for total in totals:
            world[total] = sum(n for key, n in world.items() if key not in totals and _figure(key) == _figure(total))
        if all(world[key] in by_key[key] for key in totals) and all(relation.holds(world) for relation in relations):
            for key, value in world.items():
                found[key].add(value)
    return found


def _figure(key: Key) -> object:
    return key[1] if isinstance(key, tuple) else None
