"""The comparison of marts with the truth finds every kind of difference and names nobody."""

from datetime import date
from pathlib import Path

import pytest

from campus import truth
from campus.truth import Daily, compare_daily
from campus.world import World

TRUTH = [
    Daily("0000001", date(2026, 9, 1), "attendance", 1, 2, 1),
    Daily("0000001", date(2026, 9, 1), "vle", 5, 0, 0),
    Daily("0000002", date(2026, 9, 2), "vle", 3, 0, 0),
]


def test_equal_rows_differ_in_nothing_and_null_counts_are_zero() -> None:
    mart = [(*row[:4], row.expected or None, row.attended or None) for row in reversed(TRUTH)]
    assert compare_daily(TRUTH, mart) == []


@pytest.mark.parametrize(
    ("mart", "lines"),
    [
        (TRUTH[:2], ["vle 2026-09-02: 1 rows missing"]),
        ([*TRUTH, ("0000003", date(2026, 9, 2), "vle", 1, 0, 0)], ["vle 2026-09-02: 1 rows not in the truth"]),
        ([*TRUTH, TRUTH[2]], ["vle 2026-09-02: 1 rows there twice"]),
        ([TRUTH[0]._replace(attended=2), *TRUTH[1:]], ["attendance 2026-09-01: 1 rows with other numbers"]),
        ([], ["attendance 2026-09-01: 1 rows missing", "vle 2026-09-01: 1 rows missing",
              "vle 2026-09-02: 1 rows missing"]),
    ],
)  # fmt: skip
def test_a_difference_is_counted_by_source_and_day(mart: list[Daily], lines: list[str]) -> None:
    assert compare_daily(TRUTH, mart) == lines


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    world = World(date(2026, 8, 24), students=30, weeks=2)
    truth.write(world, world.due(13), tmp_path)
    rows = truth.read_daily(tmp_path / "daily_activity.csv")
    assert rows == list(truth.daily_activity(world, world.due(13)))
    assert len(rows) > 300
