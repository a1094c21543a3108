"""Decisions: what people decide about batches and quarantined rows, and the record of who looked at rows.

A decision is written together with the wish that its batch be processed again; the gate reads it there and does it.
How rows become visible or go is publish.py's.
"""

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from psycopg.rows import dict_row

from engage.suites import KNOWN_STUDENT, NAMED_DAY, READABLE
from engage.warehouse import Connection

Action = Literal["release", "reject"]
_DONE = {"release": "released", "reject": "rejected"}
_NEVER = {
    READABLE: "what cannot be read as its source declares cannot be released: have it delivered again, corrected",
    KNOWN_STUDENT: "a row whose student nobody knows is released by itself when a roster names them",
    NAMED_DAY: "a row outside the days that its file names would be counted under a day that the file is not about:"
    " have it delivered again, corrected",
}
_LISTED = 10


class DecisionError(Exception):
    """What is asked is not possible. Says why, and what is."""


@dataclass(frozen=True)
class Choice:
    """What a person wants."""

    action: Action
    batch_id: int
    reason: str
    by: str
    """What the person is called; the database notes its own user besides."""
    rules: Sequence[str] = ()
    """Rows that break these rules, and no other; none: the batch as a whole."""
    rows: Sequence[int] = ()
    """Only these of them, by row number; none: all of them."""


@dataclass(frozen=True)
class Decided:
    """All that people decided about one batch, as the gate needs it."""

    last: int = 0
    """Number of the last decision; 0: there is none."""
    whole: Action | None = None
    released: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Rule -> numbers of the rows that need not meet it."""
    rejected: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Rule -> numbers of the rows that stay out for breaking it."""

    def condition(self, rule_id: str, condition: str) -> str:
        """Return the SQL condition of a rule on rows with the exceptions that were decided."""
        if rows := self.released.get(rule_id):
            condition = f"({condition} or row_number = any({_array(rows)}))"
        if rows := self.rejected.get(rule_id):
            condition = f"({condition} and row_number <> all({_array(rows)}))"
        return condition

    @property
    def rejected_rows(self) -> list[int]:
        """Numbers of all rejected rows."""
        return sorted(frozenset().union(*self.rejected.values()))


UNDECIDED = Decided()


@dataclass(frozen=True)
class _Batch:
    state: str
    name: str
    source_id: str
    is_readable: bool


def person() -> str:
    """Return what the person at the command line is called: ENGAGE_USER, else the operating system's name."""
    try:
        return os.environ.get("ENGAGE_USER", "").strip() or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def taken(connection: Connection, batch_id: int) -> Decided:
    """Return what was decided about a batch; of two opposite decisions the later holds."""
    last, whole = 0, cast(Action | None, None)
    released: dict[str, frozenset[int]] = {}
    rejected: dict[str, frozenset[int]] = {}
    query = (
        "select decision_id, action, is_whole, rule_ids, row_numbers from ops.decision where batch_id = %s order by 1"
    )
    for last, action, is_whole, rules, rows in cast(  # noqa: B007
        list[tuple[int, Action, bool, list[str], list[int]]], connection.execute(query, [batch_id]).fetchall()
    ):
        if is_whole:
            whole = action
        if action == "release":
            released |= {rule: released.get(rule, frozenset()) | frozenset(rows) for rule in rules}
            rejected = {rule: there - frozenset(rows) for rule, there in rejected.items()}
        elif is_whole:
            released, rejected = {}, {}
        else:
            rejected |= {rule: rejected.get(rule, frozenset()) | frozenset(rows) for rule in rules}
            released = {rule: there - frozenset(rows) for rule, there in released.items()}
    return Decided(last, whole, released, rejected)


def decide(connection: Connection, choice: Choice, now: datetime) -> str:
    """Write the decision and have the gate process the batch again; return in a sentence what follows. Commits.

    Deciding the same again changes nothing. Raises DecisionError.
    """
    if not choice.reason.strip() or not choice.by.strip():
        raise DecisionError("a decision needs a reason, and the name of who takes it")
    if choice.rows and not choice.rules:
        raise DecisionError("rows are decided on by the rule that they break: name the rule, too")
    with connection.transaction():
        batch = _locked(connection, choice.batch_id)
        before = taken(connection, choice.batch_id)
        said = f"batch {choice.batch_id} ({batch.name})"
        is_whole = _is_whole(choice, batch, before)
        rows = _rows(connection, choice, before) if choice.rules else []
        if not is_whole and not rows:
            return f"{said}: {_DONE[choice.action]} already"
        connection.execute(
            "insert into ops.decision"
            " (batch_id, action, is_whole, rule_ids, row_numbers, reason, decided_by, decided_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(choice.batch_id, choice.action, is_whole, list(choice.rules), rows),
                *(choice.reason.strip(), choice.by.strip(), now),
            ],
        )
        connection.execute("update ops.batch set is_stale = true where batch_id = %s", [choice.batch_id])
    # In a transaction of the caller's the block above is only a savepoint.
    connection.commit()
    what = " and ".join(["the batch"] * is_whole + [f"{len(rows):,} rows"] * bool(rows))
    return f"{said}: {what} {_DONE[choice.action]}; the next run of {batch.source_id} does it"


def look(
    connection: Connection, batch_id: int, by: str, now: datetime, rule: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """Return quarantined rows of a batch as they came, a line per rule broken; `ops.audit` says first who sees them.

    Keys: row, rule, field, reason, state, record. Commits. Raises DecisionError for a role that may not read them.
    """
    ((role, may_read),) = connection.execute(
        """
        select current_user, case
            when has_schema_privilege('quarantine', 'usage') then has_table_privilege('quarantine.row', 'select')
            else false
        end
        """
    ).fetchall()
    if not may_read:
        raise DecisionError(f"the database user {role} may not look at rows: the owner of the warehouse grants it")
    with connection.transaction():
        if connection.execute("select from ops.batch where batch_id = %s", [batch_id]).fetchone() is None:
            raise DecisionError(f"there is no batch {batch_id}")
        found = (
            connection.cursor(row_factory=dict_row)
            .execute(
                """
                select row_number as row, rule_id as rule, field, reason, state, record from quarantine.row
                where batch_id = %s and rule_id = coalesce(%s, rule_id) order by row_number, rule_id limit %s
                """,
                [batch_id, rule, limit],
            )
            .fetchall()
        )
        connection.execute(
            "insert into ops.audit (happened_at, person, action, batch_id, rows)"
            " values (%s, %s, 'looked at quarantined rows', %s, %s)",
            [now, by, batch_id, len({row["row"] for row in found})],
        )
    connection.commit()
    return found


def _locked(connection: Connection, batch_id: int) -> _Batch:
    """Return the batch, kept as it is until the decision is written: the gate waits, and then knows of it."""
    found = connection.execute(
        "select b.state, d.name, b.source_id, b.rows_read is not null from ops.batch as b"
        " inner join ops.delivery as d using (delivery_id) where batch_id = %s for update of b",
        [batch_id],
    ).fetchone()
    if found is None:
        raise DecisionError(f"there is no batch {batch_id}")
    batch = _Batch(*cast(tuple[str, str, str, bool], found))
    if batch.state == "superseded":
        raise DecisionError(f"batch {batch_id} ({batch.name}): a corrected delivery has closed the matter")
    return batch


def _is_whole(choice: Choice, batch: _Batch, before: Decided) -> bool:
    """Say whether the decision is a new one about the batch as a whole. Raises DecisionError."""
    said = f"batch {choice.batch_id} ({batch.name})"
    if choice.action == "reject":
        if choice.rules and before.whole == "reject":
            raise DecisionError(f"{said} is rejected as a whole")
        return not choice.rules and before.whole != "reject"
    if batch.state == "loading":
        raise DecisionError(f"{said} has not been through the gate yet; it can be rejected")
    if not batch.is_readable:
        raise DecisionError(f"{said}: nothing of it could be loaded, so nothing can be released; it can be rejected")
    if before.whole == "release":
        return False
    if batch.state == "published" and before.whole is None and not choice.rules:
        raise DecisionError(f"{said} is published; to release rows of it, name the rule that they break")
    return batch.state != "published" or before.whole == "reject"


def _rows(connection: Connection, choice: Choice, before: Decided) -> list[int]:
    """Return the numbers of the rows that the decision is new for. Raises DecisionError."""
    rules, is_release = set(choice.rules), choice.action == "release"
    for rule in rules & _NEVER.keys() if is_release else ():
        raise DecisionError(f"{rule}: {_NEVER[rule]}")
    # Gone from quarantine once the gate has let them in.
    known = before.released if is_release else before.rejected
    done = frozenset[int]().union(*(known.get(rule, frozenset()) for rule in rules))
    query = """
        select row_number, array_agg(rule_id order by rule_id) from quarantine.row
        where batch_id = %s group by row_number having bool_or(rule_id = any(%s)) order by 1
    """
    found = connection.execute(query, [choice.batch_id, list(rules)]).fetchall()
    broken = dict(cast(list[tuple[int, list[str]]], found))
    wanted = [row for row in (choice.rows or broken) if row not in done]
    if missing := [row for row in wanted if row not in broken]:
        raise DecisionError(f"no such row in quarantine for {', '.join(sorted(rules))}: {_some(missing)}")
    if not is_release:
        if not wanted and not done:
            raise DecisionError(f"no row of batch {choice.batch_id} is in quarantine for {', '.join(sorted(rules))}")
        return wanted
    waived = {row: {rule for rule, rows in before.released.items() if row in rows} | rules for row in wanted}
    also = {row: others for row in wanted if (others := [rule for rule in broken[row] if rule not in waived[row]])}
    if also and (choice.rows or len(also) == len(wanted)):
        others = sorted({rule for rules in also.values() for rule in rules})
        raise DecisionError(f"these rows also break {', '.join(others)}: {_some(sorted(also))}")
    if not wanted and not done:
        raise DecisionError(f"no row of batch {choice.batch_id} is in quarantine for {', '.join(sorted(rules))}")
    return [row for row in wanted if row not in also]


def _some(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - _LISTED:,} more" if len(rows) > _LISTED else ""
    return ", ".join(map(str, rows[:_LISTED])) + more


def _array(rows: frozenset[int]) -> str:
    return f"'{{{','.join(map(str, sorted(rows)))}}}'::bigint[]"
