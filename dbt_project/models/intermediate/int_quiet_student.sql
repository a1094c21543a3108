{{ config(tags=['daily'], pre_hook="set local enable_nestloop = off") }}

with

days as (select * from {{ ref('int_inactivity_day') }}),

windows as not materialized (select * from {{ ref('activity_windows') }}),

daily_activity as not materialized (select * from {{ ref('daily_activity') }}),

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

witnesses as materialized (
    select
        source_id,
        is_digital,
        disabled_from
    from sources
    where record in ('activity', 'attendance') and (is_digital or category = 'attendance')
),

sums as (
    select
        windows.student_id,
        windows.activity_date as day,
        windows.activity_date - min(windows.days_since_last) filter (where witnesses.is_digital) as last_date,
        sum(windows.interactions_14d) as low_14d,
        sum(windows.interactions_21d) as low_21d
    from windows
    inner join witnesses on windows.source_id = witnesses.source_id
    where windows.activity_date = any(array(select days.day from days))
    group by windows.student_id, windows.activity_date
),

quiet as materialized (
    select
        sums.student_id,
        sums.day,
        sums.last_date,
        case when parameters.low_activity_days = 21 then sums.low_21d else sums.low_14d end as interactions
    from sums
    cross join parameters
    where
        coalesce(sums.day - sums.last_date >= parameters.silent_days, true)
        or case when parameters.low_activity_days = 21 then sums.low_21d else sums.low_14d end
        <= parameters.low_activity_at_most
),

-- a source that is disabled by then has no windows: what it said is looked up, by the index, and where none is nothing is read
disabled as materialized (
    select
        quiet.student_id,
        quiet.day,
        max(said.last_date) filter (where witnesses.is_digital) as last_date,
        sum(said.interactions) as interactions
    from witnesses
    inner join quiet on witnesses.disabled_from <= quiet.day
    cross join parameters
    cross join
        lateral (
            select
                max(daily_activity.activity_date) as last_date,
                sum(daily_activity.interactions) filter (
                    where daily_activity.activity_date > quiet.day - parameters.low_activity_days
                ) as interactions
            from daily_activity
            where
                daily_activity.student_id = quiet.student_id
                and daily_activity.activity_date <= quiet.day
                and daily_activity.source_id = witnesses.source_id
                and daily_activity.interactions > 0
            offset 0 -- noqa: AM09
        ) as said
    group by quiet.student_id, quiet.day
),

final as (
    select
        quiet.student_id,
        quiet.day,
        greatest(quiet.last_date, disabled.last_date) as last_date,
        quiet.interactions + coalesce(disabled.interactions, 0) as interactions
    from quiet
    left join disabled on quiet.student_id = disabled.student_id and quiet.day = disabled.day
)

select * from final
