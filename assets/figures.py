"""Figures about a mart for the UI: one SQL file per mart, `dbt_project/figures/<mart>.sql`, that returns at most a row.

Its columns become metadata, numbers such that Dagster plots them. What is in the marts is not known here.
"""

from datetime import date
from pathlib import Path

from psycopg.rows import dict_row

from engage.dbt import PROJECT
from engage.warehouse import Connection

FOLDER = PROJECT / "figures"
PEOPLE = "students_"
"""Counts of students, by the names of their columns: shown to the nearest five."""
Figure = str | int | float


def of(connection: Connection, mart: str, folder: Path = FOLDER) -> dict[str, Figure]:
    """Return what there is to say of a mart after a run; nothing where it has no file or its query no row."""
    path = folder / f"{mart}.sql"
    if not path.exists():
        return {}
    row = connection.cursor(row_factory=dict_row).execute(path.read_bytes()).fetchone() or {}
    return {name: _shown(name, value) for name, value in row.items() if value is not None}


def rounded(people: int) -> int:
    """Return a count of people to the nearest five: a total less its other parts then tells of nobody."""
    return (people + 2) // 5 * 5


def _shown(name: str, value: object) -> Figure:
    return rounded(value) if name.startswith(PEOPLE) and isinstance(value, int) else _plain(value)


def _plain(value: object) -> Figure:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int | float):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)
