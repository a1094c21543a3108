"""Visible rows: how those of a batch come into `raw` and go from it, and the days on which that changed anything.

Which batch may do so, and for which days, is decided in publish.py and precedence.py.
"""

from datetime import date
from decimal import Decimal
from typing import cast

from psycopg import sql

from engage.sources import Source
from engage.statements import Statements

Change = tuple[date, int, Decimal | None]
"""A day, how many rows came less those that went, and the same of a hash of them; None where no row went."""


_NET = """
        returning r.{day}, case when %(is_compared)s or exists (select from gone) then {hash} end as told
    )
    select {day}, sum(rows)::bigint, sum(told)
    from (
        select {day}, -1 as rows, -told::numeric as told from gone
        union all
        select {day}, 1, told from put
    ) as change
    group by {day}
"""


def take_away(statements: Statements, batches: list[int]) -> list[Change]:
    """Remove the visible rows of these batches; return what went."""
    days = statements.dates("select day from ops.batch_day where batch_id = any(%(batches)s)", batches=batches)
    found = statements.run(
        """
        with gone as (
            delete from {raw} as r where batch_id = any(%(batches)s) and {day} = any(%(days)s)
            returning r.{day}, {hash} as told
        )
        select {day}, -count(*), -sum(told) from gone group by {day}
        """,
        batches=batches,
        days=list(days),
    )
    return cast(list[Change], found)


def replace(statements: Statements, source: Source, is_compared: bool) -> list[Change]:
    """Replace all rows of the days that the batch speaks for; return what went and came."""
    days = [d for (d,) in statements.run("select day from ops.batch_day where batch_id = %(batch)s and is_current")]
    # A student is one row; of two the later counts.
    distinct, order = "distinct on (student_id)", "order by student_id, row_number desc"
    if source.record != "students":
        distinct = order = ""
    return _exchange(
        statements,
        """
        with gone as (delete from {raw} as r where {day} = any(%(days)s) returning r.{day}, {hash} as told),
        put as (
            insert into {raw} as r (source_id, {day}, batch_id, row_number, {columns})
            select {distinct} %(source)s, day, %(batch)s, row_number, {values}
            from {rows} where day = any(%(days)s) and {good} {order}
        """,
        is_compared,
        days=days,
        distinct=sql.SQL(distinct),
        order=sql.SQL(order),
    )


def append(statements: Statements, is_compared: bool) -> list[Change]:
    """Add events, and replace those that an older delivery had; return what went and came."""
    return _exchange(
        statements,
        """
        with fresh as (
            -- the rules once more: by them few rows are expected, so each is looked up by its id, not in all history
            select * from (select * from {rows} where {good} offset 0) as good where {met}
        ),
        there as (
            select r.event_id, r.{day}, {is_newer} as is_newer
            from {raw} as r
            inner join fresh using (event_id)
            inner join ops.batch as b on r.batch_id = b.batch_id
            inner join ops.delivery as newer on b.delivery_id = newer.delivery_id
            inner join ops.delivery as mine on mine.delivery_id = %(delivery)s
        ),
        gone as (
            delete from {raw} as r using there
            where r.event_id = there.event_id and r.{day} = there.{day} and not there.is_newer
            returning r.{day}, {hash} as told
        ),
        put as (
            insert into {raw} as r (source_id, {day}, batch_id, row_number, {columns})
            select %(source)s, day, %(batch)s, row_number, {values}
            from fresh where not exists (select from there where there.event_id = fresh.event_id and is_newer)
        """,
        is_compared,
    )


def _exchange(statements: Statements, statement: str, is_compared: bool, **more: object) -> list[Change]:
    """Run a statement whose `gone` deletes rows and whose `put`, not closed yet, inserts; return both per day.

    `is_compared`: rows went already. Else those that come are hashed only when some go here.
    """
    found = statements.run(statement + _NET, is_compared=is_compared, **more)
    return cast(list[Change], found)


def touch(statements: Statements, changes: list[Change]) -> int:
    """Have the days rebuilt whose rows are not what they were; return how many."""
    net: dict[date, tuple[int, Decimal]] = {}
    for day, rows, told in changes:
        before = net.get(day, (0, Decimal()))
        net[day] = (before[0] + rows, before[1] + (told or Decimal()))
    days = [day for day, (rows, told) in net.items() if rows or told]
    statements.run(
        "insert into ops.touched_day (source_id, day) select %(source)s, day from unnest(%(days)s::date[]) as day"
        # Of a day whose other rows have been deleted, the mart would be made anew from what is left.
        " where day >= all(select day from ops.kept_from where kind = 'source' and source_id = %(source)s)"
        # Takes the row's lock: who claims the day waits for us, and rebuilds it with our rows.
        " on conflict (source_id, day, is_claimed) do update set touched_at = now()",
        days=days,
    )
    return len(days)
