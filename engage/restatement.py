"""Restatements: published weeks that somebody has scored again, with a reason. And the list of all publications.

A restatement only asks for a further revision, and compares it afterwards; the weekly run makes it like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

from psycopg.rows import class_row, dict_row

from engage.warehouse import Connection

_ASK = """
with asked as (
    insert into ops.publication (week_start, revision, state, reason, asked_by, data_as_of, published_at)
    select week_start, max(revision) + 1, 'pending', %(reason)s, %(by)s, %(now)s, %(now)s
    from ops.publication
    where week_start = any(%(weeks)s)
    group by week_start
    having bool_and(state = 'published')
    on conflict (week_start, revision) do nothing
    returning week_start, revision
)
insert into ops.audit (happened_at, person, action)
select %(now)s, %(by)s, 'asked to restate the week from ' || week_start || ' as revision ' || revision from asked
"""
_STATE = """
with newest as (
    select distinct on (week_start) * from ops.publication
    where week_start = any(%(weeks)s) and state = 'published'
    order by week_start, revision desc
)
select
    newest.week_start, newest.revision,
    (select count(*) from marts.weekly_score as s where s.week_start = newest.week_start) as students,
    (
        select min(s.config_version) from marts.weekly_score as s where s.week_start = newest.week_start
    ) as config_version,
    newest.data_as_of,
    (
        select count(distinct (d.source_id, d.day))
        from ops.batch as b
        inner join ops.batch_day as d using (batch_id)
        inner join ops.source as s on d.source_id = s.source_id
        where
            s.category is not null and b.published_at > newest.data_as_of
            and d.day between newest.week_start - 21 and newest.week_start + 6
    ) as days_delivered_since,
    exists (
        select from ops.publication as p where p.week_start = newest.week_start and p.state = 'pending'
    ) as is_pending
from newest
order by newest.week_start
"""
_SETTLED = """
select week, k.day from unnest(%(weeks)s::date[]) as week inner join ops.kept_from as k on week - 21 < k.day
where k.kind = 'settled' order by week
"""
_CHANGES = """
with newest as (
    select week_start, max(revision) as revision from ops.publication
    where week_start = any(%(weeks)s) and state = 'published' group by week_start
),
revised as (
    select s.week_start, n.revision, s.student_id, s.score, s.revision = n.revision as is_new
    from newest as n inner join marts.weekly_score_revision as s on n.week_start = s.week_start
    where s.revision between n.revision - 1 and n.revision
),
compared as (
    select
        week_start, revision, count(*) as revisions,
        max(score) filter (where not is_new) as old, max(score) filter (where is_new) as new
    from revised
    group by week_start, revision, student_id
)
select
    week_start, revision, count(*) as students,
    count(*) filter (where old is distinct from new or revisions = 1) as differ,
    count(*) filter (where old is null and new is not null) as gained,
    count(*) filter (where old is not null and new is null) as lost,
    avg(abs(new - old)) filter (where new <> old)::double precision as mean_points,
    max(abs(new - old)) as most_points
from compared
group by week_start, revision
order by week_start
"""
LIST = """
with published as (
    select
        week_start, revision, min(config_version) as config_version, count(score) as scored,
        count(*) - count(score) as without_score
    from marts.weekly_score_revision
    group by week_start, revision
),
used as (select distinct week_start, revision, source_id from marts.weekly_score_part)
select
    p.week_start, p.revision, p.state, case when p.state = 'published' then p.published_at end as published_at,
    coalesce(p.config_version, s.config_version) as config_version, p.data_as_of, s.scored, s.without_score,
    array(
        select one.key
        from ops.config_version as c cross join jsonb_each(c.content -> 'sources') as one
        where
            c.config_version = coalesce(p.config_version, s.config_version) and one.value ->> 'category' is not null
            and p.week_start + 6 >= coalesce((one.value ->> 'enabled_from')::date, '-infinity')
            and p.week_start + 6 < coalesce((one.value ->> 'disabled_from')::date, 'infinity')
            and not exists (
                select from used as u
                where u.week_start = p.week_start and u.revision = p.revision and u.source_id = one.key
            )
        order by 1
    ) as left_out,
    p.published_without as late, p.reason, p.asked_by as by
from ops.publication as p
left join published as s using (week_start, revision)
order by p.week_start, p.revision
"""
COLUMNS = (
    *("week_start", "revision", "state", "published_at", "config_version", "data_as_of", "scored", "without_score"),
    *("left_out", "late", "reason", "by"),
)


class RestatementError(Exception):
    """What is asked is not possible. Says why, and what is."""


@dataclass(frozen=True)
class State:
    """A published week as it is before it is restated."""

    week_start: date
    revision: int
    students: int
    config_version: str | None
    data_as_of: datetime
    days_delivered_since: int
    """Days of sources that feed the score, of the week and the three before, delivered after data_as_of."""
    is_pending: bool
    """Somebody has asked for it, and it is not done yet."""


@dataclass(frozen=True)
class Change:
    """How the newest revision of a week differs from the one before it."""

    week_start: date
    revision: int
    students: int
    """In either of them."""
    differ: int
    """Whose score is another, or is there in only one of them."""
    gained: int
    """With a score that had none."""
    lost: int
    mean_points: float | None
    """Mean of the absolute differences of those who have a score in both and another one; None: nobody."""
    most_points: int | None


def weeks_of(first: date, until: date | None) -> list[date]:
    """Return the Mondays from `first` to `until`. Raises RestatementError for another day, naming its Monday."""
    for day in (first, until or first):
        if day.weekday():
            monday = day - timedelta(days=day.weekday())
            raise RestatementError(f"{day} is a {day:%A}; weeks are named by their Monday: {monday}")
    last = until or first
    if last < first:
        raise RestatementError(f"{last} is before {first}")
    return [first + timedelta(days=n) for n in range(0, (last - first).days + 1, 7)]


def state(connection: Connection, weeks: Sequence[date]) -> list[State]:
    """Return how the published ones among `weeks` are now."""
    if not _has_marts(connection):
        return []
    return connection.cursor(row_factory=class_row(State)).execute(_STATE, {"weeks": list(weeks)}).fetchall()


def must_be_published(weeks: Sequence[date], found: Sequence[State]) -> None:
    """Raise RestatementError naming those of `weeks` that are not in `found`."""
    known = {one.week_start for one in found}
    if missing := sorted({str(week) for week in weeks if week not in known}):
        raise RestatementError(
            f"not published, so there is nothing to restate: the week from {', '.join(missing)}"
            " (`engage week list` shows those that are)"
        )


def must_be_there(connection: Connection, weeks: Sequence[date]) -> None:
    """Raise RestatementError naming those of `weeks` that are made from days of which rows may have been deleted."""
    if rows := settled(connection, weeks):
        raise RestatementError(
            f"cannot be restated: the week from {', '.join(str(week) for week, _ in rows)}, for it and the three weeks"
            f" before it are no longer there as a whole; what was before {rows[0][1]} stays as it is, since older rows"
            " have been deleted (docs/retention.md)"
        )


def settled(connection: Connection, weeks: Sequence[date]) -> list[tuple[date, date]]:
    """Return those of `weeks` that are made from days of which rows may have been deleted, each with the first day
    of which everything is there.
    """
    return cast(list[tuple[date, date]], connection.execute(_SETTLED, {"weeks": list(weeks)}).fetchall())


def ask(connection: Connection, weeks: Sequence[date], reason: str, by: str, now: datetime) -> None:
    """Ask for a further revision of `weeks`; asked again while one is pending, it is that one. Commits.

    Raises RestatementError for a week that is not published or too old, and without a reason or a name.
    """
    if not weeks or not reason.strip() or not by.strip():
        raise RestatementError("a restatement needs weeks, a reason, and the name of who asks for it")
    for week in weeks:
        weeks_of(week, None)
    with connection.transaction():
        # Two who ask at the same time ask for one revision.
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.restatement'))")
        must_be_published(weeks, state(connection, weeks))
        must_be_there(connection, weeks)
        connection.execute(_ASK, {"weeks": list(weeks), "reason": reason.strip(), "by": by.strip(), "now": now})
    connection.commit()


def changes(connection: Connection, weeks: Sequence[date]) -> list[Change]:
    """Return what the newest revisions of `weeks` changed."""
    cursor = connection.cursor(row_factory=class_row(Change))
    return cursor.execute(_CHANGES, {"weeks": list(weeks)}).fetchall()


def publications(connection: Connection) -> list[dict[str, Any]]:
    """Return every revision of every week, as `engage week list` shows it."""
    if not _has_marts(connection):
        return []
    return connection.cursor(row_factory=dict_row).execute(LIST).fetchall()


def _has_marts(connection: Connection) -> bool:
    return (
        connection.execute(
            "select from pg_tables where schemaname = 'marts' and tablename = 'weekly_score_part'"
        ).fetchone()
        is not None
    )
