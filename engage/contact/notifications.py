"""The ledger of notifications of silence: what dbt found becomes raised, held, dropped, undetermined or superseded.

The definitions are dbt's (int_inactivity); what follows for people is rules.py's and corrections.py's.
"""

from dataclasses import dataclass
from datetime import datetime

from engage.warehouse import Connection

# One table of dbt's says which days were judged and what was found: of two a killed run might have made one only.
_FOUND = """
create temporary table found on commit drop as
select
    kind, student_id, trigger_date, is_complete, evidence,
    case
        when not is_complete then 'waits for ' || missing_said
        when trigger_date = (%(now)s at time zone time_zone)::date then kind_said || ' for ' || days || ' days'
        else kind_said || ' for ' || days || ' days, raised late'
    end as reason
from intermediate.int_inactivity
cross join ops.scoring_parameter
cross join lateral (
    select
        case kind when 'no_digital_activity' then 'no digital activity' else 'hardly any activity' end as kind_said,
        evidence ->> 'days' as days,
        (
            select string_agg(source || ' on ' || days, '; ' order by source)
            from (
                select
                    gap ->> 'source' as source,
                    string_agg(to_char((gap ->> 'day')::date, 'FMDD Mon'), ', ' order by gap ->> 'day') as days
                from jsonb_array_elements(evidence -> 'missing') as gap
                group by gap ->> 'source'
            ) as by_source
        ) as missing_said
) as words
where student_id is not null
"""
# What was too old for a hold when it was noticed, in a backfill of which more may come.
_NEVER_HELD = """(
    known.status = 'undetermined' and (
        select (known.noticed_at at time zone time_zone)::date > known.trigger_date + hold_days
        from ops.scoring_parameter
    )
)"""
# What is judged again speaks anew; a hold that was closed in its time stays closed, whatever comes.
_WRITE = f"""
insert into ops.notification as known (
    student_id, rule_id, kind, trigger_date, noticed_at, raised_at, status, reason, evidence
)
select
    student_id, kind, kind, trigger_date, %(now)s, case when is_complete then %(now)s end,
    case when is_complete then 'raised' else 'held' end, reason, evidence
from found
order by trigger_date, student_id, kind
on conflict (rule_id, student_id, trigger_date) do update set
    status = excluded.status, reason = excluded.reason, evidence = excluded.evidence,
    raised_at = excluded.raised_at,
    resolved_at = case when excluded.status = 'raised' then %(now)s end
where
    (known.status in ('held', 'dropped', 'superseded') or {_NEVER_HELD} and excluded.status = 'raised')
    and (excluded.status, excluded.reason, excluded.evidence)
    is distinct from (known.status, known.reason, known.evidence)
    -- what was withdrawn from people is not held again, only raised
    and not (known.status = 'superseded' and excluded.status = 'held')
"""  # noqa: S608
# Judged again, and not found any more; or the registry says by now that the student was away.
_GONE = f"""
update ops.notification as known set
    status = case known.status when 'raised' then 'superseded' else 'dropped' end,
    resolved_at = %(now)s,
    reason = case
        when known.notification_id in (select notification_id from intermediate.int_inactivity_withdrawn)
            then 'the student was away on one of the days, as the registry says by now'
        else 'what has come since shows activity, or that the days do not count'
    end
where
    known.kind in ('no_digital_activity', 'low_activity')
    and (known.status in ('held', 'raised') or {_NEVER_HELD})
    and (
        known.notification_id in (select notification_id from intermediate.int_inactivity_withdrawn)
        or (
            known.trigger_date > (select min(day) from intermediate.int_inactivity)
            and not exists (
                select from found
                where (found.kind, found.student_id, found.trigger_date)
                    = (known.kind, known.student_id, known.trigger_date)
            )
        )
    )
returning notification_id, status
"""  # noqa: S608
_UNDETERMINED = """
update ops.notification set
    status = 'undetermined', resolved_at = %(now)s, reason = reason || ', and for too long'
from ops.scoring_parameter
where
    kind in ('no_digital_activity', 'low_activity') and status = 'held'
    and trigger_date < (%(now)s at time zone time_zone)::date - hold_days
"""
_FORGET = """
delete from ops.built_day
where mart = 'int_inactivity' and day >= (select min(day) from intermediate.int_inactivity)
"""
_REMEMBER = """
insert into ops.built_day (mart, source_id, day, state)
select distinct 'int_inactivity', '', day, state from intermediate.int_inactivity
"""


@dataclass(frozen=True)
class Synced:
    """What became of the ledger in one evaluation."""

    written: int
    """Notifications that are new, or whose hold, reason or evidence is another now."""
    dropped: int
    undetermined: int
    superseded: list[int]
    """Raised before, and without ground now: whoever was told must hear."""


def sync(connection: Connection, now: datetime) -> Synced:
    """Bring `ops.notification` up to what int_inactivity says of the days it has judged. Repeatable; does not commit.

    The caller keeps dbt from running meanwhile (weekly.one_at_a_time).
    """
    given = {"now": now}
    connection.execute("drop table if exists pg_temp.found")
    connection.execute(_FOUND, given)
    connection.execute("analyze pg_temp.found")
    written = connection.execute(_WRITE, given).rowcount
    gone = connection.execute(_GONE, given).fetchall()
    undetermined = connection.execute(_UNDETERMINED, given).rowcount
    connection.execute(_FORGET)
    connection.execute(_REMEMBER)
    connection.execute("drop table pg_temp.found")
    superseded = sorted(int(str(number)) for number, status in gone if status == "superseded")
    return Synced(written, len(gone) - len(superseded), undetermined, superseded)
