"""Expectation types that Great Expectations does not have: rules on a batch as a whole, by what is usual or due.

Fields that are not written in a suite (`typical_rows`, `due_by`, `dropped`, ...) are facts about the delivery that the
caller fills in before each batch; `said` is what was found, in numbers. Importing this module registers the types.
"""

from datetime import datetime
from typing import Any, ClassVar

from great_expectations.expectations.core import ExpectColumnMaxToBeBetween, ExpectTableRowCountToBeBetween


class ExpectRowCountToBeUsual(ExpectTableRowCountToBeBetween):  # type: ignore[misc]
    """The batch has between `min_ratio` and `max_ratio` times the usual rows; met while nothing is usual yet."""

    expectation_type: ClassVar[str] = "expect_row_count_to_be_usual"
    success_keys: ClassVar[tuple[str, ...]] = ("typical_rows",)
    min_ratio: float = 0.5
    max_ratio: float = 2.0
    typical_rows: Any = None

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        rows, typical = metrics["table.row_count"], self._get_success_kwargs().get("typical_rows")
        usual = typical is None or self.min_ratio * typical <= rows <= self.max_ratio * typical
        said = None if usual else f"{rows:,} rows came where {typical:,.0f} are usual"
        return {"success": usual, "result": {"observed_value": rows, "said": said}}


class ExpectColumnToReachTheEnd(ExpectColumnMaxToBeBetween):  # type: ignore[misc]
    """The latest value lies at most `within_hours` before the end of what is due; met when it is empty."""

    expectation_type: ClassVar[str] = "expect_column_to_reach_the_end"
    success_keys: ClassVar[tuple[str, ...]] = ("due_by",)
    within_hours: float = 12
    due_by: Any = None

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        latest, due_by = metrics["column.max"], self._get_success_kwargs().get("due_by")
        if latest is None or due_by is None:
            return {"success": True, "result": {}}
        # The metric is an instant written as text.
        short = (datetime.fromisoformat(due_by) - datetime.fromisoformat(str(latest))).total_seconds() / 3600
        said = f"the last one lies {short:.1f} hours before the end, where {self.within_hours:g} are allowed"
        return {"success": short <= self.within_hours, "result": {"observed_value": round(short, 2), "said": said}}


class ExpectDroppedRowsNotToShrink(ExpectTableRowCountToBeBetween):  # type: ignore[misc]
    """Of the rows left out for `reason` there are at most `may_shrink_by` per cent fewer than in the batch before.

    Met when there was none before. What is counted by being left out is a list that tells nothing else.
    """

    expectation_type: ClassVar[str] = "expect_dropped_rows_not_to_shrink"
    success_keys: ClassVar[tuple[str, ...]] = ("reason", "may_shrink_by", "dropped", "dropped_before")
    reason: str
    may_shrink_by: float
    dropped: Any = None
    dropped_before: Any = None

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        there, before = ((rows or {}).get(self.reason, 0) for rows in (self.dropped, self.dropped_before))
        is_met = there >= before * (1 - self.may_shrink_by / 100)
        return {"success": is_met, "result": {"observed_value": there, "said": f"{there:,} came, {before:,} before"}}
