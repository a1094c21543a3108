"""How each system writes a day: the exact bytes of its files, and the VLE's events as JSON.

Knows formats, not servers; which file comes when is in `plan`.
"""

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np

from campus import activity
from campus.world import AWAY, ENTRY_BANDS, FIRST_SNAPSHOT, NEVER, PROGRAMMES, World

STUDENTS = "student_id,given_name,family_name,email,username,badge_number,is_sponsored"
ENROLMENTS = (
    "student_id,programme_code,programme_name,faculty_code,year_of_study,mode,entry_band,cohort,campus_residence,"
    "tutor_id,status,status_from,status_to"
)
TERM_CALENDAR = "term_code,kind,starts_on,ends_on,programme_code,cohort"
ATTENDANCE = "Event Id,Student Number,Session Start,Session End,Session Type,Mandatory,Attended,Late,Recorded At"
GATES = "USERNAME;TIMESTAMP;TYPE;SITE;ACCESS_ID;DIRECTION_OF_ACCESS"


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


def attendance(world: World, day: int, version: int = 1) -> bytes:
    """Return the attendance list of the day: CRLF, local times without zone; faulty rows are written broken."""
    table, ids = activity.attendance(world, day, version), world.population.student_id
    start_of_day = datetime.combine(world.date(day), datetime.min.time())

    def clock(minutes: int) -> str:
        return (start_of_day + timedelta(minutes=minutes)).strftime("%d/%m/%Y %H:%M")

    sessions = {
        s.number: (clock(s.start), clock(s.start + s.minutes), f"{s.kind},{'Yes' if s.mandatory else 'No'}")
        for s in world.timetable
    }
    times = {m: clock(m) for m in np.unique(table.recorded).tolist()}
    lines = [ATTENDANCE]
    for student, session, attended, late, recorded in zip(
        *(c.tolist() for c in (table.student, table.session, table.attended, table.late, table.recorded)), strict=True
    ):
        start, end, kind = sessions[session]
        lines.append(
            f"{world.date(day):%y%m%d}{session:03d}{student:06d},{ids[student]},{start},{end},{kind},"
            f"{'Yes' if attended else 'No'},{'Yes' if late else 'No'},{times[recorded]}"
        )
    for row in np.flatnonzero(table.fault).tolist():
        fields = lines[row + 1].split(",")
        if activity.FAULTS[table.fault[row]] == "impossible_date":
            fields[2] = "31/02" + fields[2][5:]
            lines[row + 1] = ",".join(fields)
        else:
            lines[row + 1] = ",".join(fields[:4])
    return "".join(line + "\r\n" for line in lines).encode()


def gates(world: World, day: int) -> bytes:
    """Return the gate log of the day: semicolons, Latin-1, a footer; on the bad day most rows are unreadable."""
    table, badges = activity.library(world, day), badges_on(world, day)
    rng = world.rng(6, day)
    bad = day == world.faults.bad_gate_day
    garbled_badge, garbled_time = (rng.random((2, len(table))) < (0.75 if bad else 0.0)).tolist()
    columns = (table.student, table.second, table.site, table.entry)
    lines = [GATES]
    for (student, second, site, entry), no_badge, no_time in zip(
        zip(*(c.tolist() for c in columns), strict=True), garbled_badge, garbled_time, strict=True
    ):
        stamp = f"{world.date(day)} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        lines.append(
            f";{'0000-00-00 99:99:99' if no_time else stamp};gate;{activity.SITES[site]};"
            f"{'?????' + str(second % 1000) if no_badge else badges[student]};{'I' if entry else 'O'}"
        )
    return "".join(line + "\n" for line in [*lines, f"TOTAL;{len(table)};;;;"]).encode("latin-1")


def vle_items(world: World, day: int, table: activity.VleEvents) -> list[str]:
    """Return the events of a table of that day as JSON texts."""
    users, midnight = world.population.username, world.start(day).astimezone(UTC)
    items = []
    for student, number, second, kind, thing, login_as in zip(
        *(c.tolist() for c in (table.student, table.id, table.second, table.kind, table.object, table.login_as)),
        strict=True,
    ):
        component, action, noun = activity.VLE_KINDS[kind]
        items.append(
            f'{{"id": {number}, "time": "{midnight + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}", '
            f'"user": {{"username": "{users[student]}"}}, '
            f'"real_user": {"""{"username": "it-helpdesk"}""" if login_as else "null"}, '
            f'"component": "{component}", "action": "{action}", "object": {{"id": {thing}, "type": "{noun}"}}}}'
        )
    return items
