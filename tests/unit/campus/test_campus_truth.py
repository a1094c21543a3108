"""The comparison of marts with the truth finds every kind of difference and names nobody."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from campus import demo, truth
from campus.truth import Daily, compare_daily
from campus.world import ZONE, World

NINE, HOUR = datetime(2026, 9, 1, 9, tzinfo=UTC), timedelta(hours=1)
TRUTH = [
    Daily("0000001", date(2026, 9, 1), "attendance", "attendance", 1, 1, NINE, NINE, 2, 1),
    Daily("0000001", date(2026, 9, 1), "vle", "vle", 5, 5, NINE, NINE + HOUR, 0, 0),
    Daily("0000002", date(2026, 9, 2), "vle", "vle", 3, 3, NINE, NINE, 0, 0),
]


def test_equal_rows_differ_in_nothing_and_null_counts_are_zero() -> None:
    # An instant is the same in any zone.
    london = [row._replace(last_at=row.last_at.astimezone(ZONE)) for row in TRUTH if row.last_at]
    mart = [(*row[:8], row.expected or None, row.attended or None) for row in reversed(london)]
    assert compare_daily(TRUTH, mart) == []


@pytest.mark.parametrize(
    ("mart", "lines"),
    [
        (TRUTH[:2], ["vle 2026-09-02: 1 rows missing"]),
        ([*TRUTH, TRUTH[2]._replace(student_id="0000003")], ["vle 2026-09-02: 1 rows not in the truth"]),
        ([*TRUTH, TRUTH[2]], ["vle 2026-09-02: 1 rows there twice"]),
        ([TRUTH[0]._replace(attended=2), *TRUTH[1:]], ["attendance 2026-09-01: 1 rows with another attended"]),
        ([TRUTH[0]._replace(events=2, first_at=None), *TRUTH[1:]],
         ["attendance 2026-09-01: 1 rows with another events, 1 rows with another first_at"]),
        ([*TRUTH[:2], TRUTH[2]._replace(last_at=NINE + HOUR)], ["vle 2026-09-02: 1 rows with another last_at"]),
        ([*TRUTH[:2], TRUTH[2]._replace(category="other")], ["vle 2026-09-02: 1 rows with another category"]),
        ([], ["attendance 2026-09-01: 1 rows missing", "vle 2026-09-01: 1 rows missing",
              "vle 2026-09-02: 1 rows missing"]),
    ],
)  # fmt: skip
def test_a_difference_is_counted_by_source_and_day(mart: list[Daily], lines: list[str]) -> None:
    assert compare_daily(TRUTH, mart) == lines


@pytest.mark.parametrize(("scored", "below", "seen"), [(20, 16, True), (20, 15, False), (1, 1, True), (0, 0, False)])
def test_the_demo_fails_when_the_silent_are_not_seen(scored: int, below: int, seen: bool) -> None:
    assert demo.silence_is_seen(scored, below) == seen


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    world = World(date(2026, 8, 24), students=30, weeks=2)
    truth.write(world, world.due(13), tmp_path)
    rows = truth.read_daily(tmp_path / "daily_activity.csv")
    assert rows == list(truth.daily_activity(world, world.due(13)))
    assert len(rows) > 300
