{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='append',
        unlogged=false,
        full_refresh=false,
        indexes=[{'columns': ['day']}],
        pre_hook="{{ delete_days_to_build('day') }}",
        post_hook="{{ remember_days_built() }}",
    )
}}

with

build as (select * from {{ ref('int_day_build') }}),

source_days as (select * from {{ ref('int_day_source') }}),

daily_activity as (select * from {{ ref('daily_activity') }}),

days as (
    select day
    from build
    where mart = 'int_day_engagement' and state is not null
),

-- whole billionths, whose sums are exact in any order; 0 for whom only sources that do not count have seen
final as (
    select
        days.day,
        totals.student_id,
        coalesce(totals.engagement, 0)::bigint as engagement
    from days
    cross join lateral (
        select
            daily_activity.student_id,
            sum(round(source_days.weight * ln(1 + daily_activity.interactions::double precision) * 1e9)) as engagement
        from daily_activity
        inner join source_days
            on daily_activity.source_id = source_days.source_id and daily_activity.activity_date = source_days.day
        where daily_activity.activity_date = days.day
        group by daily_activity.student_id
        having sum(daily_activity.interactions) > 0
    ) as totals
)

select * from final
