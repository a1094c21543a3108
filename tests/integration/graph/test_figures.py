"""What is shown of a mart: every file belongs to one, and counts of people are rounded."""

from pathlib import Path

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from assets import figures

Connection = psycopg.Connection[tuple[object, ...]]


def test_counts_of_people_are_to_the_nearest_five(warehouse: Connection, tmp_path: Path) -> None:
    (tmp_path / "any.sql").write_text(
        "select 2 as students_two, 3 as students_three, 47 as students_many, 0 as students_none, 3 as sources,"
        " null as nothing, array['a', 'b'] as names, date '2026-10-12' as week_start"
    )
    assert figures.of(warehouse, "any", tmp_path) == {
        "students_two": 0,
        "students_three": 5,
        "students_many": 45,
        "students_none": 0,
        "sources": 3,
        "names": "a, b",
        "week_start": "2026-10-12",
    }
    assert figures.of(warehouse, "without_a_file", tmp_path) == {}


@given(st.integers(0, 50_000))
def test_a_count_cannot_be_told_from_its_neighbours(people: int) -> None:
    shown = figures.rounded(people)
    assert shown % 5 == 0 and abs(shown - people) <= 2
    assert {figures.rounded(other) for other in range(max(shown - 2, 0), shown + 3)} == {shown}


def test_every_file_is_of_a_mart() -> None:
    marts = {path.stem for path in (figures.FOLDER.parent / "models" / "marts").glob("*.sql")}
    assert {path.stem for path in figures.FOLDER.glob("*.sql")} <= marts
