"""Where published rows are kept: in `raw.<record>` a partition per source, in it one per month, made when needed."""

from collections.abc import Iterable
from datetime import date

from psycopg import sql

from engage.sources import Source
from engage.warehouse import Connection


def day_column(source: Source) -> str:
    """Name of the column of `raw.<record>` that files a row under a day."""
    return "as_of_date" if source.kind.day_of is None else "activity_date"


def partition(source: Source) -> sql.Identifier:
    """The table with all published rows of the source."""
    return sql.Identifier("raw", f"{source.record}__{source.id}")


def ensure(connection: Connection, source: Source, days: Iterable[date]) -> None:
    """Make the partition of the source and those of the months of `days`, where they are not there.

    The caller holds the source's lock. Commits, so that nobody waits for the lock on the tables above.
    """
    name = f"{source.record}__{source.id}"
    wanted = {name: (sql.Identifier("raw", source.record), sql.SQL("in ({})").format(sql.Literal(source.id)))}
    for month in sorted({day.replace(day=1) for day in days}):
        following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        bounds = sql.SQL("from ({}) to ({})").format(sql.Literal(month), sql.Literal(following))
        wanted[f"{name}_{month:%Y%m}"] = (partition(source), bounds)
    there = connection.execute(
        "select relname from pg_class where relnamespace = 'raw'::regnamespace and relname = any(%s)", [list(wanted)]
    ).fetchall()
    for table, (parent, bounds) in wanted.items():
        if (table,) not in there:
            _attach(connection, source, table, parent, bounds, is_leaf=table != name)


def _attach(
    connection: Connection, source: Source, table: str, parent: sql.Identifier, bounds: sql.Composed, is_leaf: bool
) -> None:
    """Attached rather than created in place, for that would wait for every reader of the parent."""
    by = sql.SQL("" if is_leaf else "partition by range ({})").format(sql.Identifier(day_column(source)))
    new = sql.Identifier("raw", table)
    with connection.transaction():
        connection.execute(sql.SQL("create table {} (like {} including defaults) {}").format(new, parent, by))
        connection.execute(sql.SQL("alter table {} attach partition {} for values {}").format(parent, new, bounds))
        if source.relation == "append" and not is_leaf:
            # To find the earlier version of an event.
            connection.execute(sql.SQL("create index on {} (event_id)").format(new))
