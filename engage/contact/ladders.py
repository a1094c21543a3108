"""Ladders of contacts: begun for students whom a rule names; steps that are due, handed on to whoever takes them.

How far a ladder is follows from the contacts and is SQL (dbt_project/macros/ladder.sql). Nothing here commits.
"""

from datetime import datetime
from pathlib import Path
from typing import get_args

from psycopg.types.json import Jsonb

from engage.contact.ladders_file import STUDENT, Ladders, Residence, load_ladders
from engage.warehouse import Connection

# int_ladder_step is as of this run's data, and knows what began before this transaction.
_START = """
with parameters as (select (%(now)s at time zone time_zone)::date as today from ops.scoring_parameter),
ladders as (
    select * from jsonb_to_recordset(%(ladders)s) as one (id text, on_campus jsonb, off_campus jsonb, stop_when text[])
),
asked as (
    select action_id, student_id, target, notification_id from ops.action
    where state = 'open' and kind = 'ladder'
    for update
),
judged as (
    select
        asked.*,
        ladders.stop_when,
        case
            when coalesce(lower(students.campus_residence) = any(%(off_campus)s), true) then ladders.off_campus
            else ladders.on_campus
        end as steps,
        case
            when ladders.id is null then 'there is no such ladder'
            when notifications.status is distinct from 'raised' then 'the notification no longer holds'
            when students.status is distinct from 'active' then 'the student is not active'
            when exists (
                select from intermediate.int_exemption as exemptions
                where exemptions.student_id = asked.student_id
                    and parameters.today between exemptions.starts_on and exemptions.ends_on
            ) then 'the student is exempt'
            when exists (
                select from ops.ladder_run as begun
                where begun.notification_id = asked.notification_id and begun.ladder_id = asked.target
            ) then 'this ladder has begun for the same notification'
            when exists (
                select from ops.ladder_run as begun
                where begun.student_id = asked.student_id and begun.ladder_id = asked.target
                    and not exists (
                        select from intermediate.int_ladder_step as ended
                        where ended.ladder_run_id = begun.ladder_run_id::text and ended.run_status <> 'running'
                    )
            ) then 'this ladder is running for the student'
        end as why
    from asked
    cross join parameters
    left join ladders on asked.target = ladders.id
    left join ops.notification as notifications using (notification_id)
    left join marts.student as students on asked.student_id = students.student_id
),
decided as (
    select
        *,
        coalesce(why, case when row_number() over (partition by student_id, target, why is null order by action_id) > 1
            then 'this ladder is running for the student' end) as why_not
    from judged
),
begun as (
    insert into ops.ladder_run (
        ladder_id, student_id, notification_id, started_on, steps, stop_when, answered_outcomes, in_vacations
    )
    select target, student_id, notification_id, today, steps, stop_when, %(answered)s, %(in_vacations)s
    from decided cross join parameters
    where why_not is null
    order by action_id
    returning ladder_run_id, ladder_id, student_id
)
update ops.action as done set
    state = case when why_not is null then 'done' else 'suppressed' end,
    why = why_not,
    ladder_run_id = begun.ladder_run_id
from decided left join begun
    on decided.why_not is null and decided.student_id = begun.student_id and decided.target = begun.ladder_id
where done.action_id = decided.action_id
returning done.state
"""
_TELL = """
insert into ops.action (
    action_key, kind, student_id, notification_id, rule_id, rule_version, target, ladder_run_id, step_number, content,
    created_at
)
select
    'step:' || step.ladder_run_id || ':' || step.step_number,
    case step.who when %(student)s then 'email_student' else 'contact_step' end,
    step.student_id, notifications.notification_id, notifications.rule_id, notifications.rule_version, step.who,
    step.ladder_run_id::bigint, step.step_number,
    jsonb_strip_nulls(jsonb_build_object(
        'ladder', step.ladder_id, 'step', step.step_id, 'title', step.title, 'channel', step.channel,
        'due_date', step.due_date, 'policy', step.policy
    )),
    %(now)s
from marts.contact_step as step
inner join ops.notification as notifications on notifications.notification_id = step.notification_id::bigint
where step.is_due_today
order by step.due_date, step.ladder_run_id::bigint
on conflict (action_key) do nothing
"""


def start(connection: Connection, config: Path, now: datetime) -> int:
    """Begin the ladders that open actions ask for, and return how many; of the others ops.action says why not.

    Needs the daily models as of this run. Repeatable. Raises ConfigurationError for a wrong ladders.yaml.
    """
    ladders = load_ladders(config)
    given = {
        "now": now,
        "ladders": Jsonb(_content(ladders)),
        "answered": [outcome.lower() for outcome in ladders.answered_outcomes],
        "in_vacations": ladders.in_vacations,
        "off_campus": [residence.lower() for residence in ladders.off_campus],
    }
    return sum(state == "done" for (state,) in connection.execute(_START, given))


def tell_due(connection: Connection, now: datetime) -> int:
    """Write an action for each step that is due today and was not handed on yet; return how many. Repeatable.

    Needs marts.contact_step as of this run. A step that is ours is an e-mail to the student.
    """
    return connection.execute(_TELL, {"now": now, "student": STUDENT}).rowcount


def _content(ladders: Ladders) -> list[dict[str, object]]:
    """Return the ladders with the steps for each residence, as they are frozen into a run."""
    return [
        {"id": ladder.id, "stop_when": ladder.stop_when}
        | {
            residence: [step.model_dump(exclude={"where"}, exclude_none=True) for step in ladder.steps_for(residence)]
            for residence in get_args(Residence)
        }
        for ladder in ladders.ladders
    ]
