"""What a configuration would change: one week scored by the one in force and by another, on today's data, and compared.

By the models that publish, in one transaction that is always rolled back: nobody else ever sees its tables, and nothing
is left of it however it ends. No definition of a score belongs here.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composable, Identifier

from engage import dbt, restatement
from engage.configuration import OPS, content_of, difference, version_in_force, write
from engage.scoring import Scoring
from engage.sources import Source
from engage.warehouse import Connection, connect
from engage.weekly import one_at_a_time

Row = dict[str, Any]

_TABLES = ("scoring_parameter", "category_weight", "peer_level", "source")
_LAST = "weekly_score_revision"


class NothingToCompareError(Exception):
    """There is no such week, or nobody in it. Says why."""


@dataclass(frozen=True)
class Preview:
    """What would change. `before`: the configuration in force; `after`: the other."""

    week_start: date
    version_before: str
    version_after: str
    difference: list[str]
    thresholds: dict[str, list[int]]
    """Name -> points before and after."""
    total: Row
    groups: list[Row]
    """Like `total`, by the peer groups before."""
    students: list[Row]
    """Who would be below a threshold newly or no longer, who would gain or lose the score."""


_WEEK = "select max(week_start) from ops.publication where state = 'published'"
_PENDING = """
insert into {schema}.publication (week_start, revision, state, data_as_of, published_at)
values (%(week)s, 1, 'pending', %(now)s, %(now)s)
"""
_KEPT = """
create temporary table {name} on commit drop as
select s.student_id, s.peer_level, s.peer_group, s.score, p.attention_below, p.concern_below
from {schema}.weekly_score_revision as s cross join {schema}.scoring_parameter as p
"""
_COMPARED = """
create temporary table compared on commit drop as
select
    coalesce(b.student_id, a.student_id) as student_id,
    b.peer_level,
    b.peer_group,
    b.score as score_before,
    a.score as score_after,
    abs(a.score - b.score) as points,
    a.score is not null and b.score is null as gains,
    a.score is null and b.score is not null as loses,
    coalesce(b.score < b.attention_below, false) as attention_before,
    coalesce(a.score < a.attention_below, false) as attention_after,
    coalesce(b.score < b.concern_below, false) as concern_before,
    coalesce(a.score < a.concern_below, false) as concern_after
from before as b full outer join after as a using (student_id)
"""
_COUNTED = """
select
    peer_level, peer_group,
    count(points) as students,
    count(*) filter (where points = 0) as unchanged,
    count(*) filter (where points between 1 and 25) as by_1_25,
    count(*) filter (where points between 26 and 50) as by_26_50,
    count(*) filter (where points between 51 and 100) as by_51_100,
    count(*) filter (where points > 100) as by_over_100,
    avg(points)::double precision as mean_points,
    max(points) as largest,
    count(*) filter (where gains) as gain_a_score,
    count(*) filter (where loses) as lose_the_score,
    count(*) filter (where attention_before) as below_attention_before,
    count(*) filter (where attention_after and not attention_before) as newly_below_attention,
    count(*) filter (where attention_before and not attention_after) as no_longer_below_attention,
    count(*) filter (where concern_before) as below_concern_before,
    count(*) filter (where concern_after and not concern_before) as newly_below_concern,
    count(*) filter (where concern_before and not concern_after) as no_longer_below_concern
from compared
group by grouping sets ((), (peer_level, peer_group))
order by grouping(peer_level) desc, peer_level collate "C", peer_group collate "C"
"""
_STUDENTS = """
select
    student_id, score_before, score_after,
    array_remove(array[
        case when gains then 'gains a score' when loses then 'loses the score' end,
        case
            when attention_after and not attention_before then 'newly below attention'
            when attention_before and not attention_after then 'no longer below attention'
        end,
        case
            when concern_after and not concern_before then 'newly below concern'
            when concern_before and not concern_after then 'no longer below concern'
        end
    ], null) as what
from compared
where gains or loses or attention_before <> attention_after or concern_before <> concern_after
order by student_id collate "C"
"""


def preview(
    url: str,
    home: Path,
    scoring: Scoring,
    sources: dict[str, Source] | None,
    week: date | None,
    now: datetime,
    tell: Callable[[str], None] = lambda said: None,
) -> Preview:
    """Compare a week (None: the newest published) under the configuration in force and under another.

    Without `sources` those in force stay. `tell` hears how far it is. Raises NothingToCompareError, DbtError.
    """
    # Of another transaction nobody sees it; two of the same name would wait for each other.
    schema = f"preview_{os.getpid()}"
    tell("waiting until no marts are being made")
    # To this transaction, a table that dbt made anew after it began has no rows.
    with one_at_a_time(url), connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            week_start = _week(connection, week)
            connection.rollback()
            tell("preparing the models")
            models = dbt.copies(url, _LAST, {*_TABLES, "publication", "coverage"}, schema, home)
            _prepare(connection, schema, week_start, now)
            version_before = version_in_force(connection) or ""
            tell(f"scoring the week from {week_start} by the configuration in force, {version_before}")
            _score(connection, schema, models, "before")
            version_after, content = write(connection, schema, scoring, sources, now)
            tell(f"and by the other, {version_after}")
            _score(connection, schema, models, "after")
            connection.execute(_COMPARED)
            total, *groups = _rows(connection, _COUNTED)
            if not total["students"] + total["gain_a_score"] + total["lose_the_score"]:
                raise NothingToCompareError(
                    f"nobody has a score in the week from {week_start}: not a teaching week, or there is no data of it"
                )
            for name in ("peer_level", "peer_group"):
                del total[name]
            return Preview(
                week_start=week_start,
                version_before=version_before,
                version_after=version_after,
                difference=difference(content_of(connection, version_before), content),
                thresholds=_thresholds(connection, schema),
                total=total,
                groups=groups,
                students=_rows(connection, _STUDENTS),
            )
        finally:
            connection.rollback()


def _week(connection: Connection, week: date | None) -> date:
    newest: date | None = _one(connection, SQL(_WEEK))
    if (found := week or newest) is None:
        raise NothingToCompareError("no week has been published yet: name one with --week")
    for _, there in restatement.settled(connection, [found]):
        raise NothingToCompareError(
            f"the week from {found} cannot be scored any more: it and the three weeks before it are no longer there as"
            f" a whole; of what was before {there} older rows have been deleted (docs/retention.md)"
        )
    return found


def _prepare(connection: Connection, schema: str, week: date, now: datetime) -> None:
    """Make the copies of what the models read of the configuration, filled with the one in force."""
    name = Identifier(schema)
    connection.execute("set local work_mem = '128MB'")
    # So that the server, too, stops when this process is killed.
    connection.execute("set local client_connection_check_interval = '1s'")
    connection.execute(SQL("create schema {}").format(name))
    for table in (*_TABLES, "publication"):
        parts = {"schema": name, "table": Identifier(table)}
        connection.execute(
            SQL("create unlogged table {schema}.{table} (like ops.{table} including defaults)").format(**parts)
        )
        if table in _TABLES:
            connection.execute(SQL("insert into {schema}.{table} select * from ops.{table}").format(**parts))
    connection.execute(SQL(_PENDING).format(schema=name), {"week": week, "now": now})
    coverage = _one(connection, SQL("select pg_get_viewdef('ops.coverage')"))
    coverage = re.sub(rf"\bops\.({'|'.join(_TABLES)})\b", rf"{schema}.\1", coverage)
    connection.execute(SQL("create view {}.coverage as ").format(name) + SQL(coverage))


def _score(connection: Connection, schema: str, models: list[dbt.Copy], name: str) -> None:
    """Make every model, and keep its scores under a name."""
    connection.execute("".join(f"drop table if exists {m.relation} cascade;" for m in models if not m.is_view).encode())
    for model in models:
        kind = "create or replace view" if model.is_view else "create unlogged table"
        connection.execute(f"{kind} {model.relation} as {model.query}".encode())
        if not model.is_view:
            connection.execute(f"analyze {model.relation}".encode())
    connection.execute(SQL(_KEPT).format(name=Identifier(name), schema=Identifier(schema)))


def _thresholds(connection: Connection, schema: str) -> dict[str, list[int]]:
    query = "select attention_below, concern_below from {}.scoring_parameter"
    (before,), (after,) = (_rows(connection, query.format(of)) for of in (OPS, schema))
    return {name: [before[name], after[name]] for name in before}


def _rows(connection: Connection, query: str) -> list[Row]:
    return connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def _one(connection: Connection, query: Composable) -> Any:
    return connection.execute(query.as_bytes()).fetchall()[0][0]
