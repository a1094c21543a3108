"""By when a request must be answered: the ICO's own examples, and a plain reference for every day."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.privacy.due_dates import Period, load_rights
from engage.strict import ConfigurationError

# Bank holidays of England and Wales as gov.uk lists them, written down here and not taken from a library.
BANK_HOLIDAYS = {
    *(date(2025, *d) for d in [(1, 1), (4, 18), (4, 21), (5, 5), (5, 26), (8, 25), (12, 25), (12, 26)]),
    *(date(2026, *d) for d in [(1, 1), (4, 3), (4, 6), (5, 4), (5, 25), (8, 31), (12, 25), (12, 28)]),
    *(date(2027, *d) for d in [(1, 1), (3, 26), (3, 29), (5, 3), (5, 31), (8, 30), (12, 27), (12, 28)]),
}


@pytest.mark.parametrize(
    ("received", "due"),
    [
        # The corresponding day of the next month, whatever the day of receipt is.
        (date(2026, 9, 3), date(2026, 10, 5)),  # 3 October 2026 is a Saturday
        (date(2025, 9, 3), date(2025, 10, 3)),
        # No 31 April: its last day.
        (date(2026, 3, 31), date(2026, 4, 30)),
        (date(2027, 1, 31), date(2027, 3, 1)),  # 28 February 2027 is a Sunday
        (date(2024, 1, 31), date(2024, 2, 29)),
        (date(2023, 1, 30), date(2023, 2, 28)),
        # Christmas: 25 and 26 December, and the days that stand for them.
        (date(2025, 11, 25), date(2025, 12, 29)),
        (date(2026, 11, 25), date(2026, 12, 29)),
        (date(2025, 12, 1), date(2026, 1, 2)),
        # Good Friday to Easter Monday.
        (date(2026, 3, 3), date(2026, 4, 7)),
    ],
)
def test_examples(received: date, due: date) -> None:
    assert Period().due(received) == due


@given(st.dates(date(2024, 12, 1), date(2027, 11, 26)))
def test_it_is_the_first_working_day_from_the_corresponding_day_on(received: date) -> None:
    due = Period().due(received)
    # One month on, found by walking: the first day that is a month later, or the last of the month that follows.
    walk = received
    while not (
        walk.month != received.month and (walk.day == received.day or (walk + timedelta(1)).month != walk.month)
    ):
        walk += timedelta(days=1)
    while walk.weekday() in (5, 6) or walk in BANK_HOLIDAYS:
        walk += timedelta(days=1)
    assert due == walk
    assert received < due <= Period().extended(received)


@given(st.dates(date(2000, 1, 1), date(2099, 1, 1)), st.dates(date(2000, 1, 1), date(2099, 1, 1)))
def test_who_asks_later_is_never_due_earlier(one: date, other: date) -> None:
    assert (Period().due(one) <= Period().due(other)) or one > other


def test_scotland_has_holidays_of_its_own() -> None:
    # 2 January is one in Scotland alone.
    assert Period(subdivision="SCT").due(date(2025, 12, 2)) == date(2026, 1, 5)
    assert Period().due(date(2025, 12, 2)) == date(2026, 1, 2)


def test_a_calendar_that_does_not_exist_is_refused_by_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "rights.yaml").write_text("subject_access: {country: GB, subdivision: XYZ}\n")
    with pytest.raises(ConfigurationError, match=r"rights\.yaml: subject_access.*no such calendar"):
        load_rights(tmp_path)


def test_without_the_file_the_law_of_england_holds(tmp_path: Path) -> None:
    assert load_rights(tmp_path).subject_access == Period()
