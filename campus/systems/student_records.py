"""Student records: the nightly lists of students and enrolments and, once a term, the term calendar, by SFTP."""

import csv
import io
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from campus.systems import Delivery, Feed
from campus.world import AWAY, ENTRY_BANDS, FIRST_SNAPSHOT, NEVER, PROGRAMMES, World

STUDENTS = "student_id,given_name,family_name,email,username,badge_number,is_sponsored"
ENROLMENTS = (
    "student_id,programme_code,programme_name,faculty_code,year_of_study,mode,entry_band,cohort,campus_residence,"
    "tutor_id,status,status_from,status_to"
)
TERM_CALENDAR = "term_code,kind,starts_on,ends_on,programme_code,cohort"


def _csv(header: str, rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header.split(","), *rows])
    return text.getvalue().encode("utf-8-sig")


def students(world: World, day: int) -> bytes:
    """Return the student records as at the end of the day: UTF-8 with BOM."""
    p = world.population
    badges = badges_on(world, day)
    columns = zip(p.student_id, p.given_name, p.family_name, p.username, badges, p.sponsored.tolist(), strict=True)
    return _csv(
        STUDENTS,
        [[i, g, f, f"{u}@students.northbank.example", u, b, "Y" if s else "N"] for i, g, f, u, b, s in columns],
    )


def badges_on(world: World, day: int) -> list[str]:
    """Return every student's badge number on the day."""
    p = world.population
    return [
        new if changed else old
        for old, new, changed in zip(p.badge, p.new_badge, (p.reissued_from <= day).tolist(), strict=True)
    ]


def enrolments(world: World, day: int) -> bytes:
    """Return the status periods known at the end of the day: placements beforehand, withdrawals once they happen."""
    p = world.population
    rows = []
    for i, student_id in enumerate(p.student_id):
        code, name, faculty, _ = PROGRAMMES[p.programme[i]]
        began = world.first_monday - timedelta(days=7 + 364 * int(p.year[i] - 1))
        mode, residence = "PT" if p.part_time[i] else "FT", "on_campus" if p.on_campus[i] else "off_campus"
        band, cohort, tutor = ENTRY_BANDS[p.entry_band[i]], f"{began.year}-{began.month:02d}", f"T{p.tutor[i]:04d}"
        fixed = [student_id, code, name, faculty, str(p.year[i]), mode, band, cohort, residence, tutor]
        status, _, foreseen = AWAY[p.away[i]]
        if p.away[i] < 0 or not (foreseen or p.away_from[i] <= day):
            rows.append([*fixed, "active", began.isoformat(), ""])
            continue
        leaves = world.date(int(p.away_from[i])).isoformat()
        returns = world.date(int(p.away_to[i])).isoformat() if p.away_to[i] < NEVER else ""
        if began.isoformat() < leaves:
            rows.append([*fixed, "active", began.isoformat(), leaves])
        rows.append([*fixed, status, leaves, returns])
        if returns:
            rows.append([*fixed, "active", returns, ""])
    return _csv(ENROLMENTS, rows)


def term_calendar(world: World, day: int) -> bytes:
    """Return the teaching terms known at the end of the day, both dates inclusive: one follows on the other."""
    terms = []
    for number, first in enumerate(range(0, day - FIRST_SNAPSHOT + 1, world.days), start=1):
        starts, ends = world.date(first).isoformat(), world.date(first + world.days - 1).isoformat()
        terms.append([f"{world.first_monday.year}T{number}", "teaching", starts, ends, "", ""])
    return _csv(TERM_CALENDAR, terms)


def nightly(name: str, world: World, day: int) -> Iterable[Delivery]:
    path, content = f"student_records/{name}_{world.date(day):%Y%m%d}.csv", partial(WRITERS[name], world, day)
    if name != "term_calendar" or (day - FIRST_SNAPSHOT) % world.days == 0:
        yield Delivery(name, day, path, world.due(day), content)


WRITERS = {"students": students, "enrolments": enrolments, "term_calendar": term_calendar}
FEEDS = [Feed(name, files=partial(nightly, name), is_adopted=False) for name in WRITERS]
