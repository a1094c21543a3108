"""What files do to their readers where it shows only at the end: from a real OpenSSH server to the published rows.

Faults of the text itself are in gate/test_malformed.py, those of the server in landing/test_openssh.py.
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from engage.settings import PROJECT
from engage.suites import load_suite
from tests.integration.faults.conftest import Feed
from tests.integration.gate.kit import ATTENDANCE, PAST, Gate
from tests.integration.gate.test_order import GATES

DAY = date(2026, 10, 1)
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
EVENING = datetime(2026, 10, 1, 20, tzinfo=UTC)
HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\n"
PATTERN = r"register_(?P<day>\d{8})(_v\d+)?\.csv(\.gz|\.zip)?"


def register(*hours: int, day: date = DAY, attended: str = "Yes", students: int = 1) -> bytes:
    rows = [
        f"e{hour}-{n},00{n},{day:%d/%m/%Y} {hour:02}:00,lecture,Yes,{attended}\n"
        for hour in hours
        for n in range(students)
    ]
    return (HEADING + "".join(rows)).encode()


def known(feed: Feed, count: int = 1) -> None:
    feed.gate.know(*(f"00{n}" for n in range(count)))


def published(gate: Gate) -> list[tuple[Any, ...]]:
    return gate.execute("select event_id, is_attended from raw.attendance order by event_id")


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("register.csv", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("suffix", "pack", "said"),
    [
        ("", bytes, "ends in the middle of line 10"),
        (".gz", gzip.compress, "is a broken gzip or zip file (cut off"),
        (".zip", zipped, "is a broken gzip or zip file (cut off"),
    ],
    ids=["plain", "gzip", "zip"],
)
def test_a_file_cut_off_is_held_until_it_comes_whole(
    feed: Feed, suffix: str, pack: Callable[[bytes], bytes], said: str
) -> None:
    known(feed)
    source, name, whole = (
        feed.source(ATTENDANCE, PATTERN),
        f"register_20261001.csv{suffix}",
        pack(register(*range(9, 18))),
    )
    feed.put(name, whole[:-12], EVENING)
    (held,) = feed.arrive(source, EVENING)
    assert held.state == "held" and held.problem is not None
    assert held.problem.startswith(f"{name}: {said}") and "have it sent again" in held.problem
    assert published(feed.gate) == feed.gate.execute("select day from ops.coverage where is_complete") == []
    feed.put(name, whole, EVENING + timedelta(hours=1))
    (good,) = feed.arrive(source, EVENING + timedelta(hours=1))
    assert (good.state, len(published(feed.gate))) == ("published", 9)
    assert feed.states() == [(name, "superseded"), (name, "published")]
    assert feed.gate.execute("select day, is_complete from ops.coverage") == [(DAY, True)]


def test_a_file_cut_at_the_end_of_a_row_is_told_by_its_size(feed: Feed) -> None:
    known(feed)
    source, suite = feed.source(ATTENDANCE, PATTERN), load_suite(PROJECT / "expectations", feed.gate.source(ATTENDANCE))
    days = [DAY + timedelta(days=7 * week) for week in range(5)]
    sizes = [range(9, 19)] * 3 + [range(9, 12), ()]
    outcomes = []
    for day, hours in zip(days, sizes, strict=True):
        written = datetime(day.year, day.month, day.day, 20, tzinfo=UTC)
        feed.put(f"register_{day:%Y%m%d}.csv", register(*hours, day=day).replace(b"lecture", b"Lecture"), written)
        outcomes += feed.arrive(source, written, suite)
    assert [o.state for o in outcomes] == ["published"] * 4 + ["held"]
    assert outcomes[2].quality_score - outcomes[3].quality_score > 10, "by so much its owner is told of"
    (told,) = [r.problem for r in outcomes[3].rules if r.problem]
    assert told == "not met: 3 rows came where 10 are usual"
    assert "0 rows came where 10 are usual" in (outcomes[4].problem or "")


def test_a_day_told_several_times_is_what_its_last_file_says(feed: Feed) -> None:
    known(feed)
    source, day = feed.source(ATTENDANCE, PATTERN), timedelta(days=1)
    for hours in (range(9, 10), range(9, 12), range(9, 14)):
        at = NOON + timedelta(hours=len(hours))
        feed.put("register_20261001.csv", register(*hours), at)
        feed.arrive(source, at)
    assert len(published(feed.gate)) == 5
    # Corrected a week later; twice in one second, of which the name says which is the later.
    late = NOON + 7 * day
    feed.put("register_20261001_v2.csv", register(9, 10, attended="No"), late)
    feed.put("register_20261001_v3.csv", register(9, 10, 11, attended="No"), late)
    feed.arrive(source, late)
    assert published(feed.gate) == [("e10-0", False), ("e11-0", False), ("e9-0", False)]
    assert [state for _, state in feed.states()].count("published") == 1


def test_the_same_bytes_change_nothing_under_whatever_name_and_time(feed: Feed) -> None:
    known(feed)
    source = feed.source(ATTENDANCE, PATTERN)
    path = feed.put("register_20261001.csv", register(9, 10), NOON)
    feed.arrive(source, NOON)
    feed.gate.execute("delete from ops.touched_day")
    for name, hours in (("register_20261001_v2.csv", 0), ("register_20261001_v3.csv", 1), (path.name, 2)):
        path = path.rename(path.with_name(name))
        feed.put(name, path.read_bytes(), NOON + timedelta(hours=hours))
        assert feed.arrive(source, NOON + timedelta(hours=hours)) == []
    assert (len(published(feed.gate)), feed.gate.execute("select * from ops.touched_day")) == (2, [])


def test_a_file_from_the_future_does_not_overrule_its_correction(feed: Feed) -> None:
    known(feed)
    source = feed.source(ATTENDANCE, PATTERN)
    feed.put("register_20261001.csv", register(9), NOON + timedelta(days=300))
    feed.arrive(source, NOON)
    feed.put("register_20261001.csv", register(9, attended="No"), NOON + timedelta(hours=1))
    feed.arrive(source, NOON + timedelta(hours=1))
    assert published(feed.gate) == [("e9-0", False)]


def test_a_file_older_than_the_day_it_names_is_held(feed: Feed) -> None:
    known(feed)
    source = feed.source(ATTENDANCE, PATTERN)
    feed.put("register_20261001.csv", register(9), datetime(1970, 1, 1, tzinfo=UTC))
    (held,) = feed.arrive(source, NOON)
    assert held.problem == (
        "register_20261001.csv: names a day that had not come when it was delivered: 2026-10-01, and it was written on"
        " 1970-01-01; have its name corrected, or the clock of the server, and have it sent again"
    )


def test_clocks_minutes_ahead_keep_rows_waiting_and_lose_none(feed: Feed) -> None:
    """A row later than its file waits for the next file of the day; a swipe after midnight for a corrected one."""
    known(feed, 6)
    source = feed.source(ATTENDANCE, PATTERN)
    suite = feed.gate.suite(source, PAST | {"kwargs": {"column": "seconds_ahead", "max_value": 0}})
    written = datetime(2026, 10, 1, 12, 58, tzinfo=UTC)
    content = register(13, students=5) + b"late,005,01/10/2026 14:02,lecture,Yes,Yes\n"
    feed.put("register_20261001.csv", content, written)
    (early,) = feed.arrive(source, written, suite)
    assert (early.state, len(published(feed.gate))) == ("published", 5)
    assert feed.gate.execute("select rule_id, reason from quarantine.row where state = 'quarantined'") == [
        ("not_in_the_future", "No row lies in the future")
    ]
    feed.put("register_20261001.csv", content, EVENING)
    # The same bytes at a later time are no news; the file of the evening has more rows.
    assert feed.arrive(source, EVENING, suite) == []
    feed.put("register_20261001.csv", content + register(15)[len(HEADING) :], EVENING)
    feed.arrive(source, EVENING + timedelta(hours=1), suite)
    assert len(published(feed.gate)) == 7
    after_midnight = b"m,005,02/10/2026 00:03,lecture,Yes,Yes\n"
    feed.put("register_20261001.csv", register(13, students=5) + after_midnight, EVENING + timedelta(hours=5))
    feed.arrive(source, EVENING + timedelta(hours=5), suite)
    found = feed.gate.execute("select rule_id, reason from quarantine.row where state = 'quarantined'")
    assert found == [("named_day", "Every row lies on a day that the file names")]


def test_the_days_on_which_the_clocks_change_have_23_and_25_hours(feed: Feed) -> None:
    feed.gate.know("007", kind="badge")
    source = feed.source(GATES | {"collapse": None}, r"gates_(?P<day>\d{8})\.csv")
    forward, back = date(2026, 3, 29), date(2026, 10, 25)
    for day, times in ((forward, ["00:30", "01:30", "02:30", "23:59"]), (back, ["00:30", "01:30", "01:30", "23:59"])):
        rows = "".join(f"007,{day} {time}:00,I\n" for time in times)
        at = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC) + timedelta(hours=2)
        feed.put(f"gates_{day:%Y%m%d}.csv", f"badge,time,direction\n{rows}".encode(), at)
    forwards, backs = feed.arrive(source, datetime(2026, 10, 27, tzinfo=UTC))
    assert (forwards.rows_quarantined, backs.rows_quarantined) == (1, 0)
    assert feed.gate.execute("select row_number, reason from quarantine.row") == [
        (3, "occurred_at: a local time that the change of the clocks leaves out")
    ]
    assert feed.gate.execute("select activity_date, count(*) from raw.activity group by 1 order by 1") == [(back, 4)], (
        "three of four rows are fewer than 80 %: the day of spring is held, told why, and can be released"
    )
    assert "75 % of its rows" in (forwards.problem or "")
