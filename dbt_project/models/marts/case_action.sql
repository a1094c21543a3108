{{ config(tags=['casework']) }}

with

case_actions as (select * from {{ source('ops', 'case_action') }}),

actions as (select * from {{ source('ops', 'action') }}),

messages as (select * from {{ source('ops', 'outbox') }}),

cases as (select * from {{ ref('int_case') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

asked as (
    select
        case_actions.*,
        actions.notification_id,
        actions.rule_id,
        messages.state,
        messages.attempts,
        messages.sent_at,
        messages.error,
        messages.payload ->> 'type' = 'case.withdraw' as is_withdrawal,
        coalesce(messages.reply ->> 'case_id', case_actions.case_id) as known_case_id
    from case_actions
    inner join actions on case_actions.action_id = actions.action_id
    inner join messages on case_actions.message_id = messages.message_id
),

-- what the CRM answered to one of them holds for all of the same key
keyed as (
    select
        case_key,
        student_id,
        min(created_at) as first_created_at,
        max(known_case_id) as case_id
    from asked
    group by case_key, student_id
),

-- else the first case that the lists show as opened after we had asked; a list of days knows no hour
found as (
    select distinct on (keyed.case_key)
        keyed.case_key,
        cases.case_id
    from keyed
    cross join parameters
    inner join cases
        on
            keyed.student_id = cases.student_id
            and (
                keyed.first_created_at <= cases.opened_at
                or (
                    cases.opened_at
                    = date_trunc('day', keyed.first_created_at at time zone parameters.time_zone)
                    at time zone parameters.time_zone
                    and coalesce(cases.closed_at, 'infinity') >= keyed.first_created_at
                )
            )
    where keyed.case_id is null
    order by keyed.case_key asc, cases.opened_at asc, cases.case_id asc
),

final as (
    select
        asked.case_action_id::text as case_action_id,
        asked.action_id::text as action_id,
        asked.notification_id::text as notification_id,
        asked.rule_id,
        asked.student_id,
        asked.case_kind,
        asked.action,
        asked.is_withdrawal,
        coalesce(asked.known_case_id, keyed.case_id, found.case_id) as case_id,
        asked.case_key::text as case_key,
        asked.created_at,
        asked.state,
        asked.attempts,
        asked.sent_at,
        asked.error
    from asked
    inner join keyed on asked.case_key = keyed.case_key and asked.student_id = keyed.student_id
    left join found on asked.case_key = found.case_key
)

select * from final
