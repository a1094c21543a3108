"""SQL about one source: the names and expressions that differ between sources are filled in, the batch's values passed.

Knows nothing of what the statements do.
"""

from datetime import date
from typing import cast

from psycopg import sql

from engage.warehouse import Connection


class Statements:
    """Runs statements with `parts` in braces, and parameters, of which `given` are those of the batch."""

    def __init__(self, connection: Connection, **parts: sql.Composable) -> None:
        self.connection = connection
        self.given: dict[str, object] = {}
        self.parts: dict[str, sql.Composable] = dict(parts)

    def run(self, statement: str, **more: object) -> list[tuple[object, ...]]:
        """Execute a statement and return its rows; values given as SQL are parts, the others parameters."""
        parts = {name: value for name, value in more.items() if isinstance(value, sql.Composable)}
        composed = sql.SQL(statement).format(**(self.parts | parts))
        cursor = self.connection.execute(composed, self.given | more)
        return cursor.fetchall() if cursor.description else []

    def dates(self, statement: str, **more: object) -> set[date]:
        """Execute a statement that returns one column of days."""
        return {cast(date, day) for (day,) in self.run(statement, **more)}
