"""What the marts still have to take in: days whose rows changed, and teaching weeks that have ended.

The questions that start a dbt run. The numbers themselves are made in dbt_project.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from engage.warehouse import Connection, connect

# A week is due on the Monday after it, at six in the morning of the institution.
DUE_WEEKS = """
with newest as (
    select source_id, max(as_of_date) as as_of_date from raw.term_calendar group by source_id
),
teaching_weeks as (
    select distinct week_start::date as week_start
    from raw.term_calendar
    inner join newest using (source_id, as_of_date)
    cross join generate_series(date_trunc('week', starts_on::timestamp), ends_on, interval '7 days') as week_start
    where kind = 'teaching'
)
insert into ops.publication (week_start, revision, state, data_as_of, published_at)
select week_start, 1, 'pending', %(now)s, %(now)s
from teaching_weeks
cross join ops.scoring_parameter as parameter
where
    (week_start + 7 + time '06:00') at time zone parameter.time_zone <= %(now)s
    and week_start + 6 >= (select min(day) from ops.coverage)
on conflict (week_start, revision) do nothing
"""
REFRESH = "update ops.publication set data_as_of = %(now)s, published_at = %(now)s where state = 'pending'"


def request_due_weeks(connection: Connection, now: datetime) -> int:
    """Ask for the score of every ended teaching week that has none; return how many weeks are now pending.

    Only weeks from the first covered day on. Weeks still pending (a killed run) are dated anew. Commits.
    """
    with connection.transaction():
        connection.execute(DUE_WEEKS, {"now": now})
        return connection.execute(REFRESH, {"now": now}).rowcount


@contextlib.contextmanager
def nothing_published(url: str) -> Iterator[None]:
    """Keep batches from being loaded or published meanwhile; everything may still be read.

    A batch published between the rebuild of the days and the scores would count as covered, and its rows as silence.
    """
    with connect(url) as connection:
        connection.execute("lock table ops.batch in share mode")
        yield


@dataclass(frozen=True)
class Touched:
    """Days that wait to be rebuilt."""

    days: int
    last_at: datetime | None


def touched_days(connection: Connection) -> Touched:
    """Return how many (source, day) wait to be rebuilt, and when the last of them was touched."""
    cursor = connection.cursor(row_factory=class_row(Touched))
    return cursor.execute("select count(*) as days, max(touched_at) as last_at from ops.touched_day").fetchall()[0]
