"""What the ledger says about a source: its latest deliveries and batches, its rules, how fresh its data is.

Reading only, and never a row's values: what is returned here may be shown to anybody who runs the system.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row

from engage.sources import Source
from engage.warehouse import Connection


@dataclass(frozen=True)
class DeliveryRow:
    """One line of `ops.delivery`."""

    name: str
    size_bytes: int
    first_day: date | None
    last_day: date | None
    landed_at: datetime


@dataclass(frozen=True)
class BatchRow:
    """One line of `ops.batch`, with the name and days of its delivery."""

    batch_id: int
    name: str
    first_day: date | None
    last_day: date | None
    state: str
    quality_score: float | None
    rows_read: int | None
    rows_dropped: int | None
    rows_accepted: int | None
    rows_quarantined: int | None
    problem: str | None
    notes: list[str]
    """What was unusual and did not stop it."""


@dataclass(frozen=True)
class RuleRow:
    """A rule's results summed over some batches."""

    rule_id: str
    rows_checked: int
    rows_failed: int
    share_met: float
    files_broken: int
    """Batches in which it is not met by every row."""
    is_broken: bool
    """True: in one of them not even as far as the rule demands."""


@dataclass(frozen=True)
class Freshness:
    """How old a source's newest published data is, by the data's own time."""

    state: Literal["fresh", "warning", "stale", "quiet", "disabled"]
    """quiet: nothing has come, and on the days since nothing need come."""
    age_h: float | None
    """Hours, those of quiet days not counted; None: nothing has been published yet."""
    data_until: datetime | None
    """The newest moment that the data speaks for: end of the last covered day, or an event."""
    covered_until: date | None
    last_delivery_at: datetime | None
    last_event_at: datetime | None


BATCHES = """
select
    b.batch_id, d.name, d.first_day, d.last_day, b.state, b.quality_score, b.rows_read, b.rows_dropped, b.rows_accepted,
    b.rows_quarantined, b.problem, b.notes
from ops.batch as b
inner join ops.delivery as d using (delivery_id)
"""
RULES = """
select
    rule_id,
    coalesce(sum(rows_checked), 0)::bigint as rows_checked,
    coalesce(sum(rows_failed), 0)::bigint as rows_failed,
    avg(share_met) as share_met,
    count(*) filter (where share_met < 1) as files_broken,
    bool_or(rule_id = any(broken_rules)) as is_broken
from ops.rule_result
inner join ops.batch using (batch_id)
where batch_id = any(%s)
group by rule_id
"""
FRESHNESS = """
select freshness as state, age_h, data_until, covered_until, last_delivery_at, last_event_at
from ops.freshness(
    %(source)s, %(enabled_from)s, %(disabled_from)s, %(warn_after_h)s, %(fail_after_h)s, %(quiet_weekdays)s,
    %(quiet_in)s, %(now)s
)
"""
COUNTS = """
select
    (
        select count(*) from ops.coverage as c cross join ops.scoring_parameter as p
        where
            c.source_id = %(source)s and c.is_complete
            and (%(now)s at time zone p.time_zone)::date - c.day between 1 and 7
    ) as complete_days_of_7,
    (
        select quality_score from ops.batch inner join ops.delivery using (delivery_id, source_id)
        where source_id = %(source)s and quality_score is not null order by version_at desc, batch_id desc limit 1
    ) as quality,
    (
        select count(*) from ops.sighting where source_id = %(source)s and delivery_id is null
    ) + (
        select count(*) from ops.delivery left join ops.batch using (delivery_id, source_id)
        where source_id = %(source)s and (state is null or state = 'loading' or is_stale)
    ) as waiting,
    (select count(*) from ops.batch where source_id = %(source)s and state = 'held') as held
"""
ESTIMATE = """
select sum(greatest(reltuples, 0))::bigint
from pg_class
where
    relkind = 'r'
    and (oid = to_regclass(%(table)s) or oid in (select relid from pg_partition_tree(to_regclass(%(table)s))))
"""


def latest_deliveries(connection: Connection, source_id: str, limit: int = 10) -> list[DeliveryRow]:
    """Return the newest deliveries of a source, newest first."""
    return (
        connection.cursor(row_factory=class_row(DeliveryRow))
        .execute(
            "select name, size_bytes, first_day, last_day, landed_at from ops.delivery where source_id = %s"
            " order by landed_at desc, version_at desc, delivery_id desc limit %s",
            [source_id, limit],
        )
        .fetchall()
    )


def batches(connection: Connection, batch_ids: Sequence[int]) -> list[BatchRow]:
    """Return these batches in the order of their deliveries' days and versions."""
    query = BATCHES + "where b.batch_id = any(%s) order by d.version_at, b.batch_id"
    return connection.cursor(row_factory=class_row(BatchRow)).execute(query, [list(batch_ids)]).fetchall()


def latest_batch(connection: Connection, source_id: str) -> list[BatchRow]:
    """Return the newest finished batch of a source in a list, or an empty list."""
    query = (
        BATCHES + "where b.source_id = %s and b.state <> 'loading' order by d.version_at desc, batch_id desc limit 1"
    )
    return connection.cursor(row_factory=class_row(BatchRow)).execute(query, [source_id]).fetchall()


def held_batches(connection: Connection, source_id: str) -> list[BatchRow]:
    """Return the batches of a source that wait for a person or a correction, newest first."""
    query = BATCHES + "where b.source_id = %s and b.state = 'held' order by d.version_at desc, batch_id desc"
    return connection.cursor(row_factory=class_row(BatchRow)).execute(query, [source_id]).fetchall()


def unfinished(connection: Connection, source_id: str) -> int:
    """Count landed deliveries that the gate has not finished with: a run was killed, or a reference became known."""
    query = """
        select count(*) from ops.delivery as d
        left join ops.batch as b using (delivery_id)
        where d.source_id = %s and (b.batch_id is null or b.state = 'loading' or b.is_stale)
    """
    return int(str(connection.execute(query, [source_id]).fetchall()[0][0]))


def rule_totals(connection: Connection, batch_ids: Sequence[int]) -> dict[str, RuleRow]:
    """Return per rule what it said over these batches."""
    rows = connection.cursor(row_factory=class_row(RuleRow)).execute(RULES, [list(batch_ids)]).fetchall()
    return {row.rule_id: row for row in rows}


def table_rows(connection: Connection, table: psycopg.sql.Identifier) -> int | None:
    """Count the rows of a table and its partitions; over a million, take Postgres' estimate. None: no such table."""
    (estimate,) = connection.execute(ESTIMATE, {"table": table.as_string()}).fetchall()[0]
    if isinstance(estimate, int) and estimate < 1_000_000:
        (estimate,) = connection.execute(psycopg.sql.SQL("select count(*) from {}").format(table)).fetchall()[0]
    return estimate if isinstance(estimate, int) else None


def freshness(connection: Connection, source: Source, now: datetime) -> Freshness:
    """Judge a source at a moment by what had been published then; the limits are those of the source file."""
    limits = source.freshness
    given = {
        "warn_after_h": limits.warn_after_h,
        "fail_after_h": limits.fail_after_h,
        "quiet_weekdays": ",".join(limits.quiet_weekdays),
        "quiet_in": ",".join(limits.quiet_in),
        "source": source.id,
        "enabled_from": source.enabled_from,
        "disabled_from": source.disabled_from,
        "now": now,
    }
    found = connection.cursor(row_factory=class_row(Freshness)).execute(FRESHNESS, given).fetchone()
    # Without a configuration nothing is known of any source.
    return found or Freshness("stale", None, None, None, None, None)


@dataclass(frozen=True)
class Counts:
    """What else a person asks of a source at a glance."""

    complete_days_of_7: int
    """Of the seven days before the present one."""
    quality: float | None
    """Of the newest delivery that was judged, 0-100."""
    waiting: int
    """Files seen and not landed, deliveries landed and not through the gate."""
    held: int


def counts(connection: Connection, source: Source, now: datetime) -> Counts:
    """Count what is complete, waiting and held of a source."""
    cursor = connection.cursor(row_factory=class_row(Counts))
    return cursor.execute(COUNTS, {"source": source.id, "now": now}).fetchall()[0]
