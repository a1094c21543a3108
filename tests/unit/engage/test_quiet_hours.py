"""When it is quiet: over midnight, at weekends, and on the days on which the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.messaging import Messaging, QuietHours

LONDON = ZoneInfo("Europe/London")
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))


@given(MINUTES, MINUTES, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)))
def test_it_is_quiet_from_one_hour_to_the_other_whatever_lies_between(begin: time, end: time, at: datetime) -> None:
    local = at.astimezone(LONDON).replace(second=0, microsecond=0)
    quiet = QuietHours.model_validate({"from": begin, "to": end, "weekdays": []})

    # The clock on the wall, minute by minute, from the beginning on.
    hands, hours = datetime.combine(date(2000, 1, 1), begin), set()
    while hands.time() != end:
        hours.add(hands.time())
        hands += timedelta(minutes=1)

    assert quiet.hold(local) == (local.time() in hours)


@pytest.mark.parametrize(
    ("at", "is_quiet"),
    [
        ("2026-03-10 06:59+00:00", True),
        ("2026-03-10 07:00+00:00", False),
        ("2026-03-10 18:59+00:00", False),
        ("2026-03-10 19:00+00:00", True),
        ("2026-03-14 12:00+00:00", True),  # Saturday
        ("2026-03-27 18:30+00:00", False),  # Friday, winter time
        ("2026-03-30 06:00+00:00", False),  # Monday, summer time: seven o'clock
        ("2026-03-30 05:59+00:00", True),
        ("2026-10-23 18:00+00:00", True),  # Friday, summer time: seven o'clock
        ("2026-10-26 06:30+00:00", True),  # Monday, winter time
    ],
)
def test_the_institution_s_clock_decides(at: str, is_quiet: bool) -> None:
    assert Messaging().quiet_hours.hold(datetime.fromisoformat(at).astimezone(LONDON)) == is_quiet


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"digest_at": "19:00"}, "no time is left for the digest"),
        ({"quiet_hours": {"weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]}}, "no time is left"),
        ({"student_url": "https://example.ac.uk/students"}, "student_url: needs {student_id}"),
        ({"roles": {"Visa team": "a@example.ac.uk"}}, "roles.Visa team"),
        ({"quiet_hours": {"till": "07:00"}}, "quiet_hours.till"),
    ],
)
def test_what_would_never_be_told_is_refused(content: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Messaging.model_validate(content)


def test_what_is_written_in_a_file_can_be_handed_on() -> None:
    messaging = Messaging.model_validate({"quiet_hours": {"from": "20:00", "to": 360, "weekdays": []}})

    assert messaging.quiet_hours.end == time(6)
    assert Messaging.model_validate_json(messaging.model_dump_json()) == messaging
