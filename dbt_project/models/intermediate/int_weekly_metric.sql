with

daily_activity as (select * from {{ ref('daily_activity') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

weeks as (select distinct week_start from eligible),

weekly_activity as (
    select
        weeks.week_start,
        daily_activity.student_id,
        daily_activity.source_id,
        sum(daily_activity.interactions)::double precision as interactions,
        sum(daily_activity.expected)::double precision as expected,
        sum(daily_activity.attended)::double precision as attended
    from weeks
    inner join daily_activity
        on
            weeks.week_start <= daily_activity.activity_date
            and weeks.week_start + 7 > daily_activity.activity_date
    group by weeks.week_start, daily_activity.student_id, daily_activity.source_id
),

-- no row of a usable week is zero activity; no row of a register is nothing expected
metrics as (
    select
        eligible.week_start,
        eligible.student_id,
        source_weeks.source_id,
        case
            when source_weeks.record = 'attendance'
                then (weekly_activity.attended + 0.5) / (nullif(weekly_activity.expected, 0) + 1)
            else ln(1 + coalesce(weekly_activity.interactions, 0))
        end as metric
    from eligible
    inner join source_weeks on eligible.week_start = source_weeks.week_start and source_weeks.is_usable
    left join weekly_activity
        on
            eligible.week_start = weekly_activity.week_start
            and eligible.student_id = weekly_activity.student_id
            and source_weeks.source_id = weekly_activity.source_id
),

final as (
    select *
    from metrics
    where metric is not null
)

select * from final
