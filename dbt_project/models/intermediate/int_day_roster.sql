{{ config(tags=['daily']) }}

with

source_days as (select * from {{ ref('int_day_source') }}),

-- the table itself: through a view with steps of its own the newest is not found by the index, all history is read
enrolments as not materialized (select * from {{ source('raw', 'enrolments') }}),

sources as (select * from {{ source('ops', 'source') }}),

versions as (select * from {{ source('ops', 'day_version') }}),

days as (
    select
        days.day::date as day,
        sources.source_id
    from (
        select
            min(day) as first_day,
            max(day) as last_day
        from source_days
    ) as span
    cross join generate_series(span.first_day::timestamp, span.last_day::timestamp, interval '1 day') as days (day)
    cross join sources
    where sources.record = 'enrolments'
),

-- what was known on the day; before the first snapshot, the first
snapshots as (
    select
        days.day,
        days.source_id,
        coalesce(
            (
                select max(e.as_of_date)
                from enrolments as e
                where e.source_id = days.source_id and e.as_of_date <= days.day
            ),
            (
                select min(e.as_of_date)
                from enrolments as e
                where e.source_id = days.source_id
            )
        ) as as_of_date
    from days
),

final as (
    select
        snapshots.day,
        snapshots.source_id,
        snapshots.as_of_date,
        concat_ws(' ', snapshots.source_id, snapshots.as_of_date, coalesce(versions.version, 0)) as state
    from snapshots
    left join versions on snapshots.source_id = versions.source_id and snapshots.as_of_date = versions.day
    where snapshots.as_of_date is not null
)

select * from final
