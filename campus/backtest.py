"""`python -m campus.backtest`: a year of bad feeds, night by night, and every notification held against the truth.

What became of every true silence and of everything that was said, as a section of docs/validation.md. The year is
year.py's, how it gets into a warehouse is nights.py's.
"""

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from campus import validation
from campus.nights import Found, Key, Nights
from campus.silence import LENGTH
from campus.year import STREAMS, Year
from engage import postgres, warehouse

TAIL = 16
"""Days after the last: by then what was held and never told is closed."""
SECTION = """\
## Silence in a year of bad feeds

A made-up university of {students:,} students over {weeks} weeks: terms, vacations, a reading week, both changes of the
clocks, students away or exempt, {streams} feeds, one of which takes another's place in mid-year. Every {every} days
what has come is built and judged as production does it, and at the end all is held against what really happened. What
went wrong with the feeds:

{hit}

| | students' silences |
| --- | ---: |
{table}

Of the alarms of such SQL {share:.0f} % were false. `make backtest` writes this section; it fails if a silence is
missed or raised falsely. A smaller year is part of the tests.
"""
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Verdict:
    """What became of every true silence, and of everything that was said."""

    true: int
    raised: int
    """In the first night after it triggered."""
    late: int
    """When the missing files had come."""
    shifted: int
    """On another day of the same silence: a day that never came hid where it began."""
    undetermined: int
    missed: int
    said: int
    """Notifications that stand as raised."""
    false: int
    """Of these, such as had activity, absence, exemption or vacation on one of their days."""
    dropped: int
    superseded: int
    """Raised, and taken back when a file was corrected."""
    naive: int
    naive_false: int


def judge(year: Year, found: Found, every: int = 1) -> Verdict:
    """Hold what was found against the truth; `every`: the days from night to night."""
    fates = Counter(_fate(found.notifications, key, every) for key in year.truth())
    statuses = Counter(status for status, _ in found.notifications.values())
    raised = [key for key, (status, _) in found.notifications.items() if status == "raised"]
    return Verdict(
        **{"raised": 0, "late": 0, "shifted": 0, "undetermined": 0, "missed": 0} | fates,
        true=len(year.truth()),
        said=len(raised),
        false=sum(_did_something(year, key) or not year.counts[key[0], _window(key)].all() for key in raised),
        dropped=statuses["dropped"],
        superseded=statuses["superseded"],
        naive=len(found.alarms),
        naive_false=sum(_did_something(year, key) for key in found.alarms),
    )


def _fate(notifications: dict[Key, tuple[str, int]], key: Key, every: int) -> str:
    status, days = notifications.get(key, ("", 0))
    if status == "raised":
        return "raised" if days < every else "late"
    student, day = key
    # Seven silent days hold a notification's date, wherever the count began.
    near = {notifications.get((student, day - n), ("", 0))[0] for n in range(LENGTH)}
    return "shifted" if "raised" in near else "undetermined" if near & {"undetermined", "held"} else "missed"


def _did_something(year: Year, key: Key) -> bool:
    return bool(year.active[key[0], _window(key)].any())


def _window(key: Key) -> slice:
    return slice(key[1] - LENGTH, key[1])


def run(year: Year, url: str, home: Path, every: int = 1) -> Found:
    """Play the year in the warehouse `url`, migrated, without rows, with a night every so many days; return the end.

    `home`: of dbt.
    """
    nights = Nights(year, url, home)
    nights.prepare()
    last = year.days + TAIL
    for today in [*range(1, last, every), last]:
        nights.night(today)
    return nights.found()


def section(year: Year, verdict: Verdict, every: int) -> str:
    """Return what was found as a section of docs/validation.md."""
    hit = "\n".join(f"- {count:,} {what}" for what, count in year.files[1].items())
    lines = {
        "true No Digital Activity": verdict.true,
        "raised in the first night": verdict.raised,
        "raised late, when the missing files had come": verdict.late,
        "raised on another day of the same silence: files that never came hid where it began": verdict.shifted,
        "undetermined: files never came, and it was closed after 14 days": verdict.undetermined,
        "**missed**": verdict.missed,
        "**raised falsely**, of all that stand as raised": verdict.false,
        "held, and dropped when the missing files had come": verdict.dropped,
        "raised, and taken back when a file that had passed was corrected": verdict.superseded,
        "SQL that takes no rows for no activity: alarms": verdict.naive,
        "**false ones of these**": verdict.naive_false,
    }
    table = "\n".join(f"| {what} | {count:,} |" for what, count in lines.items())
    return SECTION.format(
        students=year.students,
        weeks=year.days // 7,
        streams=len(STREAMS),
        every=every,
        hit=hit,
        table=table,
        share=100 * verdict.naive_false / max(verdict.naive, 1),
    )


def main() -> None:
    """Play a year and print its section, or put it into a page."""
    parser = argparse.ArgumentParser(prog="python -m campus.backtest", description=__doc__)
    parser.add_argument("--students", type=int, default=Year.students)
    parser.add_argument("--seed", type=int, default=Year.seed)
    parser.add_argument("--every", type=int, default=3, help="days from one night to the next")
    parser.add_argument("--page", type=Path, help="the page whose section is replaced")
    chosen = parser.parse_args()
    year = Year(chosen.students, chosen.seed)
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder) / "postgres", UNSAFE) as server:
        url = warehouse.ensure_database(server, "backtest")
        warehouse.migrate(url)
        verdict = judge(year, run(year, url, Path(folder), chosen.every), chosen.every)
    text = section(year, verdict, chosen.every)
    if chosen.page:
        validation.put_silence(chosen.page, text)
    sys.stdout.write(text)
    sys.exit(1 if verdict.missed or verdict.false else 0)


if __name__ == "__main__":
    main()
