"""Whether the floor and ours computed the same: a query for every mart, and how much may differ.

Nothing is timed here. What does not agree raises, so that no ratio is ever told of two different numbers.
"""

from typing import cast

from benchmarks.generator import ACTIVITY, ATTENDANCE
from engage.warehouse import Connection


class DifferentError(Exception):
    """The two sides do not say the same."""


_ROWS = {
    **{
        f"rows of {feed}": (
            "event_id, student_id, activity_date, occurred_at, resource_type, resource_ref, quantity",
            f"floor.{feed}",
            f"raw.activity where source_id = '{feed}'",
        )
        for feed in ACTIVITY
    },
    "rows of attendance": (
        "event_id, student_id, activity_date, starts_at, session_type, is_mandatory, is_attended",
        f"floor.{ATTENDANCE}",
        f"raw.attendance where source_id = '{ATTENDANCE}'",
    ),
}
_MARTS = {
    "daily activity": (
        "student_id, activity_date, source_id, category, interactions, events, first_at, last_at, expected, attended",
        "floor.daily_activity",
        "marts.daily_activity",
    ),
    "activity windows": (
        "student_id, activity_date, source_id, interactions_7d, interactions_14d, interactions_21d, covered_days_7d,"
        " covered_days_14d, covered_days_21d, days_since_last",
        "floor.activity_windows",
        "marts.activity_windows",
    ),
    "silence": (
        "kind, student_id, trigger_date",
        "floor.notification",
        "ops.notification where status = 'raised' and kind <> 'score'",
    ),
}
_NEAR = {
    # A rating beside a cut, and a trend of scores that differ by a point, may fall on the other side.
    "daily rating": ("daily_rating", "student_id, rating_date", "a.rating is distinct from b.rating", 0.0001),
    "composites": ("weekly_score", "student_id, week_start", "abs(a.composite - b.composite) <= 1e-6 is not true", 0.0),
    # Ours rounds metrics to 1e-7, so two whose composites are as near as that may change places.
    "weekly score": ("weekly_score", "student_id, week_start", "abs(a.score - b.score) <= 1 is not true", 0.0001),
    "explanation": (
        "weekly_score_part",
        "student_id, week_start, source_id",
        "(abs(a.z - b.z) <= 1e-6 and abs(a.contribution - b.contribution) <= 1e-6) is not true",
        0.0,
    ),
    "trends": (
        "score_trend",
        "student_id, week_start",
        "(abs(a.change_1w - b.change_1w) <= 2 or a.change_1w is null and b.change_1w is null) is not true"
        " or a.weeks_below_350 is distinct from b.weeks_below_350 or a.weeks_falling is distinct from b.weeks_falling"
        " or a.consistently_low is distinct from b.consistently_low or a.cohort_event is distinct from b.cohort_event"
        " or coalesce(a.declining, false) is distinct from coalesce(b.declining, false)"
        " or coalesce(a.recovering, false) is distinct from coalesce(b.recovering, false)"
        " or coalesce(a.quiet_decline, false) is distinct from coalesce(b.quiet_decline, false)"
        " or coalesce(a.falling_together, false) is distinct from coalesce(b.falling_together, false)"
        " or abs(a.attendance_4w - b.attendance_4w) > 1e-6",
        0.001,
    ),
}


def rows(connection: Connection, feeds: tuple[str, ...] | list[str]) -> None:
    """Raise DifferentError unless both sides published the same rows of these feeds."""
    for feed in feeds:
        _same(connection, f"rows of {feed}", *_ROWS[f"rows of {feed}"])


def marts(connection: Connection) -> None:
    """Raise DifferentError unless every mart holds the same numbers on both sides."""
    for what, (columns, ours, theirs) in _MARTS.items():
        _same(connection, what, columns, ours, theirs)
    for what, (table, keys, differs, share) in _NEAR.items():
        joined = f"floor.{table} as a full join marts.{table} as b using ({keys})"
        different, count = _counts(connection, f"count(*) filter (where {differs}), count(*) from {joined}")
        if not count or different > share * count:
            raise DifferentError(f"{what}: {different:,} of {count:,} rows differ")


def _same(connection: Connection, what: str, columns: str, ours: str, theirs: str) -> None:
    one, other = f"select {columns} from {ours}", f"select {columns} from {theirs}"
    missing, added = _counts(
        connection,
        f"(select count(*) from ({one} except all {other}) as x),"
        f" (select count(*) from ({other} except all {one}) as x)",
    )
    (count,) = _counts(connection, f"count(*) from {ours}")
    if missing or added or not count:
        raise DifferentError(f"{what}: of {count:,} rows {missing:,} are missing and {added:,} are not the floor's")


def _counts(connection: Connection, query: str) -> tuple[int, ...]:
    return cast(tuple[int, ...], connection.execute(f"select {query}".encode()).fetchone())
