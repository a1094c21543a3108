"""What time it is. The only place that asks; a replay or a test sets `ENGAGE_NOW` to live at another time."""

import os
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current instant in UTC, or the one that `ENGAGE_NOW` (ISO 8601 with offset) names."""
    if said := os.environ.get("ENGAGE_NOW"):
        return datetime.fromisoformat(said).astimezone(UTC)
    return datetime.now(UTC)
