"""Editions of the governance summary: which are due, and the making of one, whole or not at all.

A week is published once: what an edition shows of it is what the first one that had it showed, unless its scores were
restated since. So late files, corrections and the erasure of a student move nothing between editions, and a difference
between two of them tells nothing of anybody. What is counted is exact.py's, what is shown of it rows.py's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from psycopg import sql
from psycopg.rows import class_row, tuple_row

from engage.decisions import DecisionError
from engage.governance import aftermath, besides, exact, rows, subject_requests
from engage.governance.figures import figures
from engage.governance.periods import SCHEDULED, Calendar, Kind, Period, calendar
from engage.governance.relations import ALL, SCORED, Group, Week
from engage.governance.rows import Published, Row
from engage.warehouse import Connection

NOTIFICATIONS = tuple(
    f"{kind}:{status}"
    for kind in ("no_digital_activity", "low_activity", "score")
    for status in ("raised", "held", "dropped", "undetermined")
)
_CASE_ACTIONS = ("open", "append")
_LISTED_FROM = 3
"""A group, outcome or type that never had so many is not named: that it is there would tell of somebody."""
_ARCHIVE = """
select distinct on (f.period_start, f.figure_id, f.dimension, f.member, f.category)
    f.figure_id, f.period_start, f.dimension, f.member, f.category, f.value, f.base, f.suppressed
from governance.figure as f
inner join (
    select distinct on (f.period_start) f.period_start, f.edition_id
    from governance.figure as f inner join governance.edition as e using (edition_id)
    where f.figure_id = 'students_scored' and f.dimension = 'all' and f.period_start = any(%(weeks)s)
    order by f.period_start, e.made_at desc, e.edition_id desc
) as newest using (edition_id, period_start)
where f.figure_id = any(%(figures)s) and (f.figure_id not in ('notifications', 'flagged_share') or f.{week_rows})
order by f.period_start, f.figure_id, f.dimension, f.member, f.category
""".replace("f.{week_rows}", "(f.figure_id = 'notifications' and f.dimension = 'all') or f.category = 'week'")
_RESTATED = """
select p.week_start
from ops.publication as p
inner join governance.figure as f
    on f.period_start = p.week_start and f.figure_id = 'students_scored' and f.dimension = 'all'
inner join governance.edition as e using (edition_id)
where p.week_start = any(%(weeks)s) and p.revision > 1 and p.state = 'published'
group by p.week_start
having max(p.published_at) > max(e.made_at)
"""
_PERIODS = """
select e.edition_id, e.period_start, e.period_end, f.category, f.member, f.value
from governance.edition as e
inner join governance.figure as f using (edition_id)
where
    f.figure_id = 'notifications' and f.dimension = 'faculty'
    and e.period_start <= %(until)s and e.period_end >= %(since)s
"""
_SAME = """
select edition_id, made_at from governance.edition
where kind = %(kind)s and period_start = %(start)s and period_end = %(end)s
order by made_at desc, edition_id desc
"""
_PERIODS_MADE = "select distinct period_start, period_end from governance.edition where kind = %s"
_NUMBER = "select count(*) + 1 from governance.edition where kind = %(kind)s and period_end = %(end)s"
"""Periods that end together have one name, of which each is a number."""
_LAST_RESTATED = """
select max(published_at) from ops.publication where week_start = any(%s) and revision > 1 and state = 'published'
"""
_EDITION = """
insert into governance.edition (
    edition_id, kind, title, period_start, period_end, data_as_of, config_version, made_at, previous_edition_id
)
select
    %(edition)s, %(kind)s, %(title)s, %(start)s, %(end)s,
    coalesce(
        (select max(data_as_of) from ops.publication where week_start = any(%(weeks)s) and state = 'published'), %(now)s
    ),
    config_version, %(now)s,
    (
        select edition_id from governance.edition where kind = %(kind)s and period_end <= %(end)s
        order by period_end desc, made_at desc, edition_id desc limit 1
    )
from ops.scoring_parameter
"""
_COPY = """
copy governance.figure (edition_id, figure_id, period_start, dimension, member, category, value, base, suppressed)
from stdin
"""
_CONTENT = "select (to_jsonb(t) - 'edition_id')::text from {} as t where edition_id = %s order by 1"
_DELETE = "delete from {} where edition_id = %s"
_TABLES = [sql.Identifier("governance", name) for name in ("figure", "source_week", "change", "source_register")]


def due(connection: Connection, now: datetime) -> list[tuple[Kind, Period]]:
    """Return which scheduled editions have not been made, or rest on a week that was restated since.

    By kind, the oldest first. Of a kind never made before it is the newest alone, later whatever was missed of the
    weeks of a trend.
    """
    known = calendar(connection, now)
    asked = [(kind, period) for kind in SCHEDULED for period in _expected(connection, kind, known)]
    return [(kind, period) for kind, period in asked if _made(connection, kind, period) is None]


def _expected(connection: Connection, kind: Kind, known: Calendar) -> list[Period]:
    """Return the periods that have an edition or should: the newest, and what ended in the trend since the first."""
    if not (periods := known.all(kind)):
        return []
    made = set(connection.cursor(row_factory=tuple_row).execute(_PERIODS_MADE, [kind]))
    # a long history taken in at once is not summed up week by week
    since = known.trend(known.weeks[-1])[0]
    first = min((start for start, _ in made), default=date.max)
    return [
        one
        for one in periods
        if one == periods[-1] or (one.start, one.end) in made or (one.start >= first and one.end >= since)
    ]


def make(connection: Connection, kind: Kind, period: tuple[date, date] | None, now: datetime) -> str:
    """Make an edition in a transaction of its own and return its id; one that would say the same is returned instead.

    `period`: first and last day; None: the newest that is over, on request the term so far. Raises DecisionError if
    nothing of it is published.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('engage.governance'))")
        known = calendar(connection, now)
        asked = known.between(kind, *period) if period else known.of(kind)
        if asked is None:
            raise DecisionError(known.why_none(kind))
        if kind != "on_request" and (made := _made(connection, kind, asked)):
            return made
        return _make(connection, kind, asked, known, now)


def _made(connection: Connection, kind: Kind, period: Period) -> str | None:
    """Return the newest edition of just this kind and period if none of its weeks was restated since."""
    given = {"kind": kind, "start": period.start, "end": period.end}
    found = connection.execute(_SAME, given).fetchall()
    ((restated,),) = connection.execute(_LAST_RESTATED, [list(period.weeks)]).fetchall()
    return str(found[0][0]) if found and (restated is None or found[0][1] >= restated) else None  # type: ignore[operator]


def _make(connection: Connection, kind: Kind, period: Period, known: Calendar, now: datetime) -> str:
    weeks = sorted({*known.trend(period.weeks[-1]), *period.weeks})
    given = {"kind": kind, "start": period.start, "end": period.end}
    same = [str(row[0]) for row in connection.execute(_SAME, given).fetchall()]
    ((number,),) = connection.cursor(row_factory=tuple_row).execute(_NUMBER, given).fetchall()
    edition = f"{kind}-{period.end}" + (f"-{number}" if number > 1 or kind == "on_request" else "")
    connection.execute(
        _EDITION,
        {"edition": edition, "title": period.title, "weeks": weeks, "now": now, **given},
    )
    published = _rows(connection, kind, period, weeks, known)
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in sorted(published, key=lambda row: row.key):
            copy.write_row((edition, *row.key, row.value, row.base, row.suppressed))
    besides.write(connection, edition, weeks, period.start, period.end, now)
    if same and kind == "on_request" and _content(connection, edition) == _content(connection, same[0]):
        for table in (*_TABLES, sql.Identifier("governance", "edition")):
            connection.execute(sql.SQL(_DELETE).format(table), [edition])
        return same[0]
    return edition


def _content(connection: Connection, edition: str) -> list[list[tuple[object, ...]]]:
    """Return all that an edition says, but not when it was made."""
    return [connection.execute(sql.SQL(_CONTENT).format(table), [edition]).fetchall() for table in _TABLES]


def _rows(connection: Connection, kind: Kind, period: Period, weeks: Sequence[date], known: Calendar) -> list[Row]:
    """Return all that an edition shows of people: of weeks shown before the same as then, of others anew."""
    by_week = [one.id for one in figures().values() if one.span != "period"]
    given = {"weeks": weeks, "figures": by_week}
    old = _archive(connection, weeks, by_week)
    restated = {week for (week,) in connection.cursor(row_factory=tuple_row).execute(_RESTATED, given)}
    shown = {row.period_start for row in old}
    of_scores = {one.id for one in figures().values() if one.section == "trends"} | {"flagged_share"}
    old = [row for row in old if not (row.period_start in restated and row.figure_id in of_scores)]
    archive = _published(connection, period, known.weeks)
    related = sorted({*period.weeks, *(week for before in archive for week in before.weeks)})
    exact.prepare(connection, sorted({*weeks, *related}))

    new = [week for week in weeks if week not in shown]
    scored = exact.weeks_of_scores(connection, [*new, *sorted(restated)])
    groups = _listed(old, scored.values())
    found = list(old)
    for one in scored.values():
        found += rows.of_scores(_with_empty(one, groups), groups)

    flows = exact.flows(connection, sorted({*weeks, *related}))
    faculties = sorted({f for flow in flows for _, f in flow.atoms} | {m for d, m in groups if d == "faculty"})
    found += rows.of_notifications(
        flows, NOTIFICATIONS, sorted({*new, *related}), faculties,
        listed={member for dimension, member in groups if dimension == "faculty"},
        start=period.start, period=period.weeks,
        week_rows=_week_rows(connection, old, related), archive=archive,
    )  # fmt: skip
    events: dict[str, dict[date, dict[str, int]]] = {"contacts": {}, "case_actions": {}, "exemptions": {}}
    for flow in flows:
        for (week, _), n in flow.atoms.items():
            counted = events.setdefault(flow.figure_id, {}).setdefault(week, {})
            counted[flow.category] = counted.get(flow.category, 0) + n
    for (week, category), n in exact.exempt(connection, new).items():
        events["exemptions"].setdefault(week, {})[category] = n
    for figure in ("contacts", "case_actions", "exemptions"):
        counts = events[figure]
        categories = _CASE_ACTIONS if figure == "case_actions" else _named(figure, old, counts, new)
        found += [row for one in new for row in rows.of_events(figure, one, counts.get(one, {}), categories)]

    followed = timedelta(days=6 + 7 * aftermath.FOLLOWED_WEEKS)
    judged = {row.period_start for row in old if row.figure_id == "score_hit_share"}
    ripe = [week for week in weeks if week not in judged and week + followed <= period.end]
    found += rows.of_hits(found, aftermath.hits(connection, ripe))
    found += rows.of_period(found, period.start, period.weeks)
    known_since = known.term_start(period.weeks[-1])
    found += rows.of_outcomes(aftermath.outcomes(connection, known_since, period.end), period.start)
    found += rows.of_totals("ladder_steps", period.start, aftermath.steps(connection))
    deletions = aftermath.rights(connection, period.start, period.end)["deletions"]
    found += rows.of_totals("deletions", period.start, deletions)
    found += subject_requests.of_edition(connection, kind, period)
    return found


def _archive(connection: Connection, weeks: Sequence[date], figure_ids: Sequence[str]) -> list[Row]:
    """Return what the newest edition that has a week shows of it."""
    given = {"weeks": list(weeks), "figures": list(figure_ids)}
    return connection.cursor(row_factory=class_row(Row)).execute(_ARCHIVE, given).fetchall()


def _published(connection: Connection, period: Period, weeks: Sequence[date]) -> list[Published]:
    """Return what earlier editions show of notifications by faculty, of periods that share a week with this one."""
    values: dict[tuple[str, date, date], dict[tuple[str, str], float | None]] = {}
    given = {"since": period.start, "until": period.end}
    for *edition_of, category, member, value in connection.cursor(row_factory=tuple_row).execute(_PERIODS, given):
        edition, start, end = edition_of
        values.setdefault((edition, start, end), {})[category, member] = value
    return [
        Published(edition, frozenset(week for week in weeks if start <= week <= end), shown)
        for (edition, start, end), shown in sorted(values.items())
    ]


def _week_rows(
    connection: Connection, old: Iterable[Row], related: Sequence[date]
) -> dict[tuple[date, str], float | None]:
    """Return what is shown already of notifications by week and category, also of weeks beyond this edition."""
    found = _archive(connection, related, ["notifications"])
    return {(row.period_start, row.category): row.value for row in [*found, *old] if row.figure_id == "notifications"}


def _listed(old: Iterable[Row], weeks: Iterable[Week]) -> set[tuple[str, str]]:
    """Return the groups that are named: those that have, or had in a week shown, more than a very few students."""
    scored = {(r.dimension, r.member) for r in old if r.figure_id == SCORED and (r.value or r.suppressed)}
    before = scored | {(r.dimension, r.member) for r in old if r.figure_id == "flagged_share" and r.base}
    now = {(g.dimension, g.member) for week in weeks for g in week.groups if g.counts[SCORED] >= _LISTED_FROM}
    return {place for place in before | now if place[0] != ALL}


def _with_empty(week: Week, listed: Iterable[tuple[str, str]]) -> Week:
    """Return a week with the groups that nobody is in: a group that is not there would have nobody for certain."""
    there = {(group.dimension, group.member) for group in week.groups}
    zeros = dict.fromkeys(week.groups[0].counts, 0)
    empty = [Group(*place, zeros) for place in sorted(set(listed) - there)]
    return replace(week, groups=[*week.groups, *empty])


def _named(figure: str, old: Iterable[Row], found: dict[date, dict[str, int]], new: Sequence[date]) -> list[str]:
    """Return the categories that had more than a very few in a week."""
    before = {row.category for row in old if row.figure_id == figure and row.value}
    now = {category for week in new for category, n in found.get(week, {}).items() if n >= _LISTED_FROM}
    return sorted(before | now)
