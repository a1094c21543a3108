"""Makes a university's files: a roster, a register and five feeds of events a day, the same for a seed in any number.

Rows are made by Postgres and streamed to disk, so that no number of them is ever in memory. Every row is one that
Postgres can type by itself, so that a floor may COPY the raw bytes; a few are repeated or break a rule.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from engage.warehouse import Connection, connect

FIRST_DAY = date(2023, 9, 24)
"""A Sunday: after whole weeks of history the next day is a Sunday too, and its night is the one that ends a week."""
ATTENDANCE = "attendance"
ACTIVITY = {
    "vle": "vle",
    "lecture_capture": "vle",
    "library_gates": "library_access",
    "library_loans": "library_access",
    "portal": "other",
}
"""The sources of events and their categories."""
DIGITAL = ("vle", "lecture_capture", "portal")
FEEDS = (ATTENDANCE, *ACTIVITY)
GROUP = 133
"""Students in a programme's year; there are as many programmes as fill them, so that groups are alike in any size."""
_WRITTEN_AT = time(2, tzinfo=UTC)

# Three random numbers a row; a student's level of activity drifts from week to week and differs between sources. One in
# twenty is silent at any time, for a fortnight: what would be theirs is another's.
_EVENTS = """
select
    %(day_text)s || lpad((n - repeats::integer)::text, 9, '0') as event,
    case when b %% 1000 = 0 and not repeats then 'visitor1' else (10000000 + seen)::text end as user,
    %(day)s::date + interval '2 hours' + (b %% 79200) * interval '1 second' as time,
    case
        when a %% 1500 = 0 and not repeats then 'unknown'
        else (array['quiz', 'forum', 'page', 'assign', 'url'])[1 + b %% 5]
    end as component,
    'item/' || a %% 5000 as object,
    1 + b %% 20 as clicks
from generate_series(0, %(rows)s - 1) as n
cross join lateral hashint8extended(n, %(seed)s) as h
cross join lateral (
    select
        (h & 16777215)::integer as a,
        (h >> 24 & 1048575)::integer as b,
        (h & 16777215) %% 2000 = 0 and n > 0 as repeats,
            (
            floor(%(students)s * power((h >> 44 & 1048575) / 1048576.0::double precision, 1.7))::bigint + %(drift)s
        ) %% %(students)s as student
) as drawn
cross join lateral (
    select (student + 2 * ((11 * student + %(number)s) %% 280 < 14)::integer) %% %(students)s as seen
) as moved
"""
_REGISTER = """
select
    %(day_text)s || n as "Event Id",
    's' || n as "Student Number",
    to_char(starts_at, 'DD/MM/YYYY HH24:MI') as "Session Start",
    to_char(starts_at + interval '1 hour', 'DD/MM/YYYY HH24:MI') as "Session End",
    case when h & 2047 = 0 then 'Unknown' else 'Lecture' end as "Session Type",
    'Y' as "Mandatory",
    case when (h >> 16 & 1023) > 50 + 800 * ((n + %(drift)s) %% %(students)s) / %(students)s then 'Y' else 'N' end
        as "Attended",
    'N' as "Late",
    to_char(starts_at, 'DD/MM/YYYY HH24:MI') as "Recorded At"
from generate_series(0, least(%(rows)s, %(students)s) - 1) as n
cross join lateral hashint8extended(n, %(seed)s) as h
cross join lateral (select %(day)s::date + (9 + (h >> 32 & 7)) * interval '1 hour' as starts_at) as drawn
"""
_ROSTER = {
    "students": """
        select
            's' || n as student_id, 'Given' || n as given_name, 'Family' || n as family_name,
            'e' || n || '@example.ac.uk' as email, 'u' || n as username, 10000000 + n as badge_number,
            'N' as is_sponsored
        from generate_series(0, %(students)s - 1) as n
    """,
    "enrolments": """
        select
            's' || n as student_id, 'P' || n %% %(programmes)s as programme_code,
            'Programme ' || n %% %(programmes)s as programme_name, 'F' || n %% %(programmes)s %% 8 as faculty_code,
            1 + n / %(programmes)s %% 3 as year_of_study, case when n %% 10 = 9 then 'PT' else 'FT' end as mode,
            'A' as entry_band, '2023' as cohort, 'on' as campus_residence, 't' || n %% 500 as tutor_id,
            'active' as status, %(day)s::date - 30 as status_from, null as status_to
        from generate_series(0, %(students)s - 1) as n
    """,
    "term_calendar": """
        select
            'T1' as term_code, 'teaching' as kind, %(day)s::date + 2 as starts_on, %(day)s::date + 365 as ends_on,
            null as programme_code, null as cohort
    """,
}


@dataclass(frozen=True)
class Size:
    """How large a university is, and for how long it has been delivering."""

    students: int
    days: int
    """Of history, whole weeks; the night is one day more."""
    density: float = 1.0
    """Events in a file per student; a register has a row for each."""

    @property
    def history(self) -> list[date]:
        """The days before the night."""
        return [FIRST_DAY + timedelta(days=n) for n in range(self.days)]

    @property
    def night(self) -> date:
        """The last day, a Sunday."""
        return FIRST_DAY + timedelta(days=self.days)

    @property
    def weeks(self) -> list[date]:
        """The Mondays of the weeks that end with the history, and of the one that ends with the night."""
        return [FIRST_DAY + timedelta(days=n) for n in range(1, self.days, 7)]


def write(server: str, folder: Path, size: Size, days: Iterable[date], feeds: Sequence[str] = FEEDS) -> int:
    """Write `<feed>/<feed>_<day>.csv` for every feed and day below `folder`; return their bytes.

    `server`: URL of a Postgres database in which nothing is written.
    """
    jobs = [(feed, day) for day in days for feed in feeds]

    def some(part: int) -> int:
        with connect(server) as connection:
            return sum(_file(connection, folder, feed, day, size) for feed, day in jobs[part::2])

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(some, range(2)))


def write_roster(server: str, folder: Path, size: Size) -> None:
    """Write the roster and the calendar as they were on the day before the first."""
    day = FIRST_DAY - timedelta(days=1)
    values = {"students": size.students, "programmes": max(1, size.students // (3 * GROUP)), "day": day}
    with connect(server) as connection:
        for name, query in _ROSTER.items():
            _copy(connection, folder, name, day, query, values)


def _file(connection: Connection, folder: Path, feed: str, day: date, size: Size) -> int:
    place, number = FEEDS.index(feed), (day - FIRST_DAY).days
    values = {
        "day": day,
        "day_text": f"{day:%y%m%d}-",
        "rows": round(size.students * size.density),
        "students": size.students,
        "number": number,
        "seed": 1000 * number + place,
        "drift": size.students * (number // 7 * (3 + place) + place * 11) // 100,
    }
    return _copy(connection, folder, feed, day, _REGISTER if feed == ATTENDANCE else _EVENTS, values)


def _copy(connection: Connection, folder: Path, name: str, day: date, query: str, values: dict[str, object]) -> int:
    path = folder / name / f"{name}_{day:%Y%m%d}.csv"
    path.parent.mkdir(exist_ok=True)
    statement = f"copy ({query}) to stdout with (format csv, header)"
    with connection.cursor() as cursor, path.open("wb") as file, cursor.copy(statement, values) as copy:
        for block in copy:
            file.write(block)
        size = file.tell()
    written = datetime.combine(day + timedelta(days=1), _WRITTEN_AT).timestamp()
    os.utime(path, (written, written))
    return size
