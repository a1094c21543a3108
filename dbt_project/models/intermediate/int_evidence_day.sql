{{ config(tags=['daily']) }}

-- after the days are rebuilt: rows published since then are not in daily_activity, and their day tells nothing yet
-- depends_on: {{ ref('daily_activity') }}

with

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

touched_days as (
    select distinct
        source_id,
        day
    from {{ source('ops', 'touched_day') }}
),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

-- read once, for it is a view of many steps
covered as materialized (
    select
        source_id,
        day,
        is_complete
    from coverage
),

newest_calendar as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

-- what holds for everybody: a feed may be silent on such days by declaration
kinds_of_day as (
    select
        calendar.kind,
        calendar.starts_on,
        calendar.ends_on
    from calendar
    inner join newest_calendar
        on calendar.source_id = newest_calendar.source_id and calendar.as_of_date = newest_calendar.as_of_date
    where calendar.programme_code is null and calendar.cohort is null
),

first_days as (
    select
        source_id,
        min(day) as day
    from covered
    group by source_id
),

-- what is evidence of a student's silence; one that has never delivered anything keeps every day incomplete
witnesses as (
    select
        sources.source_id,
        sources.is_digital,
        sources.disabled_from,
        string_to_array(sources.quiet_weekdays, ',') as quiet_weekdays,
        string_to_array(sources.quiet_in, ',') as quiet_in,
        coalesce(sources.enabled_from, first_days.day, '-infinity') as enabled_from
    from sources
    left join first_days on sources.source_id = first_days.source_id
    where sources.record in ('activity', 'attendance') and (sources.is_digital or sources.category = 'attendance')
),

span as (
    select
        min(first_days.day) as first_day,
        (min(parameters.as_of) at time zone min(parameters.time_zone))::date - 1 as last_day
    from witnesses
    inner join first_days on witnesses.source_id = first_days.source_id
    cross join parameters
    where witnesses.is_digital
),

days as (
    select days.day::date as day
    from span
    cross join generate_series(span.first_day::timestamp, span.last_day::timestamp, interval '1 day') as days (day)
),

final as (
    select
        days.day,
        witnesses.source_id,
        witnesses.is_digital,
        -- what is quiet by declaration and came all the same is no less complete
        coalesce(covered.is_complete and touched_days.source_id is null, false)
        or (
            covered.source_id is null
            and (
                to_char(days.day, 'Dy') = any(witnesses.quiet_weekdays)
                or exists (
                    select from kinds_of_day
                    where
                        days.day between kinds_of_day.starts_on and kinds_of_day.ends_on
                        and (kinds_of_day.kind = 'closure' or kinds_of_day.kind = any(witnesses.quiet_in))
                )
            )
        ) as is_complete
    from days
    inner join witnesses
        on days.day >= witnesses.enabled_from and days.day < coalesce(witnesses.disabled_from, 'infinity')
    left join covered on witnesses.source_id = covered.source_id and days.day = covered.day
    left join touched_days
        on witnesses.source_id = touched_days.source_id and days.day = touched_days.day
)

select * from final
