"""Which delivery speaks for a day: the newest published version, by the deliveries' own times.

What has to give way is closed here, and what had given way to a batch that passes no longer is called back. Rows are
publish.py's.
"""

from datetime import date
from typing import cast

from psycopg import sql

from engage.sources import Source
from engage.statements import Statements

IS_NEWER = sql.SQL(
    "(newer.version_at, newer.name, newer.content_hash) > (mine.version_at, mine.name, mine.content_hash)"
)
_CONTAINS_MINE = sql.SQL("""(
    (newer.window_start <= mine.window_start and newer.window_end >= mine.window_end)
    or (
        mine.window_start is null and newer.window_start is null
        and newer.first_day <= mine.first_day and newer.last_day >= mine.last_day
    )
)""")


def supersede(statements: Statements, source: Source, days: list[date]) -> list[int]:
    """Let the newest published version speak for each day, and close batches that speak for no day any more.

    Returns the batches that were closed.
    """
    if source.relation == "append":
        # Published windows stand side by side; only one that did not pass is made good by delivering it again.
        overtaken = sql.SQL("""
            (b.state in ('held', 'rejected') or b.is_released) and exists (
                select from ops.batch as n
                inner join ops.delivery as newer using (delivery_id)
                where
                    n.source_id = d.source_id and n.state = 'published' and {is_newer} and {contains_mine}
            )""")
    else:
        overtaken = sql.SQL("""
            d.day = any(%(days)s) and exists (
                select from ops.batch_day as other
                inner join ops.batch as n using (batch_id)
                inner join ops.delivery as newer using (delivery_id)
                where
                    other.source_id = d.source_id and other.day = d.day and other.is_current
                    and n.state = 'published' and {is_newer}
            )""")
    found = statements.run(
        """
        update ops.batch_day as d set is_current = false
        from ops.batch as b inner join ops.delivery as mine using (delivery_id)
        where d.batch_id = b.batch_id and d.source_id = %(source)s and d.is_current and {overtaken}
        returning d.batch_id
        """,
        days=days,
        overtaken=overtaken.format(is_newer=IS_NEWER, contains_mine=_CONTAINS_MINE),
    )
    closed = statements.run(
        """
        with closed as (
            update ops.batch as b set state = 'superseded'
            from ops.delivery as mine
            where
                b.delivery_id = mine.delivery_id
                and not exists (select from ops.batch_day as d where d.batch_id = b.batch_id and d.is_current)
                and (b.batch_id = any(%(batches)s) or (
                    -- held without a day that is known: made good under its own name only
                    b.source_id = %(source)s and b.state in ('held', 'rejected')
                    and not exists (select from ops.batch_day as d where d.batch_id = b.batch_id)
                    and exists (
                        select from ops.batch as n
                        inner join ops.delivery as newer using (delivery_id)
                        where
                            n.source_id = b.source_id and n.state = 'published' and newer.name = mine.name
                            and {is_newer}
                    )
                ))
            returning b.batch_id
        ),
        told as (
            update quarantine.row as q set state = 'superseded' from closed where q.batch_id = closed.batch_id
        )
        select batch_id from closed
        """,
        batches=[batch_id for (batch_id,) in found],
    )
    return [cast(int, batch_id) for (batch_id,) in closed]


def reinstate(statements: Statements, source: Source, days: list[date]) -> None:
    """Let the batches that had to give way to one whose rows went be processed again: those of these days.

    Of events, which replace one another wherever they lie: the older batches that have fewer rows than they brought.
    """
    if source.relation == "append":
        gave_way: sql.Composable = sql.SQL("""
            b.state = 'published' and b.batch_id <> %(batch)s
            and exists (
                select from ops.delivery as mine
                inner join ops.delivery as newer on newer.delivery_id = %(delivery)s
                where mine.delivery_id = b.delivery_id and {is_newer}
            )
            and b.rows_accepted > (
                select count(*) from {raw} as r
                where r.batch_id = b.batch_id and r.{day} in (
                    select d.day from ops.batch_day as d where d.batch_id = b.batch_id
                )
            )""").format(**statements.parts)
    else:
        gave_way = sql.SQL("""
            b.batch_id <> %(batch)s and exists (
                select from ops.batch_day as d
                where d.batch_id = b.batch_id and d.day = any(%(days)s) and not d.is_current
            )""")
    statements.run(
        "update ops.batch as b set is_stale = true where b.source_id = %(source)s and {gave_way}",
        days=days,
        gave_way=gave_way,
    )
