"""The days of sponsored students are those of a plain reference, and of nobody else there are any."""

import random
from dataclasses import fields, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.integration.dbt import universe
from tests.integration.dbt.casework import NOBODY, make
from tests.integration.dbt.conftest import TEMPLATE, Project
from tests.reference.sponsored import DAY, Feed, Row, Student, Term, World, rows

Connection = psycopg.Connection[Any]
FIRST, LAST = date(2026, 2, 23), date(2026, 4, 19)  # with the change of the clocks, 29 March
DAYS = [FIRST + n * DAY for n in range((LAST - FIRST).days + 1)]
REGISTER, MEETINGS, CRM = "Register", "Meetings", "Contacts"
TYPES = ["Authorised Absence", "Withdrawn"]
EMPTIED = ["marts.daily_activity", "intermediate.int_student", "intermediate.int_exemption", "intermediate.int_contact"]
EMPTIED += ["raw.enrolments", "raw.term_calendar", "raw.contacts", "ops.batch_day", "ops.batch", "ops.delivery"]
EMPTIED += ["ops.source", "ops.setting", "ops.peer_level", "ops.category_weight"]


def made_up(chance: random.Random) -> World:
    """Return a small university over eight weeks, with short limits so that all that can happen does."""
    off = chance.choice([None, None, chance.choice(DAYS)])
    feeds = [
        Feed("register", REGISTER, _covered(chance, FIRST)),
        Feed("meetings", MEETINGS, _covered(chance, DAYS[6], ("Sat", "Sun")), None, off, ("Sat", "Sun")),
        Feed("new", "New", _covered(chance, DAYS[30]), chance.choice([DAYS[29], None])),
    ]
    calendar = [
        Term("teaching", DAYS[3], DAYS[30]),
        Term("vacation", DAYS[31], DAYS[40]),
        Term("reading", DAYS[35], DAYS[38], "P2"),
        Term("teaching", DAYS[41], LAST + 30 * DAY),
    ]
    return World(
        LAST,
        feeds,
        chance.choice([calendar, calendar, []]),
        [_student(chance, f"s{k:02}") for k in range(20)],
        chance.choice([LAST + DAY, LAST + DAY, LAST - 3 * DAY]),
        chance.choice([TYPES, TYPES[:1]]),
        limit_days=chance.choice([10, 20]),
        warn_from=chance.choice([5, 10]),
    )


def _covered(chance: random.Random, first: date, quiet: tuple[str, ...] = ()) -> dict[date, bool]:
    broken = chance.choice([0.0, 0.01, 0.05])
    return {
        day: chance.random() > broken / 2
        for day in DAYS
        if day == first or (day > first and f"{day:%a}" not in quiet and chance.random() >= broken)
    }


def _student(chance: random.Random, student_id: str) -> Student:
    periods: list[tuple[str, date | None, date | None]] = [
        ("active", chance.choice([None, FIRST - 90 * DAY, DAYS[9]]), chance.choice([None, None, DAYS[50], DAYS[-1]]))
    ]
    if chance.random() < 0.3:
        start = chance.choice(DAYS)
        status = chance.choice(["suspended", "placement", "study_abroad"])
        periods.append((status, start, chance.choice([None, start + chance.randint(1, 20) * DAY])))
    exemptions = []
    if chance.random() < 0.3:
        start = chance.choice(DAYS)
        exemptions = [(chance.choice(TYPES), start, start + chance.randint(0, 12) * DAY)]
        exemptions.append((chance.choice(TYPES), start + 2 * DAY, start + 4 * DAY))
    rate = chance.choice([0.0, 0.03, 0.1, 0.5])
    contacts = {
        day: dict.fromkeys(chance.sample([REGISTER, MEETINGS, CRM], chance.randint(1, 3)), chance.randint(1, 3))
        for day in [FIRST - 5 * DAY, *DAYS]
        if chance.random() < rate
    }
    sponsored = chance.random() < 0.8
    return Student(student_id, chance.choice(["P1", "P2", None]), sponsored, periods, exemptions, contacts)


def put(connection: Connection, world: World) -> None:
    """Write it to the warehouse, in place of whatever is there."""
    for table in EMPTIED:
        connection.execute(f"delete from {table}")
    universe.configure(connection, NOBODY)
    connection.execute("update ops.source set is_digital = false")
    now = datetime.combine(world.last_day + DAY, time(6), UTC)
    connection.execute("update ops.scoring_parameter set as_of = %s", [now])
    setting = {
        "enabled": True,
        "limit_days": world.limit_days,
        "warn_days": [world.warn_from, world.warn_from + 1],
        "outcomes": ["reached"],
        "exemptions": list(world.exemption_types),
        "counted_in": ["teaching", "reading", "assessment"],
    }
    connection.execute("insert into ops.setting values ('sponsorship', %s)", [Jsonb(setting)])
    columns = ["source_id", "title", "record", "relation", "category", "is_digital", "enabled_from", "disabled_from"]
    universe.rows(
        connection,
        "ops.source",
        [*columns, "quiet_weekdays", "is_contact_point"],
        [
            *(
                (f.source_id, f.title, "activity", "append", "vle", True, f.enabled_from, f.disabled_from, quiet, True)
                for f in world.feeds
                for quiet in [",".join(f.quiet_weekdays)]
            ),
            ("crm", CRM, "contacts", "snapshot", None, False, None, None, "", True),
            ("clicks", "Clicks", "activity", "append", "vle", True, None, None, "", False),
        ],
    )
    covered = [(f.source_id, day, good) for f in world.feeds for day, good in f.covered.items()]
    covered.append(("crm", world.contacts_listed_on, True))  # a list covers its day, as any other delivery does
    universe.cover(connection, universe.COMPLETE, [(source, day) for source, day, good in covered if good])
    universe.cover(connection, universe.POOR, [(source, day) for source, day, good in covered if not good])
    universe.partition(connection, "contacts", {"crm"})
    universe.partition(connection, "enrolments", {"enrolments"})
    universe.partition(connection, "term_calendar", {"term_calendar"})
    keys = ["source_id", "as_of_date", "batch_id", "row_number"]
    universe.rows(
        connection,
        "raw.contacts",
        [*keys, "contact_id", "student_id", "contacted_at"],
        [("crm", world.contacts_listed_on, 1, 1, "c", "nobody", now)],
    )
    universe.rows(
        connection,
        "raw.term_calendar",
        [*keys, "term_code", "kind", "starts_on", "ends_on", "programme_code"],
        [
            ("term_calendar", FIRST, 1, n, "T", t.kind, t.starts_on, t.ends_on, t.programme_code)
            for n, t in enumerate(world.calendar)
        ],
    )
    universe.rows(
        connection,
        "raw.enrolments",
        [*keys, "student_id", "status", "status_from", "status_to"],
        [
            ("enrolments", FIRST, 1, n, s.student_id, *period)
            for s in world.students
            for n, period in enumerate(s.periods)
        ],
    )
    universe.rows(
        connection,
        "intermediate.int_student",
        ["student_id", "programme_code", "status", "is_sponsored"],
        [(s.student_id, s.programme_code, "any", s.is_sponsored) for s in world.students],
    )
    universe.rows(
        connection,
        "intermediate.int_exemption",
        ["student_id", "exemption_type", "starts_on", "ends_on"],
        [(s.student_id, *one) for s in world.students for one in s.exemptions],
    )
    ids = {REGISTER: "register", MEETINGS: "meetings"}
    happened = [(s.student_id, d, t, n) for s in world.students for d, of in s.contacts.items() for t, n in of.items()]
    universe.rows(
        connection,
        "marts.daily_activity",
        ["student_id", "activity_date", "source_id", "interactions"],
        [
            *((student, day, ids[title], n) for student, day, title, n in happened if title in ids),
            # What is no contact point, and sessions that nobody came to.
            *((s.student_id, d, "clicks", 5) for s in world.students for d in DAYS[::3]),
            *(
                (s.student_id, d, "register", 0)
                for s in world.students
                for d in DAYS
                if REGISTER not in s.contacts.get(d, {})
            ),
        ],
    )
    universe.rows(
        connection,
        "intermediate.int_contact",
        ["source_id", "contact_id", "student_id", "contacted_at", "outcome"],
        [
            *(
                ("crm", f"{student}{day}{k}", student, datetime.combine(day, time(12), UTC), "reached")
                for student, day, title, n in happened
                if title == CRM
                for k in range(n)
            ),
            *(("crm", f"{s.student_id}none", s.student_id, now - timedelta(2), "no_answer") for s in world.students),
        ],
    )


def found(connection: Connection, project: Project) -> dict[tuple[str, date], Row]:
    make(connection, project, "intermediate.int_evidence_day")
    (path,) = Path(project.home).rglob("compiled/**/sponsored_contact_point.sql")
    compiled = path.read_text().replace(f'"{TEMPLATE}".', "")  # models that only nights make name another database
    connection.execute(f"create temporary table made on commit drop as {compiled}".encode())
    connection.execute("delete from marts.sponsored_contact_point")
    connection.execute("insert into marts.sponsored_contact_point select * from made; drop table made")
    names = ", ".join(one.name for one in fields(Row))
    query = f"select student_id, contact_date, {names} from marts.sponsored_contact_point"
    return {(student, day): Row(*values) for student, day, *values in connection.execute(query.encode())}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_every_day_is_what_the_reference_says(connection: Connection, project: Project, seed: int) -> None:
    world = made_up(random.Random(seed))
    try:
        put(connection, world)
        told = found(connection, project)
        expected = rows(world)
        assert set(told) == set(expected)
        assert {key: (told[key], row) for key, row in expected.items() if told[key] != row} == {}
    finally:
        connection.rollback()


def quiet_world(**changes: Any) -> World:
    """One student with a contact on the first day, a whole calendar of teaching and no fault."""
    whole = dict.fromkeys(DAYS, True)
    student = Student("s", "P1", True, [("active", None, None)], (), {FIRST: {REGISTER: 1}})
    feeds = [Feed("register", REGISTER, whole)]
    return replace(World(LAST, feeds, [], [student], LAST + DAY, TYPES, 20, 10), **changes)


def test_a_broken_feed_flags_nobody_and_hides_nobody_who_is_certain(connection: Connection, project: Project) -> None:
    whole = dict.fromkeys(DAYS, True)
    cases: tuple[tuple[list[date], str], ...] = (
        ([], "over_limit"),
        ([LAST], "over_limit"),
        ([DAYS[3]], "over_limit"),
        ([DAYS[15], LAST], "over_limit"),
        ([DAYS[15], DAYS[30], DAYS[45]], "undetermined"),
        (DAYS[21:], "undetermined"),
        (DAYS[22:], "over_limit"),
    )
    for broken, said in cases:
        feed = Feed("register", REGISTER, {day: day not in broken for day in whole})
        put(connection, quiet_world(feeds=[feed]))
        row = found(connection, project)["s", LAST]
        assert (row.status, row.counted_days) == (said, 55), broken
        connection.rollback()


def test_sponsorship_that_is_off_or_not_configured_has_no_rows(connection: Connection, project: Project) -> None:
    put(connection, quiet_world())
    assert len(found(connection, project)) == len(DAYS)
    connection.execute("""update ops.setting set content = content || '{"enabled": false}'""")
    assert found(connection, project) == {}
    connection.execute("delete from ops.setting")
    assert found(connection, project) == {}


@pytest.mark.parametrize("what", ["score", "name", "email", "rating", "peer_group", "given_name"])
def test_there_is_no_score_no_name_and_no_comparison(connection: Connection, what: str) -> None:
    columns = connection.execute(
        "select attname from pg_attribute where attrelid = 'marts.sponsored_contact_point'::regclass and attnum > 0"
    ).fetchall()
    assert columns and not [one for (one,) in columns if what in one]
