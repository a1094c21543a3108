"""A suite of Great Expectations made ready once and evaluated batch after batch.

`Batch.validate` builds every expectation, metric and statement anew each time, which costs a small batch ten times what
its rows do. Here what does not depend on the rows is kept. Knows no scores and no reasons: those are audit.py's.
"""

from dataclasses import dataclass
from typing import Any

_RUNTIME = {"result_format": {"result_format": "BOOLEAN_ONLY"}}
"""Asks for no value of a row, so that none can get into a result."""
_STANDING = (".condition", ".aggregate_fn", "table.columns", "table.column_types")
"""Ends of the names of metrics that are about the table and not about its rows: SQL expressions, columns."""


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations made of one expectation; the counts are of rows, None for one on the batch as a whole."""

    is_met: bool
    rows_checked: int | None
    rows_failed: int | None
    said: str | None = None
    """What was found: numbers, never a value of a row."""


class PreparedSuite:
    """Expectations on one table whose columns stay as they are."""

    def __init__(self, engine: Any, schema: str, table: str, expectations: list[Any]) -> None:
        """`engine`: for SQLAlchemy, `expectations`: on all rows of the table; both of Great Expectations."""
        from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
        from great_expectations.validator.metrics_calculator import MetricsCalculator

        self._engine = engine
        engine.load_batch_data(table, SqlAlchemyBatchData(engine, schema_name=schema, table_name=table))
        self._expectations = [(e, self._needs(e)) for e in expectations]
        graph = MetricsCalculator(engine, show_progress_bars=False).build_metric_dependency_graph(
            [metric for _, needs in self._expectations for metric in needs.values()], _RUNTIME
        )
        self._metrics = list({edge.left.id: edge.left for edge in graph.edges}.values())
        self._standing: dict[Any, Any] = {}
        self._standing = self._resolve([m for m in self._metrics if m.metric_name.endswith(_STANDING)])

    def evaluate(self, facts: dict[str, object]) -> list[Outcome | None]:
        """Judge the rows that are in the table now; None: an expectation cannot be evaluated.

        `facts` become fields of the expectations that have fields of these names.
        """
        metrics = self._resolve(self._metrics)
        return [self._outcome(expectation, needs, metrics, facts) for expectation, needs in self._expectations]

    def _needs(self, expectation: Any) -> dict[str, Any]:
        """Return the metrics by which the expectation is judged, each under the name that it looks for."""
        needs = expectation.get_validation_dependencies(self._engine, _RUNTIME).metric_configurations
        return dict(needs)

    def _resolve(self, waiting: list[Any]) -> dict[Any, Any]:
        """Return the values of those of these metrics that have one, by their id."""
        from great_expectations.exceptions import MetricResolutionError

        found, failed = dict(self._standing), set()
        while waiting := [m for m in waiting if m.id not in found and m.id not in failed]:
            ready = [m for m in waiting if all(d.id in found for d in m.metric_dependencies.values())]
            if not ready:
                break
            try:
                found |= self._engine.resolve_metrics(ready, found, _RUNTIME)
            except MetricResolutionError as error:
                failed |= {m.id for m in error.failed_metrics}
        return found

    def _outcome(
        self, expectation: Any, needs: dict[str, Any], metrics: dict[Any, Any], facts: dict[str, object]
    ) -> Outcome | None:
        if any(metric.id not in metrics for metric in needs.values()):
            return None
        for name, value in facts.items():
            if name in expectation.__fields__:
                setattr(expectation, name, value)
        values = {name: metrics[metric.id] for name, metric in needs.items()}
        # The hook that every expectation has; `metrics_validate` around it would work out again what it needs.
        try:
            found = expectation._validate(values, _RUNTIME, self._engine)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None
        is_met, result = bool(found["success"]), found.get("result", {})
        if not (rule := getattr(expectation, "map_metric", None)):
            # The number of rows, or a share of them.
            observed = result.get("observed_value")
            said = f"{observed:,.6g} found" if isinstance(observed, int | float) else None
            return Outcome(is_met, None, None, result.get("said", said))
        failed = values[f"{rule}.unexpected_count"] or 0
        return Outcome(is_met, values["table.row_count"], failed, f"{failed:,} rows")
