"""What lies about: batches that nobody decides on, deliveries that no run finishes, files that are never fetched.

Questions to the ledger. Each answer names a file, since when, and what to do; never a value of a row.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from psycopg.rows import class_row

from engage.connectors.files import masked
from engage.sources import Source
from engage.transports import FileDrop, Sftp
from engage.warehouse import Connection

Kind = Literal["held_too_long", "left_failed", "never_loaded"]
UNFINISHED_AFTER = timedelta(hours=1)
"""How long a delivery may wait for the gate, or a decision for what follows from it."""
UNFETCHED_AFTER = timedelta(days=1)
"""How long what was seen may wait to be fetched."""
_QUERY = """
with found as (
    select 'held_too_long' as kind, d.name, b.held_since as since,
        'is held. See why with `engage batch show ' || b.batch_id || '`; then release or reject it, or have it'
        || ' delivered again, corrected' as what
    from ops.batch as b
    inner join ops.delivery as d using (delivery_id)
    where b.source_id = %(source)s and b.state = 'held' and b.held_since <= %(held)s
    union all
    select 'left_failed', d.name, coalesce(b.started_at, d.landed_at),
        case when b.batch_id is null then 'has landed and no run has taken it up'
        else 'was begun and not finished, ' || b.attempts || ' attempts' end
        || coalesce(' (days ' || d.first_day || ' to ' || d.last_day || ')', '')
        || '. Start `ingest_' || d.source_id || '` and read what it says'
        || coalesce('; `engage batch reject ' || b.batch_id || '` gives it up', '')
    from ops.delivery as d
    left join ops.batch as b using (delivery_id)
    where
        d.source_id = %(source)s and (b.state is null or b.state = 'loading') and d.deleted_at is null
        and d.landed_at <= %(unfinished)s and coalesce(b.started_at, d.landed_at) <= %(unfinished)s
    union all
    select 'left_failed', d.name, max(c.decided_at),
        'was decided on and not processed since. Start `ingest_' || d.source_id || '` and read what it says'
    from ops.decision as c
    inner join ops.batch as b using (batch_id)
    inner join ops.delivery as d using (delivery_id)
    where d.source_id = %(source)s and b.state <> 'loading' and b.is_stale
    group by d.delivery_id
    having max(c.decided_at) <= %(unfinished)s
    union all
    select 'never_loaded', name, seen_at,
        'was seen and never fetched' || coalesce(': ' || problem, '')
        || '. The check `fetched` says why; mend it or have it taken away at the source'
    from ops.sighting
    where source_id = %(source)s and delivery_id is null and seen_at <= %(unfetched)s
)
select * from found order by since, name
"""


@dataclass(frozen=True)
class Matter:
    """One thing that lies about."""

    kind: Kind
    name: str
    """Of the delivery."""
    since: datetime
    what: str
    """What became of it and what to do, to be read after the name."""


def matters(connection: Connection, source: Source, now: datetime) -> list[Matter]:
    """Return what lies about of a source, oldest first. A batch may be held for as long as `escalate_after_h` says."""
    given = {
        "source": source.id,
        "held": now - timedelta(hours=source.owner.escalate_after_h),
        "unfinished": now - UNFINISHED_AFTER,
        "unfetched": now - UNFETCHED_AFTER,
    }
    found = connection.cursor(row_factory=class_row(Matter)).execute(_QUERY, given).fetchall()
    if not isinstance(source.transport, Sftp | FileDrop):
        return found
    pattern = source.transport.pattern
    return [replace(one, name=masked(pattern, one.name)) if one.kind == "never_loaded" else one for one in found]
