"""Alert rules at work: what active rules raise, hold and withdraw, and what is to be done about it.

Only what was activated is read, never the file. What a rule asks is in rule_conditions.py, when it fires in
rule_firing.py, who switched it on in rule_activation.py; what becomes of the actions is bundles.py's, casework.py's and
ladders.py's.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from engage.contact import rule_conditions
from engage.contact.people_letters import STUDENT_LETTERS
from engage.contact.rule_activation import decisions, version_of
from engage.contact.rule_firing import fire, published_weeks, stands, statement
from engage.contact.rules_file import Action, Rule
from engage.warehouse import Connection

TELL_WITHIN_DAYS = 14
"""What triggered longer ago than this is recorded, and nobody is told."""
TOO_OLD = "too old to tell"
HELD = "cohort event: much of the peer group fell in this week, or did far less than usual, all at once"
_GONE = """
update ops.notification as known set
    status = case known.status when 'raised' then 'superseded' else 'dropped' end,
    resolved_at = {now},
    reason = 'the week was scored again, and it is not so any more'
where
    known.rule_id = {rule} and known.rule_version = {version}
    and known.week_start = any({weeks}::date[]) and known.week_start >= {first}
    and known.status in ('raised', 'held')
    and not exists (
        select from pg_temp.firing as f
        where
            f.student_id = known.student_id and f.week_start = known.week_start
            and (known.status = 'raised' or f.status is not null)
    )
returning known.notification_id, known.status
"""
# A hold that was closed stays closed; what was withdrawn from people comes back as raised or not at all.
_RAISE = """
insert into ops.notification as known (
    student_id, rule_id, rule_version, kind, trigger_date, week_start, noticed_at, raised_at, resolved_at, status,
    reason, evidence
)
select
    f.student_id, {rule}, {version}, 'score', f.week_start + 7, f.week_start, {now},
    case f.status when 'raised' then {now} end, case f.status when 'dropped' then {now} end, f.status,
    case f.status
        when 'raised' then {title}
        when 'held' then {held}
        else 'still so after the cohort event: raised in the week from ' || to_char(f.clear_week, 'FMDD FMMonth')
    end,
    f.evidence
from pg_temp.firing as f
where
    f.status is not null and f.last_week >= {first}
    -- told once, also where a restatement has moved the beginning
    and not exists (
        select from ops.notification as o
        where
            o.rule_id = {rule} and o.rule_version = {version} and o.student_id = f.student_id and o.status = 'raised'
            and o.week_start between f.first_week and f.last_week and o.week_start <> f.week_start
            and f.status <> 'dropped'
    )
on conflict (rule_id, student_id, trigger_date) do update set
    rule_version = excluded.rule_version, status = excluded.status, reason = excluded.reason,
    evidence = excluded.evidence, raised_at = excluded.raised_at,
    resolved_at = case when excluded.status <> 'held' then {now} end
where
    (known.status = 'held' or (known.status in ('dropped', 'superseded') and excluded.status = 'raised'))
    and (excluded.status, excluded.evidence) is distinct from (known.status, known.evidence)
returning status
"""
_UNDETERMINED = """
update ops.notification set
    status = 'undetermined', resolved_at = %(now)s, reason = reason || ', and for too long'
from ops.scoring_parameter
where kind = 'score' and status = 'held' and trigger_date < (%(now)s at time zone time_zone)::date - hold_days
returning rule_id
"""
_EVALUATED = """
insert into ops.rule_week (rule_id, rule_version, week_start, revision, evaluated_at)
select %(rule)s, %(version)s, week_start, revision, %(now)s
from unnest(%(weeks)s::date[], %(revisions)s::smallint[]) as w (week_start, revision)
on conflict (rule_id, rule_version, week_start) do update set
    revision = excluded.revision, evaluated_at = excluded.evaluated_at
where ops.rule_week.revision <> excluded.revision
"""
_KEEP_FACTS = """
with days as (
    select trigger_date, (select max(w) from unnest({weeks}::date[]) as w where w <= trigger_date - 7) as week_start
    from (
        select distinct n.trigger_date from ops.notification as n
        where
            n.kind <> 'score' and n.status = 'raised'
            and not exists (select from ops.notification_fact as k where k.notification_id = n.notification_id)
    ) as asked
)
insert into ops.notification_fact
select
    n.notification_id, n.trigger_date, days.week_start, w.revision, w.score, w.recent_scores, w.lowest_before,
    w.change_1w, w.change_4w, w.declining, w.consistently_low, w.weeks_below_350, w.attendance_4w, f.mode,
    f.programme_code, f.faculty_code, f.year_of_study, f.campus_residence, f.exemption_types, f.open_case,
    f.last_contact_date
from ops.notification as n
inner join days using (trigger_date)
-- whose facts a killed run did not come to is asked when they are there
inner join intermediate.int_inactivity_fact as f on f.student_id = n.student_id and f.on_date = n.trigger_date
left join ({scores}) as w on w.student_id = n.student_id and w.week_start = days.week_start
where n.kind <> 'score' and n.status = 'raised'
on conflict (notification_id) do nothing
"""
_NO_SCORES = (
    "select s.student_id, k.* from ops.notification_fact as k, (select null::text as student_id) as s where false"
)
_SCORES = "select * from intermediate.int_rule_fact"
_OWN = """
select n.notification_id, true as is_met
from ops.notification as n
where n.rule_id = {rule} and n.rule_version = {version} and n.status = 'raised' and n.trigger_date >= {from_date}
"""
_ASKED = """
select n.notification_id, coalesce({condition}, false) as is_met
from ops.notification as n
inner join ops.notification_fact as f using (notification_id)
where n.kind = {kind} and n.status = 'raised' and n.trigger_date >= {from_date}
"""
_ACT = """
with decided as (
    insert into ops.rule_decision (rule_id, rule_version, notification_id, is_met, decided_at)
    select {rule}, {version}, asked.notification_id, asked.is_met, {now}
    from ({asked}) as asked
    where not exists (
        select from ops.rule_decision as d
        where (d.notification_id, d.rule_id, d.rule_version) = (asked.notification_id, {rule}, {version})
    )
    on conflict (rule_id, rule_version, notification_id) do nothing
    returning notification_id, is_met
)
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, is_immediate, content, created_at,
    state, why
)
select
    'rule:' || {rule} || ':' || n.notification_id || ':' || a.name, a.kind, n.student_id, n.notification_id, {rule},
    {version}, a.target, a.is_immediate, a.content, {now}, old.state, old.why
from decided
inner join ops.notification as n using (notification_id)
cross join ops.scoring_parameter as p
cross join lateral (
    select
        case when is_old then 'suppressed' else 'open' end as state,
        case when is_old then {too_old} end as why
    from (select ({now} at time zone p.time_zone)::date - n.trigger_date > {within} as is_old) as age
) as old
cross join jsonb_to_recordset({actions}) as a (
    name text, kind text, target text, is_immediate boolean, content jsonb
)
where decided.is_met
order by n.notification_id, a.name
on conflict (action_key) do nothing
returning kind, state
"""


@dataclass
class Evaluated:
    """What one evaluation of all rules has changed."""

    notifications: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule -> status -> how many notifications of its own took it."""
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, state) -> how many actions were written."""
    superseded: list[int] = field(default_factory=list)
    """Notifications whose ground a restatement has taken away: whoever was told must hear."""

    def count(self, rule_id: str, status: str, many: int = 1) -> None:
        """Count notifications of a rule."""
        if many:
            self.notifications.setdefault(rule_id, Counter())[status] += many


def evaluate(connection: Connection, now: datetime) -> Evaluated:
    """Bring notifications and actions up to what the active rules ask of all that is published and raised.

    Repeatable: a second time changes nothing. Does not commit. Raises ConfigurationError for an active rule that this
    release does not understand.
    """
    done = Evaluated()
    published = published_weeks(connection)
    _keep_facts(connection, published)
    evaluated = _evaluated(connection)
    for one in decisions(connection).values():
        if not one.is_active:
            continue
        rule, seen = one.rule, evaluated.pop((one.rule_id, one.rule_version), {})
        if rule.kind is None:
            # A week belongs to the Monday after.
            weeks = {week: there for week, there in published.items() if week + timedelta(7) >= one.effective_from}
            # Weeks from before it was activated anew are watched as those of a rule out of force.
            evaluated[one.rule_id, one.rule_version] = {week: seen[week] for week in seen.keys() - weeks.keys()}
            _ask(connection, rule, weeks, seen, now, done)
        _act(connection, rule, one.effective_from, now, done)
    # What is not in force any more raises nothing, and yet is withdrawn where its ground is gone.
    for (rule_id, version), asked in evaluated.items():
        weeks = {week: there for week, there in published.items() if week in asked}
        if weeks != asked and (former := version_of(connection, rule_id, version)):
            _ask(connection, former, weeks, asked, now, done, may_raise=False)
    for row in connection.execute(_UNDETERMINED, {"now": now}).fetchall():
        done.count(str(row[0]), "undetermined")
    return done


def _ask(
    connection: Connection,
    rule: Rule,
    weeks: Mapping[date, int],
    seen: Mapping[date, int],
    now: datetime,
    done: Evaluated,
    may_raise: bool = True,
) -> None:
    """Ask a rule of the first week that is new, or scored again, and of those after it. Both: week -> revision."""
    first = min((week for week, revision in weeks.items() if seen.get(week) != revision), default=None)
    if first is None:
        return
    given = {"rule": rule.id, "version": rule.version, "now": now}
    fire(connection, rule, weeks)
    for number, status in _rows(connection, statement(_GONE, weeks=list(weeks), first=first, **given)):
        done.count(rule.id, status)
        if status == "superseded":
            done.superseded.append(number)
    if may_raise:
        raised = statement(_RAISE, title=rule.title, held=HELD, first=first, **given)
        for (status,) in _rows(connection, raised):
            done.count(rule.id, status)
    connection.execute("drop table pg_temp.firing")
    connection.execute(_EVALUATED, given | {"weeks": list(weeks), "revisions": list(weeks.values())})


def _act(connection: Connection, rule: Rule, effective_from: date, now: datetime, done: Evaluated) -> None:
    """Ask the rule, once, of every notification that is its business, and write what is then to be done."""
    given = {"rule": rule.id, "version": rule.version, "from_date": effective_from}
    if rule.kind is None:
        asked = statement(_OWN, **given)
    else:
        asked = statement(_ASKED, kind=rule.kind, condition=rule_conditions.condition(rule), **given)
    actions = Jsonb([_action(action) for action in rule.actions])
    rows = _rows(
        connection,
        statement(_ACT, asked=asked, now=now, actions=actions, too_old=TOO_OLD, within=TELL_WITHIN_DAYS, **given),
    )
    done.actions.update((kind, state) for kind, state in rows)


def _action(action: Action) -> dict[str, Any]:
    """Return an action as `ops.action` has it, and what names it within its rule."""
    told: dict[str, Any] = {"is_immediate": action.immediate, "content": {}}
    if action.notify:
        return told | {"kind": "notify", "target": action.notify, "name": f"notify:{action.notify}"}
    if action.case:
        return told | {"kind": "case", "target": action.case, "name": f"case:{action.case}"}
    if action.start:
        return told | {"kind": "ladder", "target": action.start, "name": f"start:{action.start}"}
    text = action.text or STUDENT_LETTERS[0]
    return told | {"kind": "email_student", "target": "student", "name": "email_student", "content": {"text": text}}


def _keep_facts(connection: Connection, weeks: Mapping[date, int]) -> None:
    """Keep what is known of the students of notifications of silence that are raised for the first time."""
    if not stands(connection, "intermediate.int_inactivity_fact"):
        return
    scores = sql.SQL(_SCORES if weeks else _NO_SCORES)
    connection.execute(statement(_KEEP_FACTS, weeks=list(weeks), scores=scores))


def _evaluated(connection: Connection) -> dict[tuple[str, str], dict[date, int]]:
    """Return week -> revision of which each version of a rule has been asked."""
    found: dict[tuple[str, str], dict[date, int]] = {}
    query = "select rule_id, rule_version, week_start, revision from ops.rule_week order by week_start"
    for rule_id, version, week, revision in _rows(connection, query):
        found.setdefault((rule_id, version), {})[week] = revision
    return found


def _rows(connection: Connection, query: Any) -> list[Any]:
    return connection.execute(query).fetchall()
