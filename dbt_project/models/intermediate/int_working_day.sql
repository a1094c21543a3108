{{ config(tags=['daily'], indexes=[{'columns': ['in_vacations', 'working_days']}, {'columns': ['in_vacations', 'day']}]) }}

with

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

ladder_runs as (select * from {{ source('ops', 'ladder_run') }}),

snapshots as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

newest as (
    select calendar.*
    from calendar
    inner join snapshots on calendar.source_id = snapshots.source_id and calendar.as_of_date = snapshots.as_of_date
),

first_run as (select min(started_on) as started_on from ladder_runs),

last_row as (select max(ends_on) as ends_on from newest),

-- from the day before the first ladder began to a year after all that is known
span as (
    select
        least((parameters.as_of at time zone parameters.time_zone)::date, first_run.started_on) - 1 as first_day,
        greatest((parameters.as_of at time zone parameters.time_zone)::date, last_row.ends_on) + 366 as last_day
    from parameters
    cross join first_run
    cross join last_row
),

days as (
    select
        day.day::date as day,
        kinds.in_vacations
    from span
    cross join generate_series(span.first_day::timestamp, span.last_day::timestamp, interval '1 day') as day (day)
    cross join (values (false), (true)) as kinds (in_vacations)
),

-- only what is free for everybody
judged as (
    select
        days.in_vacations,
        days.day,
        extract(isodow from days.day) < 6
        and not exists (
            select from newest
            where
                days.day between newest.starts_on and newest.ends_on
                and newest.programme_code is null
                and newest.cohort is null
                and (newest.kind = 'closure' or (newest.kind = 'vacation' and not days.in_vacations))
        ) as is_working_day
    from days
),

final as (
    select
        in_vacations,
        day,
        is_working_day,
        (count(*) filter (where is_working_day) over (partition by in_vacations order by day))::integer as working_days
    from judged
)

select * from final
