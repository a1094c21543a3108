"""What time it is. The only place that asks; a replay or a test sets `ENGAGE_NOW` to live at another time."""

import contextlib
import os
from datetime import UTC, datetime

from engage.sources import ConfigurationError


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
