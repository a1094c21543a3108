{{ config(tags=['daily']) }}

with

notifications as (select * from {{ source('ops', 'notification') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

recent as (
    select
        notifications.notification_id,
        notifications.student_id,
        (notifications.evidence ->> 'from')::date as from_date,
        (notifications.evidence ->> 'to')::date as to_date
    from notifications
    cross join parameters
    where
        notifications.kind in ('no_digital_activity', 'low_activity')
        and notifications.status in ('held', 'raised')
        and notifications.trigger_date
        >= (parameters.as_of at time zone parameters.time_zone)::date - 2 * parameters.hold_days
),

{{ away_days('select min(from_date) from recent', 'select max(to_date) from recent') }},

final as (
    select notification_id
    from recent
    where exists (
        select from away_days
        where away_days.student_id = recent.student_id and away_days.day between recent.from_date and recent.to_date
    )
)

select * from final
