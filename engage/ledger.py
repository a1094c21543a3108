"""What is noted about a batch: its bad rows with every rule they break, the result of each rule, and the sums.

Written in the publishing transaction. Whether rows become visible is not decided here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from psycopg import sql
from psycopg.types.json import Jsonb

from engage.audit import Verdict
from engage.decisions import Decided
from engage.load import Loaded
from engage.sources import Source
from engage.statements import Statements
from engage.suites import READABLE, Suite
from engage.typed_pass import literal
from engage.typed_statement import normalised


@dataclass(frozen=True)
class Found:
    """Good and bad rows, and the time of the latest good one."""

    good: int
    bad: int
    last_event_at: datetime | None

    @property
    def share_good(self) -> float:
        """0-1; an empty batch has no bad row."""
        return self.good / (self.good + self.bad) if self.good + self.bad else 1.0


NOTHING = Found(0, 0, None)


def count(statements: Statements) -> Found:
    """Count the rows that meet every rule on rows, and note and count the others. Once after each load."""
    ((bad,),) = statements.run(
        "with bad as (insert into {out} select row_number, ctid from {rows} where not ({met}) returning 1)"
        " select count(*) from bad"
    )
    ((good, last_event_at),) = statements.run("select count(*), max({time}) from {rows} where {good}")
    return Found(cast(int, good), cast(int, bad), cast(datetime | None, last_event_at))


def quarantine(
    statements: Statements, source: Source, suite: Suite, decided: Decided, loaded: Loaded | None, found: Found
) -> None:
    """Keep the bad rows, each as it came, with every rule it breaks."""
    if loaded and found.bad:
        broken = []
        for rule in suite.row_rules:
            told = "load_field", "load_error"
            if rule.meta.id != READABLE:
                told = literal(", ".join(rule.columns)), literal(rule.meta.title)
            broken.append((literal(rule.meta.id), *told, f"not {decided.condition(rule.meta.id, rule.condition)}"))
        cells = ", ".join(f"t.c{n}" for n in range(1, len(loaded.headings) + 1))
        statements.run(
            """
            insert into quarantine.row
                (batch_id, source_id, row_number, rule_id, field, reason, student_ref, record, quarantined_at, state)
            select
                %(batch)s, %(source)s, r.row_number, v.rule_id, v.field, v.reason, {ref},
                case when t.problem is null then {record} else jsonb_build_object('line', t.line) end, %(now)s,
                (select case state when 'superseded' then state else 'quarantined' end
                from ops.batch where batch_id = %(batch)s)
            from (
                -- by their places: without statistics a join would be thought to find as many as there are
                select * from {rows} where ctid = any(array(select place from {out} where place is not null)) offset 0
            ) as r
            inner join {text} as t using (row_number)
            cross join lateral (values {broken}) as v (rule_id, field, reason, is_broken)
            where v.is_broken
            """,
            broken=sql.SQL(", ".join(f"({', '.join(parts)})" for parts in broken)),
            ref=sql.SQL(normalised(source.identified_by, "student_ref") if source.kind.names_student else "null"),
            record=sql.SQL(f"jsonb_object(%(headings)s, array[{cells}])" if cells else "t.c1"),
            headings=list(loaded.headings),
        )
        if rows := decided.rejected_rows:
            statements.run(
                "update quarantine.row set state = 'rejected'"
                " where batch_id = %(batch)s and state = 'quarantined' and row_number = any(%(rows)s)",
                rows=rows,
            )


def enter(statements: Statements, loaded: Loaded | None, verdict: Verdict, found: Found, accepted: int) -> str:
    """Enter the results of the rules and the sums; return the state of the batch."""
    with statements.connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.rule_result (batch_id, rule_id, scope, is_critical, weight, rows_checked, rows_failed,"
            " share_met, problem) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    statements.given["batch"],
                    *(
                        r.rule_id,
                        r.scope,
                        r.is_critical,
                        r.weight,
                        r.rows_checked,
                        r.rows_failed,
                        r.share_met,
                        r.problem,
                    ),
                )
                for r in verdict.results
            ],
        )
    ((state,),) = statements.run(
        """
        update ops.batch set
            rows_read = %(read)s, rows_dropped = %(dropped)s, dropped = %(reasons)s, rows_accepted = %(accepted)s,
            rows_quarantined = %(quarantined)s, quality_score = %(score)s, broken_rules = %(broken)s,
            problem = %(problem)s, notes = %(notes)s, format_drift = %(drift)s, is_stale = {is_undone},
            last_event_at = %(last_event_at)s, finished_at = %(now)s,
            published_at = case when state <> 'held' then coalesce(published_at, %(now)s) end,
            held_since = case when state = 'held' then coalesce(held_since, %(now)s) end
        where batch_id = %(batch)s
        returning state
        """,
        read=loaded.rows_read if loaded else None,
        dropped=loaded.rows_dropped if loaded else None,
        reasons=Jsonb(loaded.dropped if loaded else {}),
        accepted=accepted,
        quarantined=found.bad,
        score=verdict.score,
        broken=[r.rule_id for r in verdict.results if not r.is_met],
        problem=verdict.objection,
        notes=list(loaded.notes) if loaded else [],
        drift=list(loaded.drift) if loaded else [str(verdict.objection)] if verdict.is_drift else [],
        last_event_at=found.last_event_at,
    )
    return cast(str, state)
