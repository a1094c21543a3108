"""Suites as a data steward writes them: what is refused, and whether the message names file and rule."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage.settings import PROJECT
from engage.sources import ConfigurationError, Source, load_sources
from engage.suites import Rule, load_suite
from tests.integration.gate.kit import ATTENDANCE, KNOWN, NAMED, READABLE, STUDENTS

SOURCE = Source.model_validate(ATTENDANCE)
NEEDED = [READABLE, KNOWN, NAMED]


def write(folder: Path, rules: list[dict[str, Any]], name: str = "attendance", **more: Any) -> Path:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"description": "Test", "expectations": rules} | more))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_suite(folder, SOURCE)
    assert str(folder / "attendance.yaml") in str(caught.value)
    return str(caught.value)


def rule(kind: str, kwargs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "meta": {"id": "mine", "title": "Mine"}} | more


def test_a_suite_reads_in_the_order_of_the_file(tmp_path: Path) -> None:
    own = rule("expect_table_row_count_to_be_between", {"min_value": 1}, severity="critical")
    suite = load_suite(write(tmp_path, [*NEEDED, own]), SOURCE)
    assert [r.meta.id for r in suite.rules] == ["readable", "known_student", "named_day", "mine"]
    assert [r.scope for r in suite.rules] == ["row", "row", "row", "batch"]
    assert [r.severity for r in suite.rules] == ["warning", "critical", "warning", "critical"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (rule("expect_magic", {}), "mine: type: expect_magic is not one of expect_column_values_to_not_be_null"),
        (rule("expect_column_values_to_be_null", {"column": "gone"}), "mine: no column gone; there are row_number"),
        (
            rule("expect_column_values_to_be_in_set", {"column": "late"}),
            "mine: kwargs: 'value_set' is missing or wrong",
        ),
        (
            rule("expect_column_values_to_be_null", {"column": "late", "row_condition": "x"}),
            "row_condition: not supported",
        ),
        (
            rule("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "late", "column_B": "late"}),
            "mine: kwargs.ignore_row_if: must be either_value_is_missing",
        ),
        (rule("expect_column_values_to_be_null", {"column": "late"}, severity="fatal"), "expectations.3.severity"),
        (rule("expect_column_values_to_be_null", {"column": "late"}, colour="red"), "expectations.3.colour"),
        (READABLE, "more than one has the id readable"),
    ],
)
def test_a_wrong_rule_is_refused(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    assert said in refused(write(tmp_path, [*NEEDED, own]))


@pytest.mark.parametrize("left_out", NEEDED, ids=lambda r: r["meta"]["id"])
def test_the_rules_without_which_rows_cannot_be_published_are_needed(tmp_path: Path, left_out: dict[str, Any]) -> None:
    message = refused(write(tmp_path, [r for r in NEEDED if r is not left_out]))
    assert f"{left_out['meta']['id']}: needed" in message
    load_suite(write(tmp_path, [READABLE], "students"), Source.model_validate(STUDENTS))


def test_a_missing_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    assert "not there" in refused(tmp_path)
    (tmp_path / "attendance.yaml").write_text("a: [")
    assert "not YAML" in refused(tmp_path)
    assert "expectations.1.meta.weight" in refused(
        write(tmp_path, [READABLE, KNOWN | {"meta": {"id": "x", "title": "x", "weight": 0}}])
    )


def test_values_are_quoted_for_sql() -> None:
    made = Rule.model_validate(
        rule("expect_column_values_to_be_in_set", {"column": "c", "value_set": ["it's 5 %", 1, date(2026, 10, 1)]})
    )
    assert made.condition == "(\"c\" is null or \"c\" in ('it''s 5 %%', 1, '2026-10-01'))"


@pytest.mark.parametrize("config", ["config", "config/profiles/oulad"])
def test_every_source_of_ours_has_a_suite(config: str) -> None:
    for source in load_sources(PROJECT / config).values():
        assert load_suite(PROJECT / "expectations", source).row_rules
