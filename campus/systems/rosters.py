"""Lists that other systems send nightly by SFTP: who supports whom, modules, exemptions, students' own notes.

Each is the full list as of a day.
"""

import json
from datetime import UTC, datetime, timedelta

from campus.systems import Feed
from campus.systems.files import daily, renamed, table
from campus.world import FAMILY, GIVEN, PROGRAMMES, ZONE, World

DAY = "%d/%m/%Y"
STAFF_LINKS = ["Staff ID", "Staff Name", "Staff E-mail", "Student ID", "Role", "From", "To"]
MODULES = ["MOD_CODE", "MOD_NAME", "FAC_CODE", "PERIOD_START", "PERIOD_END"]
EXEMPTIONS = ["Reference", "Student Number", "Exemption Type", "First Day", "Last Day", "Created On", "Created By"]
NOTES = [
    "I look after my mother on Tuesdays, and work evenings.",
    'My GP calls it "long Covid"; mornings are hard.',
    "Laptop broken, waiting for a repair; I read on paper.",
    "Élodie and I commute from Leeds: trains are late.",
]
NOTE_SHARE = 0.02


def staff_links(world: World, day: int) -> bytes:
    """Return who supports whom: Latin-1, tutors by student, and two directors of studies for all of a programme."""
    p, rows = world.population, []
    since = (world.first_monday - timedelta(days=7)).strftime(DAY)
    for i, student in enumerate(p.student_id):
        for number, role in ((int(p.tutor[i]), "tutor"), (9000 + int(p.programme[i]), "director_of_studies")):
            name = f"{GIVEN[number % len(GIVEN)]} {FAMILY[number % len(FAMILY)]}"
            rows.append([f"T{number:04d}", name, f"t{number:04d}@northbank.example", student, role, since, ""])
    return table(STAFF_LINKS, rows, encoding="latin-1", end="\r\n")


def modules(world: World, day: int) -> bytes:
    """Return what is taught: vertical bars, and quotes around titles with one."""
    starts, ends = world.date(0).isoformat(), world.date(world.days - 1).isoformat()
    rows = [
        [f"{code}{level}01", f"{name} {level} | Core", faculty, starts, ends]
        for code, name, faculty, _ in PROGRAMMES
        for level in (1, 2, 3)
    ]
    return table(MODULES, rows, "|")


def exemptions(world: World, day: int) -> bytes:
    """Return the exemptions entered by the end of the day: semicolons, UTF-8 with BOM, European dates."""
    rows = [
        [
            f"EX-{number:05d}",
            world.population.student_id[e.student],
            e.kind,
            *(world.date(at).strftime(DAY) for at in (e.begins, e.ends, e.created)),
            "registry.office",
        ]
        for number, e in enumerate(world.exemptions)
        if e.created <= day
    ]
    return table(EXEMPTIONS, rows, ";", "utf-8-sig")


def student_notes(world: World, day: int) -> bytes:
    """Return what students wrote of themselves by the end of the day, one JSON object a line."""
    rng, lines = world.rng(61), []
    some = max(2, round(NOTE_SHARE * world.students))
    for number, student in enumerate(rng.permutation(world.students)[:some].tolist()):
        written = int(rng.integers(0, world.days))
        if written <= day:
            at = datetime.fromtimestamp(world.clock(written) + 45_000, ZONE).astimezone(UTC)
            note = {"id": f"note-{number}", "student": {"number": world.population.student_id[student]}}
            lines.append(json.dumps(note | {"text": NOTES[number % len(NOTES)], "written": at.isoformat()}))
    return "".join(f"{line}\n" for line in lines).encode()


FILES = {
    "staff_links": daily(
        "staff_links", "rosters/staff_links_{}.csv", staff_links, spoiled=(4, renamed("Student ID", "SPR"))
    ),
    "modules": daily("modules", "rosters/modules_{}.txt", modules, every=7),
    "exemptions": daily(
        "exemptions", "rosters/exemptions_{}.csv", exemptions, late=5, spoiled=(9, renamed("Last Day", "Until"))
    ),
    "student_notes": daily("student_notes", "rosters/notes_{}.jsonl", student_notes, again=3),
}
FEEDS = [Feed(name, files=files) for name, files in FILES.items()]
