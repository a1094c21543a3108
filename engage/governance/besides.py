"""What a governance summary says of sources and decisions: nothing about people, so nothing is rounded.

Keys, days and numbers only: no names of those who decided, and none of their reasons.
"""

from collections.abc import Sequence
from datetime import date, datetime

from engage.warehouse import Connection

SOURCE_WEEKS = """
insert into governance.source_week (
    edition_id, source_id, title, week_start, days_expected, days_complete, days_stale, mean_quality, incidents_opened
)
select
    %(edition)s, s.source_id, s.title, w.week_start,
    count(*) filter (where h.freshness not in ('quiet', 'disabled')),
    count(*) filter (where h.freshness not in ('quiet', 'disabled') and h.complete),
    count(*) filter (where h.freshness = 'stale'),
    avg(h.quality_score),
    (
        select count(*) from ops.incident as i cross join ops.scoring_parameter as p
        where
            i.source_id = s.source_id
            and (i.opened_at at time zone p.time_zone)::date between w.week_start and w.week_start + 6
    )
from ops.source as s
cross join unnest(%(weeks)s::date[]) as w (week_start)
inner join marts.source_health as h
    on h.source_id = s.source_id and h.health_date between w.week_start and w.week_start + 6
group by s.source_id, s.title, w.week_start
"""
# What is decided in the period; and what was scored again of the weeks shown until the edition is made: a week is
# restated after it ended, and the edition made for it has to say so.
CHANGES = """
insert into governance.change (edition_id, position, changed_on, kind, what)
select %(edition)s, row_number() over (order by changed_on, kind, what), changed_on, kind, what
from (
    select
        false as is_shown, (c.changed_at at time zone p.time_zone)::date as changed_on, 'configuration' as kind,
        coalesce(nullif(array_to_string(c.difference, '; '), ''), 'configuration ' || c.config_version) as what
    from ops.config_change as c cross join ops.scoring_parameter as p
    union
    select
        r.week_start = any(%(weeks)s), (r.published_at at time zone p.time_zone)::date, 'restatement',
        'week ' || r.week_start || ', revision ' || r.revision
    from ops.publication as r cross join ops.scoring_parameter as p
    where r.revision > 1 and r.state = 'published' and r.published_at <= %(now)s
    union
    select
        false, (a.decided_at at time zone p.time_zone)::date, 'rule',
        a.rule_id || ' ' || a.action || 'd, from ' || a.effective_from
    from ops.rule_activation as a cross join ops.scoring_parameter as p
    union
    select false, enabled_from, 'source', source_id || ' enabled' from ops.source
    union
    select false, disabled_from, 'source', source_id || ' disabled' from ops.source
) as all_
where changed_on >= %(since)s and (changed_on <= %(until)s or is_shown)
"""
REGISTER = """
insert into governance.source_register (
    edition_id, source_id, title, system, category, purpose, lawful_basis, dpia_reference, dpia_date, owner_name,
    retention_days, in_use
)
select
    %(edition)s, source_id, title, system, coalesce(category, record), purpose, lawful_basis, dpia_reference, dpia_date,
    owner_name, coalesce(retention_days, 0),
    coalesce(enabled_from <= %(until)s, true) and coalesce(disabled_from > %(until)s, true)
from ops.source
"""


def write(
    connection: Connection, edition_id: str, weeks: Sequence[date], since: date, until: date, now: datetime
) -> None:
    """Write health of sources by week, decisions of the period, weeks scored again until now, and the register."""
    given = {"edition": edition_id, "weeks": list(weeks), "since": since, "until": until, "now": now}
    for statement in (SOURCE_WEEKS, CHANGES, REGISTER):
        connection.execute(statement, given)
