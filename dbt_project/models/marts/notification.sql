{{ config(tags=['casework'], materialized='view') }}

with

notifications as (select * from {{ source('ops', 'notification') }}),

actions as (select * from {{ source('ops', 'action') }}),

messages as (select * from {{ source('ops', 'outbox') }}),

told as (
    select
        actions.notification_id,
        count(distinct messages.recipient)::integer as delivered
    from actions
    inner join messages on actions.message_id = messages.message_id
    where messages.state = 'sent' and actions.kind in ('notify', 'email_student', 'contact_step')
    group by actions.notification_id
),

final as (
    select
        notifications.notification_id::text as notification_id,
        notifications.student_id,
        notifications.rule_id,
        notifications.rule_version,
        notifications.kind,
        notifications.trigger_date,
        notifications.week_start,
        notifications.noticed_at,
        notifications.raised_at,
        notifications.resolved_at,
        notifications.status,
        notifications.reason,
        notifications.evidence,
        coalesce(told.delivered, 0) as delivered
    from notifications
    left join told on notifications.notification_id = told.notification_id
    where {{ is_for_reader('notifications.student_id') }}
)

select * from final
