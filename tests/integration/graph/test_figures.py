"""What is shown of a mart: every file belongs to one, and what is about few people is left out."""

from pathlib import Path

import psycopg

from assets import figures

Connection = psycopg.Connection[tuple[object, ...]]


def test_figures_about_few_people_are_not_shown(warehouse: Connection, tmp_path: Path) -> None:
    (tmp_path / "any.sql").write_text(
        "select 9 as students_few, 10 as students_many, 0 as students_none, 3 as sources, null as nothing,"
        " array['a', 'b'] as names, date '2026-10-12' as week_start"
    )
    assert figures.of(warehouse, "any", tmp_path) == {
        "students_many": 10,
        "students_none": 0,
        "sources": 3,
        "names": "a, b",
        "week_start": "2026-10-12",
    }
    assert figures.of(warehouse, "without_a_file", tmp_path) == {}


def test_every_file_is_of_a_mart() -> None:
    marts = {path.stem for path in (figures.FOLDER.parent / "models" / "marts").glob("*.sql")}
    assert {path.stem for path in figures.FOLDER.glob("*.sql")} <= marts
