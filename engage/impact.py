"""What a source that is late or held keeps from happening: which days are incomplete, and what the next score does.

Reading only; the rules themselves are the weekly score's (min_complete_days of the week's seven).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import cast
from zoneinfo import ZoneInfo

from engage.sources import Source
from engage.warehouse import Connection

LOOK_BACK = 28
"""Days that are listed."""
_DAYS = """
select
    p.time_zone, p.min_complete_days, p.wait_until,
    (select min(day) from ops.coverage where source_id = %(source)s),
    array(select day from ops.coverage where source_id = %(source)s and day >= %(since)s and is_complete),
    array(select week_start from ops.publication where state = 'published' and week_start >= %(since)s)
from ops.scoring_parameter as p
"""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Impact:
    """The days of the last four weeks that are incomplete, and the week that is scored next."""

    incomplete: list[date]
    week_start: date
    needed: int
    """Complete days of a week without which the source does not count in its score."""
    possible: int
    """Complete days that the week can still have, if nothing of what is missing comes and all that follows does."""
    wait_until: time
    """On the Monday after: how long it waits."""


def of(connection: Connection, source: Source, now: datetime) -> Impact | None:
    """Return what the days of `source` mean at `now`; None: it is no source of activity, or nothing is known yet."""
    since = now.date() - timedelta(days=LOOK_BACK)
    found = connection.execute(_DAYS, {"source": source.id, "since": since}).fetchone()
    if found is None or source.category is None:
        return None
    zone, needed, wait_until, first, complete, published = cast(
        tuple[str, int, time, date | None, list[date], list[date]], found
    )
    if first is None:
        return None
    local = now.astimezone(ZoneInfo(zone))
    # The data of a day is there on the next, from an hour that the source declares.
    until = local.date() - (_DAY if local.time() >= source.delivered_at else 2 * _DAY)
    begin = max(first, since, source.enabled_from or first)
    quiet = source.freshness.quiet_weekdays
    due = [begin + n * _DAY for n in range((until - begin).days + 1)]
    # On Monday the week before still waits for a late source, unless it was not worth it.
    moment = local - timedelta(hours=wait_until.hour, minutes=wait_until.minute)
    week_start = moment.date() - timedelta(days=moment.weekday())
    week_start += timedelta(days=7) * (week_start in published)
    week = [week_start + n * _DAY for n in range(7)]
    return Impact(
        incomplete=[day for day in due if day not in complete and f"{day:%a}" not in quiet],
        week_start=week_start,
        wait_until=wait_until,
        needed=needed,
        possible=sum(day in complete if day <= until else f"{day:%a}" not in quiet for day in week),
    )


def spans(days: Sequence[date]) -> str:
    """Say days as spans: `12 to 15 November 2026, 18 November 2026`."""
    runs = [[day for _, day in run] for _, run in groupby(enumerate(sorted(days)), lambda at: at[1] - at[0] * _DAY)]
    return ", ".join(said(run[0]) if len(run) == 1 else f"{_short(run[0], run[-1])} to {said(run[-1])}" for run in runs)


def said(day: date) -> str:
    """Say a day: `5 November 2026`."""
    return f"{day.day} {day:%B %Y}"


def _short(day: date, last: date) -> str:
    if (day.year, day.month) == (last.year, last.month):
        return str(day.day)
    return f"{day.day} {day:%B}" if day.year == last.year else said(day)
