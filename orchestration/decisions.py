"""The jobs `release_batch` and `reject_batch`: what a person decides about a held batch or its rows, from the UI.

They write the decision only. The source's next run, which its sensor asks for, does what follows from it.
"""

import dagster as dg

from assets.resources import WarehouseResource, readable_failures
from engage import clock, decisions

_ABOUT = {
    "release": "Let a held batch through the gate, or rows of a batch that only break the rules named.",
    "reject": "Close a batch for good, or rows of it: they become or stay invisible and wait for nobody.",
}


class Decision(dg.Config):
    """What is decided, and by whom."""

    batch_id: int
    reason: str
    """Is kept; never names a student."""
    by: str
    """Who decides: the page does not know who uses it."""
    rule: list[str] = []
    """Only rows that break these rules and no other; none: the batch as a whole."""
    rows: list[int] = []
    """Only these of them, by row number."""


def decision_jobs() -> list[dg.JobDefinition]:
    """Return both jobs."""
    return [_job("release"), _job("reject")]


def _job(action: decisions.Action) -> dg.JobDefinition:
    @dg.op(name=action, description=_ABOUT[action])
    def _decide(context: dg.OpExecutionContext, config: Decision, warehouse: WarehouseResource) -> None:
        choice = decisions.Choice(action, config.batch_id, config.reason, config.by, config.rule, config.rows)
        with readable_failures(), warehouse.connect() as connection:
            context.log.info(decisions.decide(connection, choice, clock.now()))

    @dg.job(name=f"{action}_batch", description=_ABOUT[action])
    def _decision() -> None:
        _decide()

    return _decision
