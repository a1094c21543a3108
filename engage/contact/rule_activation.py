"""Which alert rules are in force, and who decided so, when and why. A rule in the file alone does nothing.

What is activated is kept whole: the file may change meanwhile, and the content stays in force. What rules do is in
rules.py.
"""

import contextlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from engage.contact.rules_file import Rule
from engage.strict import ConfigurationError
from engage.warehouse import Connection

State = Literal[
    "active", "changed in the file, not activated", "active, not in the file", "deactivated", "not activated"
]
_LAST = """
select distinct on (a.rule_id)
    a.rule_id, a.rule_version, a.action, a.effective_from, a.decided_at, a.decided_by, a.reason, v.content
from ops.rule_activation as a
inner join ops.rule_version as v using (rule_id, rule_version)
order by a.rule_id, a.activation_id desc
"""
_RECORD = """
insert into ops.rule_activation (rule_id, rule_version, action, effective_from, decided_at, decided_by, reason)
values (%s, %s, %s, %s, %s, %s, %s)
"""


class ActivationError(Exception):
    """What is asked is not possible. Says why."""


@dataclass(frozen=True)
class Decision:
    """The last thing that was decided of a rule."""

    rule_id: str
    rule_version: str
    action: Literal["activate", "deactivate"]
    effective_from: date
    """Notifications that trigger, and weeks whose Monday after is, on or after this day are its business."""
    decided_at: datetime
    decided_by: str
    reason: str
    content: dict[str, Any]

    @property
    def is_active(self) -> bool:
        """Whether the rule is in force."""
        return self.action == "activate"

    @property
    def rule(self) -> Rule:
        """What was activated. Raises ConfigurationError for one that this release does not understand."""
        try:
            return Rule.model_validate(self.content)
        except ValidationError:
            raise ConfigurationError(
                f"the rule {self.rule_id} was activated with what is not understood any more: activate it anew"
            ) from None


def decisions(connection: Connection) -> dict[str, Decision]:
    """Return what was last decided of every rule that was ever activated."""
    rows = connection.cursor(row_factory=class_row(Decision)).execute(_LAST).fetchall()
    return {row.rule_id: row for row in rows}


def version_of(connection: Connection, rule_id: str, version: str) -> Rule | None:
    """Return a version that was activated once; None where this release does not understand it any more."""
    query = "select content from ops.rule_version where rule_id = %s and rule_version = %s"
    with contextlib.suppress(ValidationError):
        return Rule.model_validate(connection.execute(query, [rule_id, version]).fetchall()[0][0])
    return None


def state_of(rule: Rule | None, decision: Decision | None) -> State:
    """Say how a rule stands. `rule`: as the file has it, None where it does not."""
    if decision is None:
        return "not activated"
    if not decision.is_active:
        return "deactivated"
    if rule is None:
        return "active, not in the file"
    return "active" if rule.version == decision.rule_version else "changed in the file, not activated"


def activate(
    connection: Connection, rule: Rule, by: str, reason: str, effective_from: date, now: datetime
) -> Decision | None:
    """Put a rule into force as it is here; return what held before. Commits.

    Raises ActivationError where it is in force like this already, or nobody or no reason is named.
    """
    with connection.transaction():
        before = _last(connection, rule.id, by, reason)
        if before and before.is_active and before.rule_version == rule.version:
            raise ActivationError(f"{rule.id} is active like this already, from {before.effective_from}")
        connection.execute(
            "insert into ops.rule_version values (%s, %s, %s, %s) on conflict do nothing",
            [rule.id, rule.version, Jsonb(rule.content), now],
        )
        connection.execute(
            _RECORD, [rule.id, rule.version, "activate", effective_from, now, by.strip(), reason.strip()]
        )
    connection.commit()
    return before


def deactivate(connection: Connection, rule_id: str, by: str, reason: str, today: date, now: datetime) -> None:
    """Take a rule out of force; what it has raised stays. Commits. Raises ActivationError where it is not in force."""
    with connection.transaction():
        before = _last(connection, rule_id, by, reason)
        if before is None or not before.is_active:
            raise ActivationError(f"{rule_id} is not active")
        values = [rule_id, before.rule_version, "deactivate", today, now, by.strip(), reason.strip()]
        connection.execute(_RECORD, values)
    connection.commit()


def _last(connection: Connection, rule_id: str, by: str, reason: str) -> Decision | None:
    """Return what holds of a rule, and let nobody decide on another meanwhile."""
    if not by.strip() or not reason.strip():
        raise ActivationError("--by and --reason must say something")
    connection.execute("select pg_advisory_xact_lock(hashtext('engage.contact.rules'))")
    return decisions(connection).get(rule_id)
