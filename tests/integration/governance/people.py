"""Universities as they come: students of a week drawn from a seed, and what is published of them."""

import random
from collections.abc import Iterable, Sequence
from datetime import date

from engage.governance import rows
from engage.governance.relations import ALL, TRENDS, Group, Week
from engage.governance.rows import Row
from tests.reference.governance import BANDS, Student, count

MONDAY = date(2026, 8, 24)


def university(seed: int, students: int, faculties: int = 2, programmes: int = 5) -> list[Student]:
    """Draw the students of one week, few of whom are low, declining or told of."""
    draw = random.Random(seed)
    faculty_of = [f"F{draw.randrange(faculties)}" for _ in range(programmes)]
    sizes = [1 / (n + 1) for n in range(programmes)]
    spread = draw.choice((60, 120, 250))
    found = []
    for _ in range(students):
        programme = draw.choices(range(programmes), sizes)[0]
        score = max(0, min(1000, round(draw.gauss(500, spread))))
        found.append(
            Student(
                faculty_of[programme], f"P{programme}", str(draw.randint(1, 3)), "FT" if draw.random() < 0.85 else "PT",
                score, draw.random() < 0.06, score < 350 and draw.random() < 0.4, draw.random() < 0.05,
                {"sex": draw.choice("fm"), "disability": "known" if draw.random() < 0.15 else "none"},
            )
        )  # fmt: skip
    return found


def groups(students: Iterable[Student]) -> set[tuple[str, str]]:
    """Return every group that somebody is in."""
    return {group for one in students for group in one.groups} | {(ALL, ALL)}


def faculty_of(students: Iterable[Student]) -> dict[str, str]:
    """Return the faculty of every programme."""
    return {one.programme: one.faculty for one in students}


def as_week(students: Sequence[Student], week: date = MONDAY) -> Week:
    """Return their week, counted by the reference."""
    counts = count(week, students)

    def group(dimension: str, member: str) -> Group:
        scores = [one.score for one in students if (dimension, member) in one.groups]
        exact = {figure: counts.get((figure, week, dimension, member, ""), 0) for figure in (*TRENDS, "flagged")}
        return Group(dimension, member, exact, sum(scores))

    bands = [counts.get(("score_band", week, ALL, ALL, band), 0) for band in BANDS]
    programmes = {(one.programme, one.faculty) for one in students}
    return Week(week, [group(*place) for place in sorted(groups(students))], bands, programmes)


def published(students: Sequence[Student], week: date = MONDAY) -> list[Row]:
    """Return what is published of them; groups of one or two are not named."""
    whole = as_week(students, week)
    listed = {(g.dimension, g.member) for g in whole.groups if g.counts["students_scored"] >= 3 and g.dimension != ALL}
    return rows.of_scores(whole, listed)
