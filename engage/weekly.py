"""What the marts still have to take in: days whose rows changed, and teaching weeks that have ended.

The questions that start a dbt run, and until when a week waits for what is late. The numbers themselves are made in
dbt_project; what is scored again is restatement.py's.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from engage.warehouse import Connection, connect

WEEKS = """
with newest as (
    select source_id, max(as_of_date) as as_of_date from raw.term_calendar group by source_id
),
calendar as materialized (
    select programme_code, cohort, kind, starts_on, ends_on
    from raw.term_calendar inner join newest using (source_id, as_of_date)
),
due as (
    select distinct week_start::date as week_start
    from calendar
    cross join generate_series(date_trunc('week', starts_on::timestamp), ends_on, interval '7 days') as week_start
    cross join ops.scoring_parameter as parameter
    where
        kind = 'teaching'
        and (week_start::date + 7 + publish_at) at time zone time_zone <= %(now)s
        and week_start::date + 6 >= (
            select min(day) from ops.coverage inner join ops.source using (source_id) where category is not null
        )
        and exists (select from raw.enrolments)
),
pending as (select distinct week_start from ops.publication where state = 'pending'),
weeks as materialized (
    select week_start, false as is_pending from due
    where not exists (select from ops.publication as known where known.week_start = due.week_start)
    union all
    select week_start, true from pending
),
complete as materialized (
    select source_id, day from ops.coverage
    where
        is_complete
        and day between (select min(week_start) - %(alive_days)s::integer from weeks)
        and (select max(week_start) + 6 from weeks)
),
expected as (
    select weeks.week_start, source_id, weeks.week_start + n as day
    from weeks cross join ops.source cross join generate_series(0, 6) as n cross join ops.scoring_parameter
    where
        category is not null
        and weeks.week_start + n >= coalesce(enabled_from, '-infinity')
        -- of what is not collected any more nothing is late
        and coalesce(disabled_from > (%(now)s at time zone time_zone)::date, true)
        and to_char(weeks.week_start + n, 'Dy') <> all(string_to_array(quiet_weekdays, ','))
        and not exists (
            select from calendar
            where
                weeks.week_start + n between starts_on and ends_on
                and coalesce(programme_code, '') = '' and coalesce(cohort, '') = ''
                and (kind = 'closure' or kind = any(string_to_array(quiet_in, ',')))
        )
),
late as (
    select distinct week_start, source_id from expected
    where
        not exists (select from complete where complete.source_id = expected.source_id and complete.day = expected.day)
        -- what has been dead for weeks, or never came, is not worth waiting for
        and exists (
            select from complete
            where
                complete.source_id = expected.source_id
                and complete.day between week_start - %(alive_days)s::integer and week_start + 6
        )
)
select
    week_start, is_pending,
    array(select source_id from late where late.week_start = weeks.week_start order by 1) as late,
    (week_start + 7 + wait_until) at time zone time_zone as until, time_zone
from weeks cross join ops.scoring_parameter
order by week_start
"""
ALIVE = timedelta(days=21)
"""A source without a complete day in the week and in so many days before it keeps nobody waiting."""
_ON_ITS_WAY = """
select count(*)
from (
    select source_id, landed_at as since
    from ops.delivery left join ops.batch using (source_id, delivery_id)
    where state is null or state = 'loading'
    union all
    select source_id, decided_at from ops.decision inner join ops.batch using (batch_id) where is_stale
    union all
    -- what still grows is seen anew at every look, and may do so for ever
    select source_id, seen_at from ops.sighting
    where delivery_id is null and problem is null and seen_at <= %(settled)s
) as waiting
inner join ops.source using (source_id)
cross join ops.scoring_parameter
where since > %(since)s and coalesce(disabled_from > (%(now)s at time zone time_zone)::date, true)
"""
WAITS_AT_MOST = timedelta(hours=12)
"""For what has been seen or landed and is not through the gate: after that it is stuck, and keeps nobody waiting."""
_STANDS_STILL = timedelta(minutes=1)
_REQUEST = """
insert into ops.publication (week_start, revision, state, data_as_of, published_at)
select week_start, 1, 'pending', %(now)s, %(now)s from unnest(%(weeks)s::date[]) as week_start
on conflict (week_start, revision) do nothing
"""
_REFRESH = """
update ops.publication set data_as_of = %(now)s, published_at = %(now)s, published_without = %(late)s
where state = 'pending' and week_start = %(week)s
"""


_STANDING = """
select
    to_regclass('marts.weekly_score') is not null,
    to_regclass('marts.score_trend') is not null and to_regclass('marts.score_distribution') is not null
    and to_regclass('intermediate.int_rule_fact') is not null
"""
_BEHIND = """
select
from (
    select week_start, max(revision) as revision from ops.publication where state = 'published' group by week_start
) as p
inner join lateral (
    select from marts.weekly_score as s where (s.week_start, s.revision) = (p.week_start, p.revision) limit 1
) as scored on true
where
    not exists (select from marts.score_trend as t where (t.week_start, t.revision) = (p.week_start, p.revision))
    or not exists (
        select from marts.score_distribution as d where (d.week_start, d.revision) = (p.week_start, p.revision)
    )
    or not exists (
        select from intermediate.int_rule_fact as f where (f.week_start, f.revision) = (p.week_start, p.revision)
    )
limit 1
"""


@dataclass(frozen=True)
class Week:
    """A teaching week that is due and not scored, or pending."""

    week_start: date
    is_pending: bool
    """Asked for already: a run was killed, or somebody restates it."""
    late: list[str]
    """Sources that feed the score and may still deliver a day of the week that they have not completed."""
    until: datetime
    """When it is published without them."""
    time_zone: str

    def waits(self, now: datetime) -> bool:
        """Say whether it waits for what is late. Weeks before the newest have waited on their own Monday."""
        return bool(self.late) and not self.is_pending and now < self.until


@dataclass(frozen=True)
class Due:
    """What there is to score at a moment."""

    ready: list[Week]
    waiting: list[Week]
    """For late sources; one at most, the newest."""
    on_its_way: int
    """Deliveries that stand still and are not through the gate yet: every week waits for them."""

    def __str__(self) -> str:
        """Say it in a sentence or two."""
        if not self.ready and not self.waiting:
            return "Every week that is due has been scored."
        if self.on_its_way:
            weeks = len(self.ready) + len(self.waiting)
            return f"{weeks} weeks wait for {self.on_its_way} deliveries that are not through the gate yet."
        said = [f"{len(self.ready)} weeks to score."] * bool(self.ready)
        for week in self.waiting:
            until = week.until.astimezone(ZoneInfo(week.time_zone))
            late = ", ".join(week.late)
            said.append(f"The week from {week.week_start} waits for {late} until {until:%H:%M} ({week.time_zone}).")
        return " ".join(said)


def due(connection: Connection, now: datetime) -> Due:
    """Return the ended teaching weeks that are not scored: those to score now, and the one that waits."""
    cursor = connection.cursor(row_factory=class_row(Week))
    weeks = cursor.execute(WEEKS, {"now": now, "alive_days": ALIVE.days}).fetchall()
    waiting = [week for week in weeks if week.waits(now)]
    return Due([week for week in weeks if week not in waiting], waiting, on_its_way(connection, now))


def on_its_way(connection: Connection, now: datetime) -> int:
    """Return how many deliveries have been seen or landed of late, stand still, and are not through the gate yet."""
    given = {"now": now, "since": now - WAITS_AT_MOST, "settled": now - _STANDS_STILL}
    row = connection.execute(_ON_ITS_WAY, given).fetchone()
    return cast(int, row[0]) if row else 0


def request_due_weeks(connection: Connection, now: datetime) -> Sequence[Week]:
    """Ask for the score of every ended teaching week that has none and need not wait; return the weeks now pending.

    Only weeks from the first day covered by a source that counts, with a roster, and with nothing on its way: what is
    published stays. Weeks still pending (a killed run) are dated anew. Which sources were late is noted. Commits.
    """
    with connection.transaction():
        found = due(connection, now)
        asked = [week for week in found.ready if week.is_pending or not found.on_its_way]
        connection.execute(_REQUEST, {"now": now, "weeks": [week.week_start for week in asked if not week.is_pending]})
        connection.cursor().executemany(
            _REFRESH, [{"now": now, "late": week.late, "week": week.week_start} for week in asked]
        )
    return asked


def trends_are_behind(connection: Connection) -> bool:
    """Say whether a published week lacks what follows from it: a run was killed after its scores were published."""
    scores, followers = connection.execute(_STANDING).fetchall()[0]
    return bool(scores) and not (followers and connection.execute(_BEHIND).fetchone() is None)


@contextlib.contextmanager
def one_at_a_time(url: str) -> Iterator[None]:
    """Wait for other dbt runs over this warehouse, by whatever process, and keep them waiting."""
    with connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('engage.dbt'))")
        yield


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
