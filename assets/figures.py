"""Figures about a mart for the UI: one SQL file per mart, `dbt_project/figures/<mart>.sql`, that returns at most a row.

Its columns become metadata, numbers such that Dagster plots them. What is in the marts is not known here.
"""

from datetime import date
from pathlib import Path

from psycopg.rows import dict_row

from engage.dbt import PROJECT
from engage.warehouse import Connection

FOLDER = PROJECT / "figures"
PEOPLE, FEWEST = "students_", 10
"""Counts of students, by the names of their columns; what is about fewer people than this is not shown."""
Figure = str | int | float


def of(connection: Connection, mart: str, folder: Path = FOLDER) -> dict[str, Figure]:
    """Return what there is to say of a mart after a run; nothing where it has no file or its query no row."""
    path = folder / f"{mart}.sql"
    if not path.exists():
        return {}
    row = connection.cursor(row_factory=dict_row).execute(path.read_bytes()).fetchone() or {}
    found = {name: _plain(value) for name, value in row.items() if value is not None}
    return {name: value for name, value in found.items() if not (name.startswith(PEOPLE) and _is_few(value))}


def _plain(value: object) -> Figure:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int | float):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_few(value: Figure) -> bool:
    return isinstance(value, int) and 0 < value < FEWEST
