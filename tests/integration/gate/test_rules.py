"""Every kind of rule: Great Expectations and our own condition for single rows agree, and each can fail."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql

from engage.audit import Auditor, RuleResult, objection, quality_score
from engage.suites import _CONDITIONS, BATCH_RULES, Rule, Suite
from tests.integration.gate.kit import ATTENDANCE, STUDENTS, Gate

TABLE = "rows_probe"
ROW_RULES: dict[str, tuple[dict[str, Any], int]] = {
    # kind of rule -> arguments, rows of the table below that break it
    "expect_column_values_to_not_be_null": ({"column": "word"}, 1),
    "expect_column_values_to_be_null": ({"column": "word"}, 4),
    "expect_column_values_to_be_in_set": ({"column": "word", "value_set": ["a", "it's 100 %"]}, 2),
    "expect_column_values_to_not_be_in_set": ({"column": "number", "value_set": [1, 2]}, 2),
    "expect_column_values_to_match_regex": ({"column": "word", "regex": r"^\w+$"}, 1),
    "expect_column_values_to_not_match_regex": ({"column": "word", "regex": "^b"}, 2),
    "expect_column_values_to_be_between": ({"column": "number", "min_value": 2, "max_value": 4, "strict_max": True}, 2),
    "expect_column_value_lengths_to_be_between": ({"column": "word", "max_value": 3}, 2),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        {"column_A": "day", "column_B": "other_day", "ignore_row_if": "either_value_is_missing"},
        3,
    ),
}
EVERY_ROW = """
    (1, 'a', 1, true, date '2026-10-02', date '2026-10-01', timestamptz '2026-10-01 10:00Z'),
    (2, 'bb', 2, false, date '2026-10-01', date '2026-10-01', timestamptz '2026-10-01 11:00Z'),
    (3, 'bbbb', 3, null, date '2026-10-01', date '2026-10-02', timestamptz '2026-10-01 12:00Z'),
    (4, 'it''s 100 %%', 4, true, null, date '2026-10-02', timestamptz '2026-10-01 13:00Z'),
    (5, null, null, true, date '2026-10-01', date '2026-10-02', null)
"""


@pytest.fixture
def probe(gate: Gate) -> Gate:
    """A working table of five rows, with nulls in every column."""
    gate.execute(
        f"create table load.{TABLE} (row_number bigint, word text, number bigint, is_so boolean, day date,"
        f" other_day date, at timestamptz); insert into load.{TABLE} values {EVERY_ROW.replace('%%', '%')}"
    )
    return gate


def rule(kind: str, kwargs: dict[str, Any], **more: Any) -> Rule:
    return Rule.model_validate({"type": kind, "kwargs": kwargs, "meta": {"id": "it", "title": "It holds"}} | more)


def judged(gate: Gate, one: Rule, **facts: object) -> RuleResult:
    suite = Suite(description="Test", expectations=[one])
    with Auditor(gate.url, TABLE, suite, 80) as auditor:
        (result,) = auditor.judge({"typical_rows": None, "due_by": None} | facts).results
    return result


def failing_rows(gate: Gate, one: Rule) -> int:
    query = sql.SQL("select count(*) from {} where not {}").format(
        sql.Identifier("load", TABLE), sql.SQL(one.condition)
    )
    ((count,),) = gate.connection.execute(query, {"unused": None}).fetchall()
    return int(str(count))


def test_every_kind_of_row_rule_is_tried() -> None:
    assert set(ROW_RULES) == set(_CONDITIONS)


@pytest.mark.parametrize("kind", list(ROW_RULES))
def test_great_expectations_and_our_condition_agree_on_rows(probe: Gate, kind: str) -> None:
    kwargs, failing = ROW_RULES[kind]
    result = judged(probe, rule(kind, kwargs))
    assert (result.rows_checked, result.rows_failed) == (5, failing)
    assert failing_rows(probe, rule(kind, kwargs)) == failing
    assert result.share_met == pytest.approx(1 - failing / 5)
    assert not result.is_met
    assert judged(probe, rule(kind, kwargs | {"mostly": 0.01})).is_met
    probe.execute(f"truncate load.{TABLE}")
    assert judged(probe, rule(kind, kwargs)).share_met == 1


BATCHES: dict[str, list[tuple[dict[str, Any], dict[str, object], bool]]] = {
    # kind of rule -> arguments, facts about the delivery, whether the five rows meet it
    "expect_row_count_to_be_usual": [
        ({"min_ratio": 0.5, "max_ratio": 2}, {"typical_rows": None}, True),
        ({"min_ratio": 0.5, "max_ratio": 2}, {"typical_rows": 10.0}, True),
        ({"min_ratio": 0.5, "max_ratio": 2}, {"typical_rows": 11.0}, False),
        ({"min_ratio": 0.5, "max_ratio": 2}, {"typical_rows": 2.0}, False),
    ],
    "expect_column_to_reach_the_end": [
        ({"column": "at", "within_hours": 10}, {"due_by": None}, True),
        ({"column": "at", "within_hours": 10}, {"due_by": "2026-10-01T23:00:00+00:00"}, True),
        ({"column": "at", "within_hours": 10}, {"due_by": "2026-10-01T23:01:00+00:00"}, False),
    ],
    "expect_dropped_rows_not_to_shrink": [
        ({"reason": "gone", "may_shrink_by": 10}, {"dropped": {}, "dropped_before": {}}, True),
        ({"reason": "gone", "may_shrink_by": 10}, {"dropped": {"gone": 9}, "dropped_before": {"gone": 10}}, True),
        ({"reason": "gone", "may_shrink_by": 10}, {"dropped": {"gone": 8}, "dropped_before": {"gone": 10}}, False),
    ],
    "expect_table_row_count_to_be_between": [({"min_value": 5}, {}, True), ({"min_value": 6}, {}, False)],
    "expect_column_values_to_be_unique": [({"column": "row_number"}, {}, True), ({"column": "is_so"}, {}, False)],
    "expect_compound_columns_to_be_unique": [
        ({"column_list": ["row_number", "is_so"]}, {}, True),
        ({"column_list": ["is_so", "other_day"]}, {}, False),
    ],
    "expect_column_proportion_of_unique_values_to_be_between": [
        ({"column": "day", "min_value": 0.5}, {}, True),
        ({"column": "day", "min_value": 0.6}, {}, False),
    ],
    "expect_column_proportion_of_non_null_values_to_be_between": [
        ({"column": "word", "min_value": 0.8}, {}, True),
        ({"column": "word", "min_value": 0.9}, {}, False),
    ],
}


@pytest.mark.parametrize("kind", BATCH_RULES)
def test_every_kind_of_batch_rule_can_be_met_and_broken(probe: Gate, kind: str) -> None:
    for kwargs, facts, is_met in BATCHES[kind]:
        result = judged(probe, rule(kind, kwargs), **facts)
        assert (result.is_met, result.share_met, result.rows_checked) == (is_met, float(is_met), None), kwargs
        assert is_met or (result.problem or "").startswith("not met: ")
        assert result.problem is None or any(digit in result.problem for digit in "0123456789"), "what was found"


def test_a_rule_that_cannot_be_evaluated_counts_as_broken(probe: Gate) -> None:
    result = judged(probe, rule("expect_column_values_to_be_null", {"column": "gone"}))
    assert (result.share_met, result.is_met, result.problem) == (0, False, "could not be evaluated")
    result = judged(probe, rule("expect_column_values_to_match_regex", {"column": "number", "regex": "x"}))
    assert (result.share_met, result.is_met, result.problem) == (0, False, "could not be evaluated")
    words = rule("expect_column_to_reach_the_end", {"column": "word"})
    result = judged(probe, words, due_by="2026-10-01T23:00:00+00:00")
    assert (result.share_met, result.is_met, result.problem) == (0, False, "could not be evaluated")


def test_a_rule_that_cannot_be_evaluated_leaves_the_others_alone(probe: Gate) -> None:
    kinds = [("first", "gone"), ("second", "word"), ("third", "gone")]
    rules = [
        rule("expect_column_values_to_not_be_null", {"column": column}, meta={"id": name, "title": name})
        for name, column in kinds
    ]
    with Auditor(probe.url, TABLE, Suite(description="Test", expectations=rules), 80) as auditor:
        facts: dict[str, object] = {"typical_rows": None, "due_by": None}
        assert [r.rows_failed for r in auditor.judge(facts).results] == [None, 1, None]
        probe.execute(f"delete from load.{TABLE} where word is null")
        assert [r.rows_failed for r in auditor.judge(facts).results] == [None, 0, None]


def result_of(share: float, weight: float = 1, is_critical: bool = False, is_met: bool = False) -> RuleResult:
    return RuleResult("it", "It holds", "row", is_critical, weight, 100, 50, share, is_met, "50 of 100 rows do not")


def test_the_quality_score_is_the_weighted_share_of_rules_met() -> None:
    assert quality_score([result_of(1, 3), result_of(0.5, 1), result_of(0, 1)]) == pytest.approx(70)
    assert quality_score([result_of(1)]) == 100


def test_a_batch_is_held_below_the_threshold_or_for_a_critical_rule_and_told_why() -> None:
    assert objection([result_of(0.8)], 80, 80) is None
    assert objection([result_of(0.7)], 79.96, 80) == "quality 79.9 is below 80 ('It holds': 50 of 100 rows do not)"
    assert objection([result_of(0.99, is_critical=True)], 99, 80) == "'It holds' must hold: 50 of 100 rows do not"
    assert objection([result_of(0.99, is_critical=True, is_met=True)], 99, 80) is None
    assert objection([result_of(1)], 100, 80, 0.8) is None
    assert objection([result_of(1)], 100, 80, 0.1299) == "only 12 % of its rows meet every rule (below 80)"


def attend(day: date, rows: int) -> bytes:
    heading = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\n"
    return (heading + "".join(f"{day}-{n},001,{day:%d/%m/%Y} 10:00,lecture,Yes,Yes\n" for n in range(rows))).encode()


USUAL = {
    "type": "expect_row_count_to_be_usual",
    "kwargs": {"min_ratio": 0.5, "max_ratio": 2},
    "severity": "critical",
    "meta": {"id": "usual_size", "title": "As many rows as usual"},
}


def test_the_usual_number_of_rows_is_the_median_of_the_same_weekday_from_three_batches_on(gate: Gate) -> None:
    gate.know("001")
    source = gate.source(ATTENDANCE)
    thursday = date(2026, 9, 3)
    # The Wednesday's many rows and the fourth Thursday's few must not count, nor what comes later.
    days = [(0, 10), (6, 100), (7, 12), (14, 20), (21, 5), (22, 1), (23, 23)]
    for offset, rows in days:
        day = thursday + timedelta(days=offset)
        gate.deliver(source, attend(day, rows), day=day, version_at=datetime(2026, 11, 1, offset, tzinfo=UTC))
    outcomes = gate.process(source, gate.suite(source, USUAL))
    assert [o.state for o in outcomes] == ["published"] * 4 + ["held"] + ["published"] * 2
    assert outcomes[4].problem == "'As many rows as usual' must hold: not met: 5 rows came where 12 are usual"


@pytest.mark.parametrize(
    ("usual", "day", "state"),
    [
        (70, date(2026, 9, 26), "held"),
        (8, date(2026, 9, 26), "published"),  # so few that none are nothing odd
        (70, date(2026, 10, 3), "published"),  # closed: nobody is there
    ],
)
def test_no_events_are_odd_only_where_many_are_usual_and_not_in_a_closure(
    gate: Gate, usual: int, day: date, state: str
) -> None:
    gate.know("001")
    gate.execute("create table raw.calendar partition of raw.term_calendar for values in ('terms')")
    gate.execute(
        "insert into raw.term_calendar (source_id, as_of_date, batch_id, row_number, term_code, kind, starts_on,"
        " ends_on) values ('terms', '2026-09-01', 1, 1, 'C', 'closure', '2026-10-01', '2026-10-04')"
    )
    source = gate.source(ATTENDANCE)
    days = [date(2026, 9, 5) + timedelta(days=7 * n) for n in range(3)]
    for one in [*days, day]:
        content = attend(one, usual if one != day else 0)
        gate.deliver(source, content, day=one, version_at=datetime(one.year, one.month, one.day, 23, tzinfo=UTC))
    assert [o.state for o in gate.process(source, gate.suite(source, USUAL))] == ["published"] * 3 + [state]
    gate.execute("drop table raw.calendar")


def test_what_is_usual_is_so_for_each_day_of_a_delivery(gate: Gate) -> None:
    gate.know("001")
    source = gate.source(ATTENDANCE)
    for n in range(3):
        monday = date(2026, 9, 7) + timedelta(days=7 * n)
        week = b"".join(attend(monday + timedelta(days=day), 20).partition(b"\n")[2] for day in range(7))
        heading = attend(monday, 0)
        version_at = datetime(2026, 11, 1, n, tzinfo=UTC)
        gate.deliver(source, heading + week, day=monday, last_day=monday + timedelta(days=6), version_at=version_at)
    monday = date(2026, 9, 28)
    gate.deliver(source, attend(monday, 20), day=monday, version_at=datetime(2026, 11, 2, tzinfo=UTC))
    assert [o.state for o in gate.process(source, gate.suite(source, USUAL))] == ["published"] * 4


def test_an_empty_file_is_met_by_row_rules_and_judged_by_its_number_of_rows(gate: Gate) -> None:
    source = gate.source(STUDENTS)
    not_empty = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 1},
        "severity": "critical",
        "meta": {"id": "not_empty", "title": "The list is not empty"},
    }
    gate.deliver(source, b"student_id,given_name,username,badge\n")
    (outcome,) = gate.process(source, gate.suite(source, not_empty))
    assert outcome.state == "held"
    assert outcome.problem == "quality 66.6 is below 80; 'The list is not empty' must hold: not met: 0 found"
    assert {r.rule_id: r.share_met for r in outcome.rules} == {"readable": 1.0, "not_empty": 0.0}
    assert outcome.quality_score == pytest.approx(200 / 3)


def test_a_batch_without_usable_rows_is_held_however_little_the_broken_rule_weighs(gate: Gate) -> None:
    gate.know("001")
    source = gate.source(ATTENDANCE)
    known_type = {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "session_type", "value_set": ["lecture"]},
        "meta": {"id": "known_type", "title": "Every session is of a known type", "weight": 0.5},
    }
    gate.deliver(source, attend(date(2026, 10, 1), 10).replace(b"lecture", b"zumba"))
    (outcome,) = gate.process(source, gate.suite(source, known_type))
    assert outcome.quality_score > 80
    assert (outcome.state, outcome.problem) == ("held", "only 0 % of its rows meet every rule (below 80)")
    assert gate.execute("select * from ops.coverage") == []


@pytest.mark.parametrize(("usual", "state"), [(20, "held"), (0, "published")])
@pytest.mark.parametrize("source_id", ["attendance", "vle", "library_gates"])
def test_our_suites_hold_a_suddenly_empty_file_but_not_a_quiet_weekend(
    gate: Gate, source_id: str, usual: int, state: str
) -> None:
    folder = Path(__file__).parents[3] / "expectations"
    (sudden,) = [
        r
        for r in yaml.safe_load((folder / f"{source_id}.yaml").read_text())["expectations"]
        if r["meta"]["id"] == "not_suddenly_empty"
    ]
    gate.know("001")
    source = gate.source(ATTENDANCE)
    days = [date(2026, 9, 5) + timedelta(days=7 * n) for n in range(4)]
    for day in days:
        version_at = datetime(2026, 11, day.day, tzinfo=UTC)
        gate.deliver(source, attend(day, usual if day < days[-1] else 0), day=day, version_at=version_at)
    outcomes = gate.process(source, gate.suite(source, sudden))
    assert [o.state for o in outcomes] == ["published"] * 3 + [state], outcomes[-1].problem
