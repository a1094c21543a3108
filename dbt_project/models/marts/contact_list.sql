{{
    config(
        tags=['casework'],
        indexes=[{'columns': ['student_id']}],
        pre_hook="set local enable_nestloop = off",
        post_hook="analyze {{ this }}",
    )
}}

with

trends as not materialized (select * from {{ ref('score_trend') }}),

students as (select * from {{ ref('student') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

cases as (select * from {{ ref('int_case') }}),

contacts as (select * from {{ ref('int_contact') }}),

ladder_steps as (select * from {{ ref('int_ladder_step') }}),

notifications as (select * from {{ source('ops', 'notification') }}),

case_actions as (select * from {{ source('ops', 'case_action') }}),

messages as (select * from {{ source('ops', 'outbox') }}),

parameters as (
    select
        *,
        (as_of at time zone time_zone)::date as today
    from {{ source('ops', 'scoring_parameter') }}
),

-- found by the index, however long the history is
low as materialized (
    select trends.*
    from trends
    cross join parameters
    where trends.week_start = (select max(t.week_start) from trends as t) and trends.score < parameters.attention_below
),

open_cases as (
    select cases.student_id
    from cases
    cross join parameters
    where cases.opened_at <= parameters.as_of and coalesce(cases.closed_at > parameters.as_of, true)
    union
    -- the CRM was asked for one, and no list shows it yet
    select case_actions.student_id
    from case_actions
    inner join messages on case_actions.message_id = messages.message_id
    cross join parameters
    where
        case_actions.action = 'open'
        and messages.state in ('pending', 'sent')
        and case_actions.created_at > parameters.as_of - interval '30 days'
        and not exists (
            select from cases
            where cases.student_id = case_actions.student_id and cases.opened_at >= case_actions.created_at
        )
),

on_ladders as (
    select distinct student_id
    from ladder_steps
    where run_status = 'running'
),

last_contacts as (
    select
        contacts.student_id,
        min(parameters.today) - max((contacts.contacted_at at time zone parameters.time_zone)::date) as days_since_contact
    from contacts
    cross join parameters
    where contacts.contacted_at <= parameters.as_of
    group by contacts.student_id
),

exempt as (
    select distinct exemptions.student_id
    from exemptions
    cross join parameters
    where parameters.today between exemptions.starts_on and exemptions.ends_on
),

raised as (
    select
        student_id,
        max(trigger_date) as last_notification_date
    from notifications
    where status = 'raised'
    group by student_id
),

-- the newest of the last 14 days, with the days that it rests on and those of silence before them
silent as (
    select distinct on (notifications.student_id)
        notifications.student_id,
        (notifications.evidence ->> 'to')::date as silent_until,
        (notifications.evidence ->> 'to')::date - (notifications.evidence ->> 'silent_days')::integer + 1 as silent_from
    from notifications
    cross join parameters
    where
        notifications.kind = 'no_digital_activity'
        and notifications.status = 'raised'
        and notifications.trigger_date between parameters.today - 14 and parameters.today
    order by notifications.student_id asc, notifications.trigger_date desc
),

listed as (
    select
        low.student_id,
        low.week_start,
        low.score,
        low.change_4w,
        low.attendance_4w,
        low.weeks_below_350,
        low.weeks_below_300,
        low.declining,
        low.consistently_low,
        low.config_version,
        students.programme_code,
        students.faculty_code,
        students.tutor_id,
        last_contacts.days_since_contact,
        raised.last_notification_date,
        silent.silent_from,
        silent.silent_until,
        on_ladders.student_id is not null as is_on_ladder,
        parameters.attention_below,
        parameters.concern_below,
        case
            when low.score < parameters.concern_below and silent.student_id is not null then 1
            when low.score < parameters.concern_below then 2
            when low.consistently_low then 3
            when low.declining then 4
            else 5
        end as gravity
    from low
    cross join parameters
    inner join students on low.student_id = students.student_id
    left join open_cases on low.student_id = open_cases.student_id
    left join exempt on low.student_id = exempt.student_id
    left join last_contacts on low.student_id = last_contacts.student_id
    left join raised on low.student_id = raised.student_id
    left join silent on low.student_id = silent.student_id
    left join on_ladders on low.student_id = on_ladders.student_id
    where
        students.status = 'active'
        and not low.cohort_event
        and open_cases.student_id is null
        and exempt.student_id is null
        and coalesce(last_contacts.days_since_contact > parameters.contact_pause_days, true)
),

final as (
    select
        student_id,
        (row_number() over (
            order by gravity asc, days_since_contact desc nulls first, score asc, student_id asc
        ))::integer as priority,
        concat_ws(
            '; ',
            'score ' || score || ', below ' || case
                when weeks_below_300 > 1 then concern_below || ' for ' || weeks_below_300 || ' weeks'
                when weeks_below_300 = 1 then concern_below::text
                when weeks_below_350 > 1 then attention_below || ' for ' || weeks_below_350 || ' weeks'
                else attention_below::text
            end,
            case
                when change_4w < 0 then 'fell ' || -change_4w || ' in four weeks'
                when change_4w > 0 then 'rose ' || change_4w || ' in four weeks'
            end,
            'attendance ' || round(attendance_4w) || ' %',
            'no digital activity from ' || case
                when date_trunc('month', silent_from) = date_trunc('month', silent_until) then to_char(silent_from, 'FMDD')
                else to_char(silent_from, 'FMDD FMMonth')
            end || ' to ' || to_char(silent_until, 'FMDD FMMonth'),
            case days_since_contact
                when 1 then 'last contact yesterday'
                when 0 then 'last contact today'
                else coalesce('last contact ' || days_since_contact || ' days ago', 'no contact on record')
            end,
            case when is_on_ladder then 'a ladder of contacts is under way' end
        ) as why,
        week_start,
        score,
        change_4w,
        attendance_4w,
        weeks_below_350,
        weeks_below_300,
        declining,
        consistently_low,
        days_since_contact,
        false as has_open_case,
        last_notification_date,
        programme_code,
        faculty_code,
        tutor_id,
        config_version
    from listed
)

select * from final
