"""Expectation suites: `expectations/<source>.yaml` read and validated, and what each kind of rule means for one row.

Great Expectations judges the batch (audit.py); the SQL conditions here are the same rules for single rows, so that the
bad ones can be told from the good. A new kind of row rule is an entry in `_CONDITIONS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from psycopg import sql
from pydantic import Field, ValidationError, model_validator

from engage.load import typed_columns
from engage.sources import ConfigurationError, Source, Strict, explain
from engage.strict import read_yaml
from engage.typed_pass import literal
from engage.warehouse import Connection

_CONDITIONS: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "expect_column_values_to_not_be_null": lambda c, k: f"{c} is not null",
    "expect_column_values_to_be_null": lambda c, k: f"{c} is null",
    "expect_column_values_to_be_in_set": lambda c, k: f"({c} is null or {c} in ({_values(k['value_set'])}))",
    "expect_column_values_to_not_be_in_set": lambda c, k: f"({c} is null or {c} not in ({_values(k['value_set'])}))",
    "expect_column_values_to_match_regex": lambda c, k: f"({c} is null or {c} ~ {literal(k['regex'])})",
    "expect_column_values_to_not_match_regex": lambda c, k: f"({c} is null or {c} !~ {literal(k['regex'])})",
    "expect_column_values_to_be_between": lambda c, k: f"({c} is null or {_between(c, k)})",
    "expect_column_value_lengths_to_be_between": lambda c, k: f"({c} is null or {_between(f'length({c})', k)})",
    "expect_column_pair_values_a_to_be_greater_than_b": lambda c, k: (
        f'("{k["column_A"]}" is null or "{k["column_B"]}" is null'
        f' or "{k["column_A"]}" {">=" if k.get("or_equal") else ">"} "{k["column_B"]}")'
    ),
}
SHRINKS = "expect_dropped_rows_not_to_shrink"
BATCH_RULES = (
    "expect_row_count_to_be_usual",
    SHRINKS,
    "expect_column_to_reach_the_end",
    "expect_table_row_count_to_be_between",
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
)
"""Rules on the batch as a whole: met or not."""
READABLE = "readable"
KNOWN_STUDENT = "known_student"
NAMED_DAY = "named_day"
_BUILT_ON = {READABLE: "load_error", KNOWN_STUDENT: "unknown_student", NAMED_DAY: "unnamed_day"}
"""Rules without which a row cannot be published, with the column that must be null."""


class Meta(Strict):
    """What a rule is called, and how much it counts."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    """A sentence that is true of a good row, or of a good batch."""
    weight: float = Field(default=1.0, gt=0)


class Rule(Strict):
    """One expectation, in the words of Great Expectations."""

    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Literal["critical", "warning"] = "warning"
    """critical: holds the batch when it is not met, whatever the quality score."""
    meta: Meta

    @property
    def scope(self) -> Literal["row", "batch"]:
        """Whether single rows are judged, or the batch as a whole."""
        return "row" if self.type in _CONDITIONS else "batch"

    @property
    def condition(self) -> str:
        """SQL over `load.rows_<source>` that is true of a row that meets the rule; never null. For row rules only."""
        return _CONDITIONS[self.type](f'"{self.kwargs.get("column")}"', self.kwargs)

    @property
    def columns(self) -> list[str]:
        """The columns that the rule looks at."""
        single = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        return single + list(self.kwargs.get("column_list", []))

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.type not in _CONDITIONS and self.type not in BATCH_RULES:
            raise ValueError(
                f"{self.meta.id}: type: {self.type} is not one of {', '.join([*_CONDITIONS, *BATCH_RULES])}"
            )
        if "row_condition" in self.kwargs:
            raise ValueError(f"{self.meta.id}: kwargs.row_condition: not supported; every rule is about all rows")
        if self.type.startswith("expect_column_pair") and self.kwargs.get("ignore_row_if") != "either_value_is_missing":
            raise ValueError(f"{self.meta.id}: kwargs.ignore_row_if: must be either_value_is_missing")
        try:
            assert self.scope == "batch" or self.condition  # noqa: S101
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.meta.id}: kwargs: {error} is missing or wrong") from error
        return self


class Suite(Strict):
    """The rules of one source."""

    description: str
    expectations: list[Rule] = Field(min_length=1)

    @property
    def rules(self) -> list[Rule]:
        """All rules, in the order of the file."""
        return self.expectations

    @property
    def row_rules(self) -> list[Rule]:
        """The rules that judge single rows."""
        return [rule for rule in self.rules if rule.scope == "row"]

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        ids = [rule.meta.id for rule in self.rules]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"expectations: more than one has the id {', '.join(twice)}")
        return self


def load_suite(folder: Path, source: Source) -> Suite:
    """Read the suite of `source`. Raises ConfigurationError naming file and rule."""
    path = folder / f"{source.id}.yaml"
    try:
        suite = Suite.model_validate(read_yaml(path))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: not there; every source needs an expectation suite") from error
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Suite)) from error
    columns = typed_columns(source)
    for rule in suite.rules:
        if unknown := [name for name in rule.columns if name not in columns]:
            raise ConfigurationError(
                f"{path}: {rule.meta.id}: no column {', '.join(unknown)}; there are {', '.join(columns)}"
            )
        if rule.type == SHRINKS and rule.kwargs.get("reason") not in [drop.reason for drop in source.drop]:
            raise ConfigurationError(f"{path}: {rule.meta.id}: reason: must be that of a drop rule of the source")
    needed = [READABLE] + [KNOWN_STUDENT] * source.kind.names_student
    needed += [NAMED_DAY] * (source.relation == "replace_days")
    for rule_id in needed:
        wanted = ("expect_column_values_to_be_null", [_BUILT_ON[rule_id]])
        if wanted not in [(r.type, r.columns) for r in suite.rules if r.meta.id == rule_id]:
            raise ConfigurationError(
                f"{path}: {rule_id}: needed, as expect_column_values_to_be_null of {_BUILT_ON[rule_id]}"
            )
    return suite


def try_out(connection: Connection, suite: Suite, rows: sql.Composable) -> None:
    """Let the database read every rule on rows before the first row. Raises ConfigurationError naming the rule."""
    for rule in suite.row_rules:
        statement = sql.SQL("select {}, '' ~ {} from (select) as one left join {} on false").format(
            sql.SQL(rule.condition), sql.Literal(rule.kwargs.get("regex", "")), rows
        )
        try:
            connection.execute(statement, {})
        except psycopg.Error as error:
            raise ConfigurationError(f"rule {rule.meta.id}: the database says: {error.diag.message_primary}") from error


def _values(values: list[object]) -> str:
    return ", ".join(str(v) if type(v) in (int, float) else literal(str(v)) for v in values)


def _between(expression: str, kwargs: Mapping[str, Any]) -> str:
    low = ">" if kwargs.get("strict_min") else ">="
    high = "<" if kwargs.get("strict_max") else "<="
    bounds = [(low, kwargs.get("min_value")), (high, kwargs.get("max_value"))]
    return (
        " and ".join(f"{expression} {sign} {_values([bound])}" for sign, bound in bounds if bound is not None) or "true"
    )
