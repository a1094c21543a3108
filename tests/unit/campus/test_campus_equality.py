"""Protected characteristics come once a term, with plausible shares, and change nothing else of the world."""

import csv
import io
from collections import Counter
from datetime import date

import pytest

from campus import plan
from campus.systems import equality, registry
from campus.world import World

WORLD = World(date(2026, 8, 24), students=2000, weeks=4)


def test_every_student_is_in_one_group_of_each_characteristic() -> None:
    rows = list(csv.DictReader(io.StringIO(equality.characteristics(WORLD, -2).decode("utf-8-sig"))))
    said = Counter((row["Student Number"], row["Characteristic"]) for row in rows)
    ids = WORLD.population.student_id
    assert said == Counter((who, characteristic) for who in ids for characteristic in equality.GROUPS)
    groups = Counter((row["Characteristic"], row["Category"]) for row in rows)
    for characteristic, shares in equality.GROUPS.items():
        assert sum(shares.values()) == pytest.approx(1)
        for member, share in shares.items():
            assert groups[characteristic, member] / len(ids) == pytest.approx(share, abs=0.04)


def test_the_list_comes_once_before_each_term() -> None:
    feeds = [feed for feed in registry.FEEDS if feed.source_id == "characteristics"]
    files = list(plan.deliveries(WORLD, WORLD.due(99), feeds))
    assert [(file.day, file.path) for file in files][:2] == [
        (-2, "equality/characteristics_20260822.csv"),
        (26, "equality/characteristics_20260919.csv"),
    ]
    assert len({file.content() for file in files}) == 1, "nobody's answers change"
