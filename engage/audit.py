"""Audit: Great Expectations judges the batch in `load.rows_<source>`, and a quality score from 0 to 100 sums it up.

What follows from the score is decided in publish.py. Results name rules and counts, never a value.
"""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from types import TracebackType
from typing import Literal, Self

import sqlalchemy

from engage.prepared_suite import Outcome, PreparedSuite
from engage.suites import Rule, Suite
from engage.warehouse import sqlalchemy_url


@dataclass(frozen=True)
class RuleResult:
    """How a batch fared with one rule. `share_met` is 0-1; a rule on the batch as a whole has 0 or 1 and no rows."""

    rule_id: str
    title: str
    scope: Literal["row", "batch"]
    is_critical: bool
    weight: float
    rows_checked: int | None
    rows_failed: int | None
    share_met: float
    is_met: bool
    problem: str | None


@dataclass(frozen=True)
class Verdict:
    """What the audit came to."""

    results: list[RuleResult]
    score: float
    objection: str | None
    """Why the batch must be held; None: it may be published."""
    is_drift: bool = False
    """Columns that must be there are not."""


def quality_score(results: Sequence[RuleResult]) -> float:
    """Return the weighted share of rules met, 0-100; a row rule counts by the share of rows that meet it."""
    return 100 * sum(r.weight * r.share_met for r in results) / sum(r.weight for r in results)


def objection(results: Sequence[RuleResult], score: float, min_quality: float, share_good: float = 1.0) -> str | None:
    """Return in plain words why the batch must be held; None: it may be published.

    `share_good`: of the rows, 0-1, those that meet every rule on rows. Were it left out, one rule that no row meets
    would cost no more than its weight, and a batch without a usable row would count as a day of silence.
    """
    broken = [r for r in results if r.is_critical and not r.is_met]
    said = [f"{r.title!r} must hold: {r.problem}" for r in broken]
    if score < min_quality:
        worst = sorted((r for r in results if r.problem), key=lambda r: r.weight * (r.share_met - 1))[:3]
        why = "; ".join(f"{r.title!r}: {r.problem}" for r in worst if r not in broken)
        said.insert(0, f"quality {floor(score * 10) / 10} is below {min_quality:g}" + (f" ({why})" if why else ""))
    if 100 * share_good < min_quality:
        said.append(f"only {floor(100 * share_good)} % of its rows meet every rule (below {min_quality:g})")
    return "; ".join(said) or None


class Auditor:
    """The suite of one source, ready to judge batch after batch. A context manager: it holds database connections."""

    def __init__(self, url: str, table: str, suite: Suite, min_quality: float) -> None:
        # Importing Great Expectations takes seconds; only who audits pays.
        from great_expectations.execution_engine import SqlAlchemyExecutionEngine
        from great_expectations.expectations.registry import get_expectation_impl

        import expectations.custom  # noqa: F401

        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        self._suite = suite
        self._min_quality = min_quality
        self._engine = SqlAlchemyExecutionEngine(engine=_engine(sqlalchemy_url(url, "-cwork_mem=128MB")))
        self._prepared = PreparedSuite(
            self._engine, "load", table, [get_expectation_impl(rule.type)(**rule.kwargs) for rule in suite.rules]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()

    def judge(self, facts: dict[str, object], share_good: float = 1.0) -> Verdict:
        """Judge what is in the table now. `facts`: `typical_rows`, `due_by` (ISO 8601); None: nothing to go by.

        `share_good`: of the rows, 0-1, those that meet every rule on rows.
        """
        outcomes = self._prepared.evaluate(facts)
        results = [_result(rule, outcome) for rule, outcome in zip(self._suite.rules, outcomes, strict=True)]
        score = quality_score(results)
        return Verdict(results, score, objection(results, score, self._min_quality, share_good))


@functools.lru_cache(8)
def _engine(address: str) -> sqlalchemy.Engine:
    """Return the engine of this warehouse: closed, it keeps the statements that it has put together."""
    return sqlalchemy.create_engine(address)


def _result(rule: Rule, outcome: Outcome | None) -> RuleResult:
    checked, failed = (outcome.rows_checked, outcome.rows_failed) if outcome and rule.scope == "row" else (None, None)
    is_met = outcome is not None and outcome.is_met
    share = float(is_met)
    problem = None
    if outcome is None:
        problem = "could not be evaluated"
    elif not is_met:
        problem = f"not met: {outcome.said}" if outcome.said else "not met"
    if checked is not None and failed is not None:
        share = 1 - failed / checked if checked else 1.0
        problem = f"{failed:,} of {checked:,} rows do not meet it" if failed else None
    return RuleResult(
        rule_id=rule.meta.id,
        title=rule.meta.title,
        scope=rule.scope,
        is_critical=rule.severity == "critical",
        weight=rule.meta.weight,
        rows_checked=checked,
        rows_failed=failed,
        share_met=share,
        is_met=is_met,
        problem=problem,
    )
