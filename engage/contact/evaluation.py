"""One evaluation: from what dbt found to what is to be done about it, in one transaction.

Only the order stands here. What a notification is says notifications.py, what a rule asks for rules.py, what the CRM is
told casework.py, which ladder begins ladders.py, and who hears that it was wrong corrections.py.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engage.contact import casework, corrections, ladders, notifications, rules
from engage.messaging import load_messaging
from engage.warehouse import Connection


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation changed."""

    silence: notifications.Synced
    rules: rules.Evaluated
    case_actions: dict[str, int]
    ladders_begun: int
    corrections: int


def is_possible(connection: Connection) -> bool:
    """Say whether dbt has built what an evaluation reads."""
    row = connection.execute(
        "select to_regclass('intermediate.int_inactivity_withdrawn') is not null"
        " and to_regclass('intermediate.int_inactivity_fact') is not null"
    ).fetchone()
    return bool(row and row[0])


def evaluate(connection: Connection, config: Path, now: datetime) -> Evaluation:
    """Write notifications and all that they ask for, whole or not at all. Repeatable: a second time changes nothing.

    The caller keeps dbt from running meanwhile (weekly.one_at_a_time).
    """
    with connection.transaction():
        silence = notifications.sync(connection, now)
        asked = rules.evaluate(connection, now)
        superseded = [*silence.superseded, *asked.superseded]
        told = corrections.write(connection, superseded, now)
        for notification_id in superseded:
            casework.withdraw(connection, notification_id, now)
        cases = casework.decide(connection, load_messaging(config), now)
        begun = ladders.start(connection, config, now)
    return Evaluation(silence, asked, cases, begun, told)
