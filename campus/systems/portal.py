"""The student portal of the records system, nightly by SFTP: who logged in, as such a system's export calls it."""

from campus.activity import acts
from campus.systems import Done, Feed
from campus.systems.files import daily, renamed, stamped, table
from campus.world import World

HEADER = ["STU_CODE", "MUA_NAME", "LOG_DTTM", "LOG_TYPE", "LOG_RESULT"]
FAILED_EVERY = 25
"""One login in so many is refused: a wrong password."""


def logins(world: World, day: int) -> bytes:
    """Return the day's logins: vertical bars, CRLF, minutes only, a line with the number of rows at the end."""
    who, at = acts(world, day, 51, 0.3, 6, 23)
    ids = world.population.student_id
    rows = [
        [ids[i], f"MUA{i:06d}", stamped(world, day, second, "%d/%m/%Y %H:%M"), "PORTAL", "N" if _failed(n) else "Y"]
        for n, (i, second) in enumerate(zip(who.tolist(), at.tolist(), strict=True))
    ]
    rows += [["TEST0001", "MUATEST", stamped(world, day, 36_000, "%d/%m/%Y %H:%M"), "PORTAL", "Y"]]
    return table(HEADER, [*rows, [f"ROWS: {len(rows)}"]], "|", end="\r\n")


def _failed(number: int) -> bool:
    return number % FAILED_EVERY == FAILED_EVERY - 1


def done(world: World, day: int) -> Done:
    who, at = acts(world, day, 51, 0.3, 6, 23)
    good = [n for n in range(len(who)) if not _failed(n)]
    return Done(who[good], world.clock(day) + at[good] // 60 * 60)


FEEDS = [
    Feed(
        "portal_logins",
        "other",
        files=daily(
            "portal_logins",
            "portal/logins_{}.txt",
            logins,
            again=4,
            late=1,
            spoiled=(6, renamed("STU_CODE", "SPR_CODE")),
        ),
        done=done,
    )
]
