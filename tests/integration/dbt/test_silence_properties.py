"""Whatever came late, twice, in another order or never: the ledger ends in what the reference says of all that came."""

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.dbt.conftest import Project
from tests.integration.dbt.silence import Judge, compiled
from tests.reference.silence import Exempt, Feed, History, Term, inactivity, span
from tests.reference.university import Enrolment

Connection = psycopg.Connection[Any]
FIRST = date(2026, 3, 2)
DAYS = span(FIRST, FIRST + timedelta(48))  # with the change of the clocks, 29 March
LAST = DAYS[-1]
LISTS = [FIRST - timedelta(2), DAYS[15], DAYS[30]]


def made_up(chance: random.Random) -> History:
    """Return a small university over seven weeks as it really was."""
    feeds = [
        Feed("clicks", enabled_from=FIRST - timedelta(3)),
        Feed("views", enabled_from=FIRST, quiet_weekdays=("Sat", "Sun"), quiet_in=("vacation",)),
        Feed("app", enabled_from=chance.choice(DAYS)),
        Feed("portal", enabled_from=FIRST, disabled_from=chance.choice(DAYS)),
        Feed("register", is_digital=False, record="attendance", category="attendance", enabled_from=FIRST),
    ]
    if chance.random() < 0.3:  # one system is switched off, the next one on, and a few days between them nobody looks
        off = chance.randint(8, 30)
        feeds[:4] = [
            replace(feeds[0], disabled_from=DAYS[off]),
            Feed("app", enabled_from=DAYS[off + chance.randint(0, 5)]),
        ]
    calendar = [
        Term("teaching", FIRST, DAYS[25]),
        Term("vacation", DAYS[26], DAYS[30]),
        Term("closure", DAYS[28], DAYS[29]),
        Term("reading", DAYS[26], DAYS[40], "P2"),
        Term("teaching", DAYS[31], LAST),
        Term("vacation", DAYS[10], DAYS[13], None, "2025"),
    ]
    if chance.random() < 0.5:
        calendar = [Term("teaching", FIRST, LAST + timedelta(9)), Term("closure", DAYS[20], DAYS[21])]
    enrolments, exemptions, activity = [], [], {}
    for k in range(14):
        student = f"u{k:02}"
        study = {"programme_code": chance.choice(["P1", "P1", "P2", None]), "cohort": chance.choice(["2025", "2026"])}
        away: list[Enrolment] = []
        for as_of in LISTS:
            # A list may tell late that somebody was away.
            away = [replace(e, as_of=as_of) for e in away if (e.status_from or as_of) < as_of]
            if chance.random() < 0.25:
                start = chance.choice(DAYS)
                end = chance.choice([None, start + timedelta(chance.randint(1, 12))])
                status = chance.choice(["suspended", "placement", "study_abroad", "withdrawn"])
                away.append(Enrolment("enrolments", as_of, student, status, start, end, dict(study)))
            enrolments += [Enrolment("enrolments", as_of, student, "active", None, None, dict(study)), *away]
        if chance.random() < 0.4:
            starts = chance.choice(DAYS)
            ends = starts + timedelta(chance.randint(0, 9))
            exemptions.append(Exempt(student, starts, ends, starts - timedelta(chance.randint(-2, 4))))
        rate, gone, back = chance.choice([0.01, 0.03, 0.1, 0.3]), chance.choice(DAYS), chance.choice([*DAYS, LAST])
        for feed in feeds:
            for day in DAYS:
                if chance.random() < rate and not gone <= day < back:
                    activity[student, day, feed.source_id] = chance.randint(1, 2)
    covered = {
        (feed.source_id, day): chance.random() > 0.01
        for feed in feeds
        for day in DAYS
        if day >= (feed.enabled_from or FIRST) and chance.random() > 0.01 and not _is_quiet(feed, day)
    }
    activity = {key: n for key, n in activity.items() if (key[2], key[1]) in covered}
    return History(feeds, enrolments, calendar, activity, covered, exemptions, low_days=chance.choice([14, 21]))


def _is_quiet(feed: Feed, day: date) -> bool:
    """Nothing comes then: what was complete by declaration is not taken back."""
    return bool(feed.quiet_weekdays) and (day.weekday() > 4 or day in DAYS[26:31] or day in DAYS[20:22])


def known(truth: History, arrives: dict[tuple[str, date], int], partly: set[tuple[str, date]], step: int) -> History:
    """Return what had come by a step: the files of `partly` lack half of their rows until the step after they came.

    The calendar is there from the second step on.
    """
    came = {key for key, at in arrives.items() if at <= step}
    whole = {key for key in came if key not in partly or arrives[key] < step}
    return replace(
        truth,
        calendar=truth.calendar if step else truth.calendar[:1],
        enrolments=[e for e in truth.enrolments if e.as_of < FIRST or (e.source_id, e.as_of) in came],
        covered={key: good for key, good in truth.covered.items() if key in came},
        activity={
            key: n
            for k, (key, n) in enumerate(truth.activity.items())
            if (file := (key[2], key[1])) in came and (file in whole or k % 2)
        },
    )


@pytest.fixture
def judge(connection: Connection, project: Project) -> Judge:
    return Judge(connection, compiled(project.home), hold_days=1000)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_the_ledger_ends_in_what_the_reference_says(judge: Judge, seed: int) -> None:
    chance = random.Random(seed)
    truth = made_up(chance)
    # Four evenings on which what came is judged, in order of time; what is late may come at any of the later ones.
    evenings = [*sorted(chance.sample(DAYS[8:-1], 3)), LAST]
    arrives = {
        file: chance.choice([k for k, evening in enumerate(evenings) if evening >= file[1]])
        if chance.random() < 0.1
        else next(k for k, evening in enumerate(evenings) if evening >= file[1])
        for file in [*truth.covered, *(("enrolments", as_of) for as_of in LISTS[1:])]
    }
    partly = {file for file in truth.covered if chance.random() < 0.05}
    judge.rows.clear()
    try:
        for step, evening in enumerate(evenings):
            judge.evaluate(known(truth, arrives, partly, step), evening + timedelta(1))
        judge.evaluate(truth, LAST + timedelta(1))
        found = judge.found()
        expected = inactivity(truth, LAST)
        raised = {trigger for trigger, gaps in expected.items() if not gaps}
        assert set(found.get("raised", {})) == raised
        held = {trigger: gaps for trigger, gaps in expected.items() if gaps}
        # What was once withdrawn is not held again.
        assert {t: g for t, g in held.items() if t not in found.get("superseded", {})} == found.get("held", {})
        assert not raised & {*found.get("dropped", {}), *found.get("superseded", {})}
    finally:
        judge.connection.rollback()


def test_the_made_up_universities_hold_every_case() -> None:
    found = [inactivity(made_up(random.Random(seed)), LAST) for seed in range(4)]
    kinds = {(trigger.kind, bool(gaps)) for one in found for trigger, gaps in one.items()}
    assert len(kinds) == 4
