"""Windows of time: whole ones only, and local days through both clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engage.connectors.windows import midnight, whole_windows

LONDON = ZoneInfo("Europe/London")
DAY = timedelta(days=1)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)])
def test_a_local_day_has_as_many_hours_as_it_has(day: date, hours: int) -> None:
    start = midnight(day, LONDON)
    (before, only) = whole_windows(start - timedelta(hours=24), start + timedelta(hours=hours), DAY, LONDON)
    assert before.window_end == only.window_start == start
    assert only.window_end == start + timedelta(hours=hours)
    assert (only.first_day, only.last_day) == (day, day)


def test_a_window_that_is_not_over_is_not_asked_for() -> None:
    start = midnight(date(2026, 10, 24), LONDON)
    end = midnight(date(2026, 10, 27), LONDON)
    assert len(list(whole_windows(start, end, DAY, LONDON))) == 3
    assert len(list(whole_windows(start, end - timedelta(seconds=1), DAY, LONDON))) == 2
    assert list(whole_windows(start, start, DAY, LONDON)) == []


def test_windows_join_without_gap_or_overlap_over_a_year() -> None:
    start, end = midnight(date(2026, 1, 1), LONDON), midnight(date(2027, 1, 1), LONDON)
    windows = list(whole_windows(start, end, DAY, LONDON))
    assert len(windows) == 365 and windows[-1].window_end == end
    assert [w.window_start for w in windows[1:]] == [w.window_end for w in windows[:-1]]
    assert [w.first_day for w in windows] == [date(2026, 1, 1) + n * DAY for n in range(365)]


def test_parts_of_a_day_name_the_day_only_once_it_is_over() -> None:
    start = datetime(2026, 10, 1, 18, tzinfo=UTC)
    windows = list(whole_windows(start, datetime(2026, 10, 3, tzinfo=UTC), timedelta(hours=6), ZoneInfo("UTC")))
    assert [(w.first_day, w.last_day) for w in windows] == [
        (date(2026, 10, 1), date(2026, 10, 1)),
        (None, None),
        (None, None),
        (None, None),
        (date(2026, 10, 2), date(2026, 10, 2)),
    ]


def test_a_week_names_all_its_days() -> None:
    start = midnight(date(2026, 10, 19), LONDON)
    (window,) = whole_windows(start, start + timedelta(days=8), timedelta(days=7), LONDON)
    assert (window.first_day, window.last_day) == (date(2026, 10, 19), date(2026, 10, 25))
    assert window.window_end == midnight(date(2026, 10, 26), LONDON)


def test_after_a_change_of_length_days_begin_at_midnight_again() -> None:
    windows = list(whole_windows(datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 4, tzinfo=UTC), DAY, LONDON))
    assert [w.window_end for w in windows] == [midnight(date(2026, 7, d), LONDON) for d in (2, 3)] + [
        midnight(date(2026, 7, 4), LONDON)
    ]
