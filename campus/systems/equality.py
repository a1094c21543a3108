"""Equality monitoring: what students said of themselves, once a term by SFTP, a row per student and characteristic.

Drawn from numbers of its own, so that it goes with nothing that students do: here help is fair by construction.
"""

from collections.abc import Iterable
from functools import partial

from campus.systems import Delivery, Feed
from campus.systems.files import table
from campus.world import FIRST_SNAPSHOT, World

HEADER = ["Student Number", "Characteristic", "Category"]
# Shares about those of UK students in HESA's open data, in whole per cent.
GROUPS = {
    "sex": {"Female": 0.56, "Male": 0.42, "Other": 0.01, "Prefer not to say": 0.01},
    "ethnicity": {
        "White": 0.70, "Asian": 0.13, "Black": 0.08, "Mixed": 0.05, "Other": 0.02, "Prefer not to say": 0.02,
    },
    "disability": {"No known disability": 0.80, "Known disability": 0.18, "Prefer not to say": 0.02},
}  # fmt: skip


def characteristics(world: World, day: int) -> bytes:
    """Return what each student said: UTF-8 with BOM."""
    rows = []
    for number, (characteristic, shares) in enumerate(GROUPS.items()):
        drawn = world.rng(71, number).choice(len(shares), world.students, p=list(shares.values()))
        members = [list(shares)[i] for i in drawn.tolist()]
        rows += [[who, characteristic, m] for who, m in zip(world.population.student_id, members, strict=True)]
    return table(HEADER, rows, encoding="utf-8-sig")


def termly(world: World, day: int) -> Iterable[Delivery]:
    """Yield the file of a day: one before each term."""
    if (day - FIRST_SNAPSHOT) % world.days == 0:
        path, content = f"equality/characteristics_{world.date(day):%Y%m%d}.csv", partial(characteristics, world, day)
        yield Delivery("characteristics", day, path, world.due(day), content)


FEEDS = [Feed("characteristics", files=termly, is_adopted=False)]
