"""Makes the files: events of a day, always the same for a seed, of which a few are repeated or break a rule.

Every row is one that Postgres can type by itself, so that the floor may COPY the raw bytes.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

HEADING = "event,user,time,component,object,clicks\n"
TYPES = ("quiz", "forum", "page", "assign", "url")
FIRST_DAY = date(2023, 1, 1)


def badge(student: int) -> str:
    """Return the badge number of a student."""
    return f"{10_000_000 + student}"


def write(folder: Path, rows: int, files: int, students: int, seed: int) -> int:
    """Write one file of `rows` events for each of the `files` days from FIRST_DAY on; return their bytes."""
    for number in range(files):
        day = FIRST_DAY + timedelta(days=number)
        with (folder / f"events_{day:%Y%m%d}.csv").open("w", newline="") as file:
            file.write(HEADING)
            file.writelines(_events(day, rows, students, seed + number))
    return sum(path.stat().st_size for path in folder.iterdir())


def _events(day: date, rows: int, students: int, seed: int) -> Iterator[str]:
    state = seed
    for number in range(rows):
        # Knuth's generator: the high bits are as random as this needs.
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        a, b = state >> 44, state >> 24 & 0xFFFFF
        # A row that repeats is a good one: then it is the same row that counts, whether bad ones are left out first.
        repeats = a % 2000 == 0 and number > 0
        event = number - repeats
        user = badge(a % students) if repeats or b % 1000 else "visitor1"
        kind = TYPES[b % 5] if repeats or a % 1500 else "unknown"
        second = 7200 + b % 79200  # not in the hour that the change of the clocks leaves out
        time = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        yield f"{day:%y%m%d}-{event:09d},{user},{day} {time},{kind},item/{a % 5000},{1 + b % 20}\n"
