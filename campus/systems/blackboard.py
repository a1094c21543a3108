"""Blackboard, as a few departments still use it, nightly by SFTP: the day's rows of its activity accumulator, zipped.

The table also logs that sessions begin and end, guests, and the free text of titles with whatever is in it.
"""

import io
import zipfile

import numpy as np

from campus.activity import acts
from campus.systems import Done, Feed
from campus.systems.files import cut_off, daily, stamped, table
from campus.world import World

HEADER = [
    "PK1",
    "EVENT_TYPE",
    "USER_ID",
    "COURSE_ID",
    "CONTENT_PK1",
    "INTERNAL_HANDLE",
    "DATA",
    "TIMESTAMP",
    "SESSION_ID",
]
KINDS = [
    ("COURSE_ACCESS", "course", ""),
    ("CONTENT_ACCESS", "cp_content", 'Week 3: "Forces", part 2; notes'),
    ("PAGE_ACCESS", "discussion_board_entry", "Zoë's question, answered"),
    ("TAB_ACCESS", "institution_page", ""),
    ("LOGOUT", "", "Session closed"),
]
NEW_COLUMN_FROM = 9
"""Days after `World.adopted`: an upgrade adds a column."""


def _acts(world: World, day: int) -> list[tuple[int, int, int]]:
    student, second = acts(world, day, 41, 0.8, 7, 23)
    kind = world.rng(42, day).choice(len(KINDS), len(student), p=[0.35, 0.3, 0.15, 0.1, 0.1])
    return list(zip(student.tolist(), second.tolist(), kind.tolist(), strict=True))


def accumulator(world: World, day: int) -> bytes:
    users = world.population.username
    rows = []
    for number, (who, at, kind) in enumerate([*_acts(world, day), (-1, 40_000, 0), (-2, 41_000, 0), (-3, 42_000, 0)]):
        event, handle, data = KINDS[kind]
        user = ["test.student", "staff.tutor", "guest"][who] if who < 0 else users[who]
        key, time = str((day + 1) * 1_000_000 + number), stamped(world, day, at, "%Y-%m-%d %H:%M:%S.000")
        course, content = f"PHY-{number % 9 + 1}01", str(number % 300) if data else ""
        rows.append([key, event, user, course, content, handle, data, time, f"S{number}"])
    header = HEADER
    if world.faulty and day >= world.adopted + NEW_COLUMN_FROM:
        header, rows = [*HEADER, "MESSAGES"], [[*row, ""] for row in rows]
    return table(header, rows, encoding="utf-8-sig", end="\r\n")


def zipped(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("activity_accumulator.csv"), content)
    return archive.getvalue()


def done(world: World, day: int) -> Done:
    rows = [(who, at) for who, at, kind in _acts(world, day) if KINDS[kind][0] != "LOGOUT"]
    who, at = np.array(rows, np.int64).reshape(-1, 2).T
    return Done(who, world.clock(day) + at)


FEEDS = [
    Feed(
        "blackboard",
        "vle",
        files=daily(
            "blackboard",
            "blackboard/activity_accumulator_{}.zip",
            lambda world, day: zipped(accumulator(world, day)),
            spoiled=(5, cut_off),
            odd=(NEW_COLUMN_FROM, "new_column"),
        ),
        done=done,
    )
]
