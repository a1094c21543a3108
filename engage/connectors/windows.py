"""Which windows of time to ask an API for: by the calendar (local days), and again by what the ledger says of them.

Nothing about HTTP, and nothing is written here.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from engage.connectors import Remote
from engage.sources import ConfigurationError, Source, resolve
from engage.transports import ReportJob, Rest
from engage.warehouse import Connection

READ_AGAIN_AFTER = timedelta(days=1)
"""How long a held window waits until its answer may be a better one."""
_DAY = timedelta(days=1)
# Asked for in vain while a later one was landed: its sighting is all that remembers it.
_MISSED = """
select s.name, s.modified_at
from ops.sighting as s
where
    s.source_id = %(source)s and s.delivery_id is null and strpos(s.name, '/') > 0
    and s.modified_at <= (select max(window_end) from ops.delivery where source_id = %(source)s)
    and not exists (select from ops.delivery as d where d.source_id = s.source_id and d.name = s.name)
"""
# A window that some batch made visible, or a person gave up, is left alone; its readings are its sightings, also those
# that brought nothing.
_HELD = """
select d.name, d.window_start, d.window_end, d.first_day, d.last_day, coalesce(max(s.seen_at), max(d.landed_at))
from ops.delivery as d
left join ops.batch as b using (delivery_id)
left join ops.sighting as s using (delivery_id)
where d.source_id = %s and d.window_end is not null
group by d.name, d.window_start, d.window_end, d.first_day, d.last_day
having bool_or(b.state = 'held') and not bool_or(b.state in ('published', 'rejected'))
"""


def windows_to_ask(
    connection: Connection, source: Source, transport: Rest | ReportJob, over: datetime, now: datetime
) -> list[Remote]:
    """Return the windows that end by `over` and were never landed, those missed, and those whose held answer is old."""
    # A day is the institution's, whatever the clock by which the API writes its times.
    zone = institution_zone(connection) or ZoneInfo(source.format.time_zone)
    first = beginning(source, transport.start, zone)
    start = landed_until(connection, source.id) or first
    fresh = whole_windows(start.astimezone(UTC), over, transport.window, zone)
    old = (*missed(connection, source.id, zone), *held(connection, source.id, now))
    # To move `start` is how to give up, for good, what the API no longer has.
    return [*fresh, *(remote for remote in old if remote.window_start and remote.window_start >= first)]


def institution_zone(connection: Connection) -> ZoneInfo | None:
    """Return the zone by which days are counted; None: no configuration was ever written."""
    row = connection.execute("select time_zone from ops.scoring_parameter").fetchone()
    return ZoneInfo(str(row[0])) if row else None


def full_list(connection: Connection, source: Source, transport: Rest, day: date) -> list[Remote]:
    """Return the full list as of `day`, or nothing once it is landed."""
    zone = ZoneInfo(source.format.time_zone)
    due = datetime.combine(day, source.delivered_at, zone).astimezone(UTC)
    if (transport.start or source.enabled_from) and due < beginning(source, transport.start, zone):
        return []
    query = "select from ops.delivery where source_id = %s and first_day = %s"
    if connection.execute(query, [source.id, day]).fetchone() is not None:
        return []
    return [Remote(f"{day}.jsonl.gz", None, due, first_day=day, last_day=day, is_whole=True)]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which the local day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def whole_windows(start: datetime, now: datetime, length: timedelta, zone: ZoneInfo) -> Iterator[Remote]:
    """Yield the windows from `start` to the last one that is over at `now`, oldest first.

    A `length` of whole days means local days, which the clock changes make 23 or 25 hours long; any other length is
    that many seconds.
    """
    is_days = length % _DAY == timedelta()
    while True:
        end = midnight(start.astimezone(zone).date() + length, zone) if is_days else start + length
        if end > now:
            return
        yield one_window(start, end, zone)
        start = end


def readings(start: datetime, end: datetime, longest: timedelta, zone: ZoneInfo) -> list[Remote]:
    """Return the windows from `start` to `end` (UTC), each as long as may be; the last may end within a day."""
    whole = [*whole_windows(start, end, longest, zone)]
    last = whole[-1].modified_at if whole else start
    return [*whole, one_window(last, end, zone)] if last < end else whole


def one_window(start: datetime, end: datetime, zone: ZoneInfo) -> Remote:
    """Return the window between two instants (UTC)."""
    # Days whose last instant lies inside: those an API window has seen to the end.
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date() - _DAY
    return Remote(
        name=f"{start:%Y-%m-%dT%H:%MZ}/{end:%Y-%m-%dT%H:%MZ}",
        size_bytes=None,
        modified_at=end,
        first_day=first if first <= last else None,
        last_day=last if first <= last else None,
        window_start=start,
        window_end=end,
        is_whole=True,
    )


def landed_until(connection: Connection, source_id: str) -> datetime | None:
    """Return the end of the last window in the ledger."""
    row = connection.execute("select max(window_end) from ops.delivery where source_id = %s", [source_id]).fetchone()
    return cast(datetime | None, row and row[0])


def missed(connection: Connection, source_id: str, zone: ZoneInfo) -> Iterator[Remote]:
    """Yield the windows that could not be fetched when later ones could."""
    for name, end in cast(list[tuple[Any, ...]], connection.execute(_MISSED, {"source": source_id}).fetchall()):
        yield one_window(datetime.fromisoformat(name.partition("/")[0]), end.astimezone(UTC), zone)


def held(connection: Connection, source_id: str, now: datetime) -> Iterator[Remote]:
    """Yield the windows whose held answer is old enough to ask again; each stays the same until it is read."""
    rows = cast(list[tuple[Any, ...]], connection.execute(_HELD, [source_id]).fetchall())
    for name, start, end, first_day, last_day, read_at in rows:
        if (due := read_at + READ_AGAIN_AFTER) <= now:
            yield Remote(name, None, due, first_day, last_day, start, end, is_whole=True)


def beginning(source: Source, start: date | str | None, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which the first day to ask for begins. Raises ConfigurationError."""
    first = start or source.enabled_from
    if isinstance(first, str):
        try:
            first = date.fromisoformat(resolve(first))
        except ValueError as error:
            raise ConfigurationError(
                f"{source.id}: transport.start: {first} must be a day such as 2026-09-28"
            ) from error
    if first is None:
        raise ConfigurationError(f"{source.id}: transport.start: needed while enabled_from is empty")
    return midnight(first, zone)
