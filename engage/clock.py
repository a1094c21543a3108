"""What time it is. The only place that asks; a replay or a test sets `ENGAGE_NOW` to live at another time."""

import contextlib
import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from engage.sources import ConfigurationError
from engage.warehouse import Connection


def now() -> datetime:
    """Return the current instant in UTC, or the one that `ENGAGE_NOW` (ISO 8601 with offset) names.

    Raises ConfigurationError when it names none.
    """
    if not (said := os.environ.get("ENGAGE_NOW")):
        return datetime.now(UTC)
    with contextlib.suppress(ValueError, OverflowError):
        if (named := datetime.fromisoformat(said)).tzinfo:
            return named.astimezone(UTC)
    raise ConfigurationError("ENGAGE_NOW: must be ISO 8601 with offset, for example 2026-11-21T08:00:00+00:00")


def local(connection: Connection, now: datetime) -> datetime:
    """Return an instant by the clock of the institution; of UTC while no configuration was ever written."""
    row = connection.execute("select time_zone from ops.scoring_parameter").fetchone()
    return now.astimezone(ZoneInfo(str(row[0]) if row else "UTC"))
