"""Moodle's log as a replica of its database holds it: rows whose ids are nearly in order of time, and others' acts too.

A real Postgres in a folder of its own; nothing in it is later than the campus's clock. What else Moodle answers is
`moodle_state`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from campus.activity import Table
from campus.systems import Done, Feed, Replica
from campus.world import Bools, Ints, World
from engage.postgres import running
from engage.warehouse import connect, ensure_database

IDS_PER_DAY = 1_000_000
FIRST_USER = 100
"""Moodle's number of the first student; below stand guest, staff and the account of the web service."""
OTHERS = {1: "guest", 2: "staff.admin", 3: "staff.teacher", 4: "staff.service"}
WEEKDAY = [0.8, 0.8, 0.8, 0.75, 0.7, 0.4, 0.5]
HOURS = np.array([3, 2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 10, 9, 10, 11, 10, 9, 8, 8, 9, 10, 9, 7, 5], dtype=float)
KINDS = [
    ("core", "viewed", "course"),
    ("mod_page", "viewed", "course_module"),
    ("mod_assign", "viewed", "course_module"),
    ("mod_forum", "viewed", "course_module"),
    ("mod_url", "viewed", "course_module"),
    ("core", "loggedin", "user"),
]
KIND_SHARES = [0.3, 0.25, 0.2, 0.1, 0.05, 0.1]
LOGIN_AS_SHARE, ANONYMOUS_SHARE, APP_SHARE = 0.003, 0.002, 0.1
BATCH = 40
"""Rows are written in batches, so that the ids of so many stand in no order of time."""
LATE_SHARE, LATE_S = 0.01, 1200

TABLES = """
create table if not exists mdl_user (
    id bigint primary key, username varchar(100) not null unique, idnumber varchar(255) not null default '',
    firstname varchar(100) not null default '', deleted smallint not null default 0
);
create table if not exists mdl_logstore_standard_log (
    id bigint primary key, eventname varchar(255) not null default '', component varchar(100) not null,
    action varchar(100) not null, target varchar(100) not null, objecttable varchar(50), objectid bigint,
    crud varchar(1) not null default 'r', edulevel smallint not null default 2, contextid bigint not null default 1,
    contextlevel bigint not null default 70, contextinstanceid bigint not null default 0, userid bigint not null,
    courseid bigint, relateduserid bigint, anonymous smallint not null default 0, other text,
    timecreated bigint not null, origin varchar(10), ip varchar(45), realuserid bigint
);
create index if not exists mdl_logsstanlog_tim_ix on mdl_logstore_standard_log (timecreated);
"""
COLUMNS = (
    "id, component, action, target, contextinstanceid, userid, courseid, anonymous, timecreated, origin, realuserid"
)
Row = tuple[int, str, str, str, int, int, int, int, int, str, int | None]


@dataclass(frozen=True)
class Events(Table):
    """What was done in students' names, in order of time; `at` in epoch seconds, `late` until it is written."""

    id: Ints
    at: Ints
    late: Ints
    kind: Ints
    place: Ints
    login_as: Bools
    anonymous: Bools
    in_app: Bools


def events(world: World, day: int) -> Events:
    """Return the day's events in students' names."""
    rng, p, n = world.rng(20, day), world.population, world.students
    comes = rng.random(n) < np.clip(WEEKDAY[day % 7] + 0.09 * p.level, 0.25, 0.99)
    many = 1 + rng.poisson(2.5 * np.exp(0.45 * p.level))
    student = np.repeat(np.arange(n), np.where(comes & world.present(day) & (p.silent_from > day), many, 0))
    total = len(student)
    begin, end = (int(world.start(d).timestamp()) for d in (day, day + 1))
    hour = rng.choice(24, total, p=HOURS / HOURS.sum())
    at = begin + ((hour * 3600 + rng.integers(0, 3600, total)) * ((end - begin) / 86_400)).astype(np.int64)
    order = np.argsort(at, kind="stable")
    place = np.arange(total)
    jumbled = np.lexsort((rng.random(total), place // BATCH))
    return Events(
        student=student[order],
        id=(day + 2) * IDS_PER_DAY + 2 * jumbled,
        at=at[order],
        late=np.where(rng.random(total) < LATE_SHARE, rng.integers(1, LATE_S, total), 0),
        kind=rng.choice(len(KINDS), total, p=KIND_SHARES),
        place=rng.integers(1, 3000, total),
        login_as=rng.random(total) < LOGIN_AS_SHARE,
        anonymous=rng.random(total) < ANONYMOUS_SHARE,
        in_app=rng.random(total) < APP_SHARE,
    )


def rows(world: World, day: int, now: float) -> Iterator[Row]:
    """Yield the rows of a day that are written by `now` (epoch seconds): students', and everybody else's."""
    table = events(world, day)
    table = table.take(table.at + table.late <= now)
    for student, number, at, kind, place, login_as, anonymous, in_app in zip(
        *(c.tolist() for c in (table.student, table.id, table.at, table.kind, table.place)),
        *(c.tolist() for c in (table.login_as, table.anonymous, table.in_app)),
        strict=True,
    ):
        component, action, target = KINDS[kind]
        user, course = FIRST_USER + student, 10 + place % 24
        origin, real = "ws" if in_app else "web", 2 if login_as else None
        yield number, component, action, target, place, user, course, int(anonymous), at, origin, real
    # Every half an hour: a job, a guest, a teacher, and the call of a web service.
    for slot in range(48):
        at = int(world.start(day).timestamp()) + 1800 * slot + 7
        number = (day + 2) * IDS_PER_DAY + IDS_PER_DAY // 2 + 2 * slot + 1
        component, action, target, user, origin = [
            ("core", "updated", "course_module_completion", -1, "cli"),
            ("core", "viewed", "course", 1, "web"),
            ("mod_page", "viewed", "course_module", 3, "web"),
            ("core", "called", "webservice_function", 4, "ws"),
        ][slot % 4]
        if at <= now:
            yield number, component, action, target, 0, user, 1, 0, at, origin, None


@contextmanager
def replica(world: World, folder: Path) -> Iterator[str]:
    """Yield the URL of the database, which lies in the folder."""
    small = {"shared_buffers": "16MB", "max_connections": "10", "fsync": "off", "synchronous_commit": "off"}
    with running(folder, small) as server:
        url = ensure_database(server, "moodle")
        users = [*OTHERS.items(), *enumerate(world.population.username, start=FIRST_USER)]
        with connect(url) as connection:
            connection.execute(TABLES)
            connection.execute(
                "insert into mdl_user (id, username) select * from unnest(%s::bigint[], %s::text[])"
                " on conflict do nothing",
                [[number for number, _ in users], [name for _, name in users]],
            )
        yield url


def advance(url: str, world: World, now: datetime) -> None:
    """Write the rows up to `now` that are not there; the log begins on the day before the campus was adopted."""
    with connect(url) as connection:
        found = connection.execute("select max(timecreated) from mdl_logstore_standard_log").fetchone()
        newest = found and found[0]
        first = max(world.adopted - 1, 0)
        if isinstance(newest, int):
            first = max(first, world.day_of(datetime.fromtimestamp(newest, UTC)) - 1)
        connection.execute("create temporary table fresh (like mdl_logstore_standard_log including defaults)")
        with connection.cursor().copy(f"copy fresh ({COLUMNS}) from stdin") as copy:
            for day in range(first, world.day_of(now) + 1):
                for row in rows(world, day, now.timestamp()):
                    copy.write_row(row)
        connection.execute("insert into mdl_logstore_standard_log select * from fresh on conflict do nothing")
        connection.execute("drop table fresh")


def done(world: World, day: int) -> Done:
    table = events(world, day)
    table = table.take(~table.login_as & ~table.anonymous)
    return Done(table.student, table.at)


FEEDS = [Feed("moodle_log", "vle", replica=Replica("CAMPUS_MOODLE_DATABASE_URL", replica, advance), done=done)]
