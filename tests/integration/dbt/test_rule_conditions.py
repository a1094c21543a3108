"""What rules ask and when they fire, in SQL against the plain reference, over facts and rules made up by hypothesis."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.contact import rule_firing
from engage.contact.exemptions import TYPES
from engage.contact.rules_file import Rule
from tests.integration.dbt import universe
from tests.reference.alerts import Asked, Fact, firings
from tests.reference.scoring import Parameters, University

Connection = psycopg.Connection[Any]
WEEKS = [date(2026, 9, 28) + timedelta(7 * k) for k in range(9)]
PARAMETERS = University(Parameters({"vle": 1.0}, [("institution", [])]), [], [], [], [], set())
NASTY = ["P1", "P'2", '"; drop table ops.notification; --', "100 %s", "{}", "a,b", "Ünï\\code", "%(now)s"]
SCORES = st.sampled_from([0, 299, 300, 301, 349, 350, 351, 500, 1000])
LIMIT = st.sampled_from([300, 350, 1000])
LEAVES: list[st.SearchStrategy[Asked]] = [
    st.builds(lambda x: {"score_below": x}, LIMIT),
    st.builds(lambda x: {"score_below": x, "first_time": True}, LIMIT),
    st.builds(lambda x, n: {"score_below": x, "weeks": n}, LIMIT, st.integers(2, 4)),
    st.builds(lambda x: {"drop_over": x}, st.sampled_from([50, 100])),
    st.builds(lambda x: {"declining": x}, st.booleans()),
    st.builds(lambda x: {"consistently_low": x}, st.booleans()),
    st.builds(lambda x: {"attendance_below": x}, st.sampled_from([75, 80.5])),
    st.builds(lambda x: {"attendance_at_least": x}, st.sampled_from([75, 80.5])),
    st.builds(lambda x: {"mode": x}, st.lists(st.sampled_from(["FT", "PT"]), min_size=1)),
    st.builds(lambda x: {"programme": x}, st.lists(st.sampled_from(NASTY), min_size=1)),
    st.builds(lambda x: {"faculty": x}, st.lists(st.sampled_from(["F1", "F2"]), min_size=1)),
    st.builds(lambda x: {"year_of_study": x}, st.lists(st.sampled_from(["1", "2"]), min_size=1)),
    st.builds(lambda x: {"residence": x}, st.lists(st.sampled_from(["on_campus", "off_campus"]), min_size=1)),
    st.builds(lambda x: {"exempt": x}, st.booleans() | st.lists(st.sampled_from(TYPES), min_size=1)),
    st.builds(lambda x: {"open_case": x}, st.booleans()),
    st.builds(lambda x: {"contacted_within": x}, st.sampled_from([1, 14])),
]
LEAF = st.one_of(LEAVES)
CONDITIONS = st.recursive(
    LEAF,
    lambda inner: (
        st.builds(lambda x: {"all": x}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda x: {"any": x}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda x: {"not": x}, inner)
    ),
    max_leaves=5,
)


@st.composite
def facts(draw: st.DrawFn) -> list[Fact]:
    """Some students in some of the weeks, with all that may be unknown unknown at times."""
    rows = []
    for student in ("S1", "S2", "S3", "S4"):
        lasting = draw(st.booleans())
        row: Fact | None = None
        for week in WEEKS:
            if not draw(st.integers(0, 9)):
                continue
            if row is None or not lasting or not draw(st.integers(0, 4)):
                row = draw(any_fact(student, week))
            row = Fact(**asdict(row) | {"week_start": week, "cohort_event": not draw(st.integers(0, 3))})
            rows.append(row)
    return rows


def any_fact(student: str, week: date) -> st.SearchStrategy[Fact]:
    return st.builds(
        Fact,
        st.just(student),
        st.just(week),
        score=st.none() | SCORES,
        recent_scores=st.lists(SCORES, max_size=4).map(tuple),
        lowest_before=st.none() | SCORES,
        change_1w=st.none() | st.sampled_from([-101, -100, -51, 0]),
        declining=st.none() | st.booleans(),
        consistently_low=st.none() | st.booleans(),
        attendance_4w=st.none() | st.sampled_from([0.0, 74.9, 75.0, 80.5, 100.0]),
        mode=st.none() | st.sampled_from(["FT", "PT"]),
        programme_code=st.none() | st.sampled_from(NASTY),
        faculty_code=st.none() | st.sampled_from(["F1", "F2"]),
        year_of_study=st.none() | st.sampled_from(["1", "2"]),
        campus_residence=st.none() | st.sampled_from(["on_campus", "off_campus"]),
        exemption_types=st.just(()) | st.lists(st.sampled_from(TYPES), max_size=2, unique=True).map(tuple),
        open_case=st.booleans(),
        last_contact_date=st.none() | st.integers(0, 20).map(lambda k: week + timedelta(6 - k)),
    )


def put(connection: Connection, rows: Iterable[Fact], revision: int = 0) -> None:
    """Write facts as the model leaves them, and the weeks as published."""
    rows = list(rows)
    weeks = sorted({row.week_start for row in rows})
    connection.execute("delete from intermediate.int_rule_fact where week_start = any(%s)", [weeks])
    columns = [*Fact.__dataclass_fields__, "on_date", "revision"]
    values = [
        (*(list(one) if isinstance(one, tuple) else one for one in vars(row).values()), row.on_date, revision)
        for row in rows
    ]
    universe.rows(connection, "intermediate.int_rule_fact", columns, values)
    known = [(week, revision, "published", universe.NOW, universe.NOW) for week in weeks]
    universe.rows(
        connection, "ops.publication", ["week_start", "revision", "state", "data_as_of", "published_at"], known
    )


def fired(connection: Connection, rule: Rule, weeks: Iterable[date] | None = None) -> dict[tuple[str, date], str]:
    published = rule_firing.published_weeks(connection)
    rule_firing.fire(connection, rule, {w: r for w, r in published.items() if weeks is None or w in weeks})
    query = "select student_id, week_start, status from pg_temp.firing where status is not null"
    return {(student, week): status for student, week, status in connection.execute(query).fetchall()}


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    rows=facts(),
    rules=st.lists(st.tuples(CONDITIONS | LEAF, st.sampled_from([None, None, 1, 2, 3])), min_size=4, max_size=8),
)
def test_rules_hold_and_fire_as_the_reference_says(
    connection: Connection, rows: list[Fact], rules: list[tuple[Asked, int | None]]
) -> None:
    connection.rollback()
    universe.configure(connection, PARAMETERS)
    put(connection, rows)
    weeks = sorted({row.week_start for row in rows})
    for when, repeat in rules:
        content: Asked = {"id": "r", "title": "100 %s", "when": when, "actions": [{"notify": "tutor"}]}
        content |= {"repeat_weeks": repeat} if repeat else {}
        assert fired(connection, Rule.model_validate(content)) == firings(content, rows, weeks), content


@pytest.mark.parametrize("programme", NASTY)
def test_what_a_file_names_is_a_value_and_never_part_of_the_statement(connection: Connection, programme: str) -> None:
    universe.configure(connection, PARAMETERS)
    put(connection, [Fact("S1", WEEKS[0], score=1, programme_code=programme), Fact("S2", WEEKS[0], score=1)])
    when = {"programme": [programme]}
    rule = Rule.model_validate({"id": "r", "title": programme, "when": when, "actions": [{"case": "x"}]})
    assert fired(connection, rule) == {("S1", WEEKS[0]): "raised"}
    assert connection.execute("select evidence -> 'because' ->> 0 from pg_temp.firing").fetchall() == [
        (f"programme {programme}",)
    ]
