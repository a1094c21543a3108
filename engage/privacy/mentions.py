"""Somebody's references inside texts that are about something else: taken out, and the rest of the text stays.

In which columns that may be is declared with the places; what is deleted whole, and in which order, is erasure's.
"""

import re
from collections.abc import Sequence

from psycopg import sql
from psycopg.types.json import Jsonb

from engage.privacy.places import Person
from engage.warehouse import Connection

ERASED = "erased"
_JSONB = 3802
"""Number of the type in every Postgres."""


def unname(connection: Connection, table: str, columns: Sequence[str], find: str, who: Person) -> int:
    """Take the references out of these columns of the rows that are found; return how many rows changed.

    In a transaction of its own, or the caller's.
    """
    names = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL("select t.tableoid::regclass::text, t.ctid::text, {} from {} as t where {} for update").format(
        names, sql.SQL(table), sql.SQL(find)
    )
    changed = 0
    with connection.transaction():
        cursor = connection.execute(query, who.parameters)
        types = [column.type_code for column in cursor.description or ()][2:]
        for leaf, place, *said in cursor.fetchall():
            plain = [without(value, who, numbers=table == "quarantine.row") for value in said]
            new = {
                column: Jsonb(value) if kind == _JSONB else value
                for column, kind, before, value in zip(columns, types, said, plain, strict=True)
                if value != before
            }
            if new:
                sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in new)
                statement = sql.SQL("update {} set {} where ctid = %s::tid").format(sql.SQL(str(leaf)), sets)
                changed += connection.execute(statement, [*new.values(), place]).rowcount
    return changed


def without(said: object, who: Person, numbers: bool = False) -> object:
    """Return a text, or JSON as deep as it goes, without the references; `numbers`: a number may be one, too."""
    if isinstance(said, str):
        return pattern(who.refs).sub(ERASED, said)
    if isinstance(said, dict):
        return {without(key, who): without(value, who, numbers) for key, value in said.items()}
    if isinstance(said, list):
        return [without(value, who, numbers) for value in said]
    is_number = numbers and isinstance(said, int) and not isinstance(said, bool)
    return ERASED if is_number and str(said) in who.refs else said


def pattern(refs: Sequence[str]) -> re.Pattern[str]:
    """Return what finds any of the references as a word of its own, as `Person.parameters` does for Postgres."""
    either = "|".join(re.escape(ref) for ref in sorted(refs, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])({either})(?![^\W_])", re.IGNORECASE)
