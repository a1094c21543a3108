{#
    Every step of every ladder that was begun, and how far it is, by the contacts as they are known now. Two models are this: one
    made before the evaluation, which must know what is running, and the mart, made after it, which knows what has just begun.
#}
{% macro steps_of_ladders() %}
with recursive

ladder_runs as (select * from {{ source('ops', 'ladder_run') }}),

notifications as (select * from {{ source('ops', 'notification') }}),

actions as (select * from {{ source('ops', 'action') }}),

messages as not materialized (select * from {{ source('ops', 'outbox') }}),

sources as (select * from {{ source('ops', 'source') }}),

students as not materialized (select * from {{ ref('student') }}),

exemptions as not materialized (select * from {{ ref('int_exemption') }}),

contacts as not materialized (select * from {{ ref('int_contact') }}),

daily_activity as not materialized (select * from {{ ref('daily_activity') }}),

working_days as not materialized (select * from {{ ref('int_working_day') }}),

parameters as (
    select
        as_of,
        time_zone,
        (as_of at time zone time_zone)::date as today
    from {{ source('ops', 'scoring_parameter') }}
),

steps as (
    select
        ladder_runs.ladder_run_id,
        ladder_runs.ladder_id,
        ladder_runs.student_id,
        ladder_runs.notification_id,
        ladder_runs.started_on,
        ladder_runs.in_vacations,
        step.place::integer as step_number,
        step.said ->> 'id' as step_id,
        step.said ->> 'title' as title,
        step.said ->> 'who' as who,
        step.said ->> 'channel' as channel,
        step.said ->> 'policy' as policy,
        (step.said ->> 'wait_days')::integer as wait_days,
        step.place = jsonb_array_length(ladder_runs.steps) as is_last
    from ladder_runs
    cross join lateral jsonb_array_elements(ladder_runs.steps) with ordinality as step (said, place)
),

-- what we were to write to the student ourselves: done when the mail server took it; what could not be written, or was given up,
-- is not waited for
letters as (
    select
        actions.ladder_run_id,
        actions.step_number,
        case when actions.state = 'suppressed' then actions.created_at else coalesce(messages.sent_at, messages.created_at) end
            as done_at,
        case when messages.state = 'sent' then 'message' else 'skipped' end as done_by
    from actions
    left join messages on actions.message_id = messages.message_id
    where
        actions.kind = 'email_student'
        and actions.ladder_run_id is not null
        and (
            messages.state in ('sent', 'failed')
            -- what was not written because of how far the ladder is does not say how far it is
            or (actions.state = 'suppressed' and coalesce(actions.why, '') not in ('the ladder has ended', 'the step was done'))
        )
),

ends as (
    select
        ladder_runs.ladder_run_id,
        'superseded' as stopped_by,
        notifications.resolved_at as stopped_at
    from ladder_runs
    inner join notifications on ladder_runs.notification_id = notifications.notification_id
    where notifications.status = 'superseded'
    union all
    -- since when is not kept: as of the newest roster
    select
        ladder_runs.ladder_run_id,
        'not_active' as stopped_by,
        greatest(ladder_runs.started_on, students.as_of_date)::timestamp at time zone parameters.time_zone as stopped_at
    from ladder_runs
    cross join parameters
    left join students on ladder_runs.student_id = students.student_id
    where students.status is distinct from 'active'
    union all
    select
        ladder_runs.ladder_run_id,
        'exempt' as stopped_by,
        greatest(ladder_runs.started_on, exemptions.starts_on)::timestamp at time zone parameters.time_zone as stopped_at
    from ladder_runs
    cross join parameters
    inner join exemptions on ladder_runs.student_id = exemptions.student_id
    where exemptions.ends_on >= ladder_runs.started_on and exemptions.starts_on <= parameters.today
    union all
    select
        ladder_runs.ladder_run_id,
        'answered' as stopped_by,
        contacts.contacted_at as stopped_at
    from ladder_runs
    cross join parameters
    inner join contacts on ladder_runs.student_id = contacts.student_id
    where
        'answered' = any(ladder_runs.stop_when)
        and lower(contacts.outcome) = any(ladder_runs.answered_outcomes)
        and contacts.contacted_at >= ladder_runs.started_on::timestamp at time zone parameters.time_zone
        and contacts.contacted_at <= parameters.as_of
    union all
    select
        ladder_runs.ladder_run_id,
        'active_again' as stopped_by,
        coalesce(seen.first_at, seen.activity_date::timestamp at time zone parameters.time_zone) as stopped_at
    from ladder_runs
    cross join parameters
    cross join lateral (
        select
            daily_activity.activity_date,
            min(daily_activity.first_at) as first_at
        from daily_activity
        where
            daily_activity.student_id = ladder_runs.student_id
            and daily_activity.activity_date between ladder_runs.started_on and parameters.today
            and daily_activity.interactions > 0
            and daily_activity.source_id = any(array(select sources.source_id from sources where sources.is_digital))
        group by daily_activity.activity_date
        order by daily_activity.activity_date
        limit 1
    ) as seen
    where 'active_again' = any(ladder_runs.stop_when)
),

-- the step before the first is done on the eve of the start, and one working day later the first is due
walk (ladder_run_id, step_number, wait_days, due_date, done_at, done_by, contact_id) as (
    select
        ladder_runs.ladder_run_id,
        0 as step_number,
        1 as wait_days,
        null::date as due_date,
        (ladder_runs.started_on - 1)::timestamp at time zone parameters.time_zone as done_at,
        null::text as done_by,
        null::text as contact_id
    from ladder_runs
    cross join parameters
    union all
    select
        steps.ladder_run_id,
        steps.step_number,
        steps.wait_days,
        due.due_date,
        done.done_at,
        done.done_by,
        done.contact_id
    from walk
    cross join parameters
    inner join steps on walk.ladder_run_id = steps.ladder_run_id and walk.step_number + 1 = steps.step_number
    inner join working_days as before
        on
            steps.in_vacations = before.in_vacations
            and before.day = (walk.done_at at time zone parameters.time_zone)::date
    left join lateral (
        select working_days.day as due_date
        from working_days
        where
            working_days.in_vacations = steps.in_vacations
            and working_days.working_days = before.working_days + walk.wait_days
            and working_days.is_working_day
    ) as due on true
    left join lateral (
        select
            ways.done_at,
            ways.done_by,
            ways.contact_id
        from (
            select
                contacts.contacted_at as done_at,
                'contact' as done_by,
                contacts.contact_id
            from contacts
            where
                contacts.student_id = steps.student_id
                and contacts.contacted_at >= due.due_date::timestamp at time zone parameters.time_zone
                and contacts.contacted_at <= parameters.as_of
            union all
            select
                letters.done_at,
                letters.done_by,
                null as contact_id
            from letters
            where letters.ladder_run_id = steps.ladder_run_id and letters.step_number = steps.step_number
        ) as ways
        order by ways.done_at asc, ways.done_by asc, ways.contact_id asc
        limit 1
    ) as done on true
    where walk.done_at is not null
),

-- a step that nobody takes is not waited for for ever: what is done too late does not count
neglected as (
    select
        walk.ladder_run_id,
        'nobody_acted' as stopped_by,
        (walk.due_date + 29)::timestamp at time zone parameters.time_zone as stopped_at
    from walk
    cross join parameters
    where coalesce(walk.done_at, parameters.as_of) > (walk.due_date + 29)::timestamp at time zone parameters.time_zone
),

stops as (
    select distinct on (ladder_run_id)
        ladder_run_id,
        stopped_by,
        stopped_at
    from (select * from ends union all select * from neglected) as every_end
    order by
        ladder_run_id asc,
        stopped_at asc,
        array_position(array['superseded', 'not_active', 'exempt', 'answered', 'active_again', 'nobody_acted'], stopped_by) asc
),

-- what comes after the stop does not count
reached as (
    select
        steps.*,
        stops.stopped_by,
        stops.stopped_at,
        case
            when
                least(walk.done_at, walk.due_date::timestamp at time zone parameters.time_zone)
                <= coalesce(stops.stopped_at, 'infinity')
                then walk.due_date
        end as due_date,
        walk.done_at <= coalesce(stops.stopped_at, 'infinity') as is_done,
        walk.done_at,
        walk.done_by,
        walk.contact_id,
        parameters.today,
        today.is_working_day as is_working_today
    from steps
    cross join parameters
    inner join working_days as today on steps.in_vacations = today.in_vacations and parameters.today = today.day
    left join walk on steps.ladder_run_id = walk.ladder_run_id and steps.step_number = walk.step_number
    left join stops on steps.ladder_run_id = stops.ladder_run_id
),

finished as (
    select
        *,
        bool_or(is_last and is_done) over (partition by ladder_run_id) is true as is_finished
    from reached
),

judged as (
    select
        *,
        case
            when is_done then 'done'
            when stopped_at is not null then 'stopped'
            when due_date <= today then 'due'
            else 'waiting'
        end as status,
        case
            when is_finished then 'finished'
            when stopped_at is not null then 'stopped'
            else 'running'
        end as run_status
    from finished
),

final as (
    select
        student_id,
        ladder_id,
        ladder_run_id::text as ladder_run_id,
        notification_id::text as notification_id,
        started_on,
        step_number,
        step_id,
        title,
        who,
        channel,
        policy,
        due_date,
        case when is_done then done_at end as done_at,
        case when is_done then done_by end as done_by,
        case when is_done then contact_id end as contact_id,
        status,
        status = 'due' and is_working_today as is_due_today,
        status = 'due' and due_date < today as is_overdue,
        run_status,
        case when run_status = 'stopped' then stopped_by end as stopped_by,
        case when run_status = 'stopped' then stopped_at end as stopped_at
    from judged
)

select * from final
{% endmacro %}
