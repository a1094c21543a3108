{{ config(tags=['daily']) }}

with

source_days as (select * from {{ ref('int_day_source') }}),

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

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

-- what was known on the day; before the first snapshot, the first. Each found by an index
snapshots as (
    select
        days.day,
        days.source_id,
        coalesce(
            (
                select e.as_of_date
                from enrolments as e
                where e.source_id = days.source_id and e.as_of_date <= days.day
                order by e.as_of_date desc
                limit 1
            ),
            (
                select e.as_of_date
                from enrolments as e
                where e.source_id = days.source_id
                order by e.as_of_date
                limit 1
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
