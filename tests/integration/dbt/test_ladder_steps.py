"""marts.contact_step against the plain reference, over contacts, calendars, steps and ends that chance makes up."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.dbt import casework, universe
from tests.integration.dbt.conftest import Project
from tests.reference import ladder
from tests.reference.ladder import Contact, Letter, Period, Row, Run

Connection = psycopg.Connection[Any]
FIRST, LAST = date(2026, 3, 9), date(2026, 4, 8)  # the clocks change on 29 March
COLUMNS = "due_date, done_at, done_by, status, is_due_today, is_overdue, run_status, stopped_by"
World = tuple[list[Run], list[Period], datetime]


def moment(chance: random.Random, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, chance.choice([0, 9, 15, 22, 23]), 30, tzinfo=UTC)


def world_of(seed: int) -> World:
    chance = random.Random(seed)

    def a_day() -> date:
        return FIRST + timedelta(chance.randrange((LAST - FIRST).days + 3))

    def maybe(probability: float) -> bool:
        return chance.random() < probability

    calendar = [
        Period(chance.choice(["closure", "vacation", "teaching"]), day, day + timedelta(chance.choice([0, 1, 9])), who)
        for day, who in ((a_day(), chance.choice([None, None, "P1"])) for _ in range(chance.randrange(4)))
    ]
    now = datetime(2026, 4, 1, 6, tzinfo=UTC) + timedelta(chance.choice([*range(8), 20, 27, 28, 40]))
    runs = []
    for k in range(40):
        start = min(a_day(), now.date())
        waits = [chance.choice([1, 1, 2, 5]) for _ in range(chance.randint(1, 4))]
        run = Run(start, waits, chance.choice([[], ["answered"], ["active_again"], ["answered", "active_again"]]))
        run.in_vacations = maybe(0.3)
        run.contacts = [
            Contact(
                f"c{k}-{n}", moment(chance, a_day()), chance.choice(["reached", "Reached", "no_answer", None, None])
            )
            for n in range(chance.choice([0, 1, 3, 8]))
        ]
        if maybe(0.3):
            became: Any = chance.choice(["sent", "sent", "suppressed", "failed", "late"])
            run.letters = [Letter(1, moment(chance, start + timedelta(3)), became)]
        if maybe(0.3):
            run.active_days = [a_day() for _ in range(2)]
        if maybe(0.15):
            day = a_day()
            run.exemptions = [(day, day + timedelta(2))]
        if maybe(0.1):
            run.not_active_as_of = LAST
        if maybe(0.1):
            run.superseded_at = moment(chance, start + timedelta(2))
        runs.append(run)
    return runs, calendar, now


def insert(connection: Connection, world: World) -> None:
    """Put the world where the model reads it."""
    runs, calendar, now = world
    casework.at(connection, now)
    columns = ["source_id", "as_of_date", "batch_id", "row_number", "term_code", "kind", "starts_on", "ends_on"]
    periods = [(date(2026, 1, 1), p) for p in [Period("teaching", FIRST, LAST), *calendar]]
    # A calendar that is no longer valid.
    periods.append((date(2025, 1, 1), Period("closure", FIRST, LAST)))
    universe.rows(
        connection,
        "raw.term_calendar",
        [*columns, "programme_code"],
        [
            ("term_calendar", as_of, 1, n, "T", p.kind, p.starts_on, p.ends_on, p.programme)
            for n, (as_of, p) in enumerate(periods)
        ],
    )
    for k, run in enumerate(runs, start=1):
        put(connection, k, run)


def put(connection: Connection, k: int, run: Run) -> None:
    who = f"u{k:02}"
    steps = [
        {"id": f"s{n}", "title": "t", "who": "tutor", "channel": "phone", "wait_days": wait}
        for n, wait in enumerate(run.waits)
    ]
    ended: dict[str, Any] = {"status": "superseded", "resolved_at": run.superseded_at} if run.superseded_at else {}
    notification = casework.notify(connection, who, run.started_on, **ended)
    ((number,),) = connection.execute(
        "insert into ops.ladder_run (ladder_id, student_id, notification_id, started_on, steps, stop_when,"
        " in_vacations) values ('l', %s, %s, %s, %s, %s, %s) returning ladder_run_id",
        [who, notification, run.started_on, json.dumps(steps), run.stop_when, run.in_vacations],
    ).fetchall()
    status = "suspended" if run.not_active_as_of else "active"
    universe.rows(
        connection,
        "intermediate.int_student",
        ["student_id", "status", "as_of_date"],
        [(who, status, run.not_active_as_of or LAST)],
    )
    for letter in run.letters:
        ((message,),) = connection.execute(
            "insert into ops.outbox (message_key, channel, recipient, subject, text, payload, state, next_attempt_at,"
            " created_at, sent_at) values (%s, 'email', 'a@b.c', '', '', '{}', %s, now(), %s, %s)"
            " returning message_id",
            [
                f"student:{k}",
                "failed" if letter.became == "failed" else "sent",
                letter.at,
                None if letter.became == "failed" else letter.at,
            ],
        ).fetchall()
        connection.execute(
            "insert into ops.action (action_key, kind, student_id, target, ladder_run_id, step_number, created_at,"
            " state, message_id, why) values (%s, 'email_student', %s, 'student', %s, %s, %s, %s, %s, %s)",
            [
                *(f"step:{number}:{letter.step_number}", who, number, letter.step_number, letter.at),
                *(("done", message) if letter.became in ("sent", "failed") else ("suppressed", None)),
                "the step was done" if letter.became == "late" else None,
            ],
        )
    universe.rows(
        connection,
        "intermediate.int_contact",
        ["source_id", "contact_id", "student_id", "contacted_at", "outcome"],
        [("crm", c.contact_id, who, c.at, c.outcome) for c in run.contacts],
    )
    universe.rows(
        connection,
        "intermediate.int_exemption",
        ["student_id", "exemption_type", "starts_on", "ends_on"],
        [(who, "any", *days) for days in run.exemptions],
    )
    # Nothing, and what is not digital, is no activity.
    activity = [(day, "clicks", 1) for day in set(run.active_days)]
    activity += [(run.started_on, "gates", 5)]
    if run.started_on not in run.active_days:
        activity.append((run.started_on, "clicks", 0))
    universe.rows(
        connection,
        "marts.daily_activity",
        ["student_id", "activity_date", "source_id", "interactions"],
        [(who, *one) for one in activity],
    )


def steps(connection: Connection, project: Project) -> dict[str, list[Row]]:
    """Make the steps of what stands in the warehouse."""
    casework.make(connection, project, "intermediate.int_working_day", "marts.contact_step")
    found: dict[str, list[Row]] = {}
    query = f"select student_id, {COLUMNS} from marts.contact_step order by student_id, step_number"
    for who, *values in connection.execute(query):
        found.setdefault(who, []).append(Row(*values))
    return found


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_steps_are_those_of_the_reference(connection: Connection, project: Project, seed: int) -> None:
    connection.rollback()
    runs, calendar, now = world_of(seed)
    insert(connection, (runs, calendar, now))

    found = steps(connection, project)

    for k, run in enumerate(runs, start=1):
        assert found[f"u{k:02}"] == ladder.rows(run, calendar, now), run
