{{ config(tags=['daily']) }}

-- after the days are rebuilt: until then they are touched, and count as not covered
-- depends_on: {{ ref('daily_activity') }}

with

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

touched_days as (select * from {{ source('ops', 'touched_day') }}),

versions as (select * from {{ source('ops', 'day_version') }}),

scored_sources as (select * from {{ ref('stg_ops__scored_source') }}),

-- rows published since daily_activity was built are not in it: such a day waits, for its silence would be false
covered as (
    select
        coverage.source_id,
        coverage.day
    from coverage
    left join touched_days on coverage.source_id = touched_days.source_id and coverage.day = touched_days.day
    where touched_days.source_id is null
),

spans as (
    select
        sources.source_id,
        min(covered.day) as first_day,
        least(
            (min(parameters.as_of) at time zone min(parameters.time_zone))::date,
            coalesce(min(sources.disabled_from), 'infinity')
        ) - 1 as last_day
    from sources
    inner join covered on sources.source_id = covered.source_id
    cross join parameters
    where sources.record in ('activity', 'attendance')
    group by sources.source_id
),

days as (
    select
        spans.source_id,
        days.day::date as day
    from spans
    cross join generate_series(spans.first_day::timestamp, spans.last_day::timestamp, interval '1 day') as days (day)
),

-- the weight of a category is divided among those of its sources that deliver by then and are enabled on the day
weights as (
    select
        days.source_id,
        days.day,
        (
            scored_sources.category_weight * scored_sources.source_weight
            / sum(scored_sources.source_weight::numeric) over (partition by days.day, scored_sources.category)
        )::double precision as weight
    from days
    inner join scored_sources on days.source_id = scored_sources.source_id
    where days.day >= coalesce(scored_sources.enabled_from, '-infinity')
),

final as (
    select
        days.source_id,
        days.day,
        covered.source_id is not null as is_covered,
        weights.weight,
        (count(covered.day) over (of_source rows 6 preceding))::smallint as covered_days_7d,
        (count(covered.day) over (of_source rows 13 preceding))::smallint as covered_days_14d,
        (count(covered.day) over (of_source rows 20 preceding))::smallint as covered_days_21d,
        concat_ws(' ', covered.source_id is not null, coalesce(versions.version, 0)) as state
    from days
    left join covered on days.source_id = covered.source_id and days.day = covered.day
    left join versions on days.source_id = versions.source_id and days.day = versions.day
    left join weights on days.source_id = weights.source_id and days.day = weights.day
    window of_source as (partition by days.source_id order by days.day)
)

select * from final
