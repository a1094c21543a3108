"""Which delivery speaks for a day: the newest published version, by the deliveries' own times.

What has to give way is closed here, and what had given way to a batch that passes no longer is called back. Rows are
publish.py's.
"""

from datetime import date

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


def supersede(statements: Statements, source: Source, days: list[date]) -> None:
    """Let the newest published version speak for each day, and close batches that speak for no day any more."""
    if source.relation == "append":
        # Published windows stand side by side; only a held one is made good by delivering it again.
        overtaken = sql.SQL("""
            b.state = 'held' and exists (
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
    statements.run(
        """
        with closed as (
            update ops.batch as b set state = 'superseded'
            from ops.delivery as mine
            where
                b.delivery_id = mine.delivery_id
                and not exists (select from ops.batch_day as d where d.batch_id = b.batch_id and d.is_current)
                and (b.batch_id = any(%(batches)s) or (
                    -- held without a day that is known: made good under its own name only
                    b.source_id = %(source)s and b.state = 'held'
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
        )
        update quarantine.row as q set state = 'superseded' from closed where q.batch_id = closed.batch_id
        """,
        batches=[batch_id for (batch_id,) in found],
    )


def reinstate(statements: Statements, days: list[date]) -> None:
    """Let the batches that had to give way to this one, which passes no longer, be processed again."""
    statements.run(
        """
        update ops.batch as b set is_stale = true from ops.batch_day as d
        where
            b.batch_id = d.batch_id and d.source_id = %(source)s and d.day = any(%(days)s) and not d.is_current
            and b.batch_id <> %(batch)s
        """,
        days=days,
    )
