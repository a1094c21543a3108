"""Which windows of time to ask an API for. Pure arithmetic on local days; nothing about HTTP."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engage.connectors import Remote

_DAY = timedelta(days=1)


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
        # Days whose last instant lies inside: those an API window has seen to the end.
        first, last = start.astimezone(zone).date(), end.astimezone(zone).date() - _DAY
        yield Remote(
            name=f"{start:%Y-%m-%dT%H:%MZ}/{end:%Y-%m-%dT%H:%MZ}",
            size_bytes=None,
            modified_at=end,
            first_day=first if first <= last else None,
            last_day=last if first <= last else None,
            window_start=start,
            window_end=end,
            is_whole=True,
        )
        start = end
