with

sources as (select * from {{ ref('stg_ops__scored_source') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

weeks as (select distinct week_start from teaching_weeks),

complete_days as (
    select
        coverage.source_id,
        date_trunc('week', coverage.day::timestamp)::date as week_start,
        count(*) as complete_days
    from coverage
    inner join sources on coverage.source_id = sources.source_id
    where
        coverage.is_complete
        and coverage.day >= coalesce(sources.enabled_from, '-infinity')
        and coverage.day < coalesce(sources.disabled_from, 'infinity')
    group by coverage.source_id, date_trunc('week', coverage.day::timestamp)::date
),

judged as (
    select
        weeks.week_start,
        sources.source_id,
        sources.record,
        coalesce(complete_days.complete_days, 0) as complete_days,
        weeks.week_start + 6 >= coalesce(sources.enabled_from, '-infinity')
        and weeks.week_start + 6 < coalesce(sources.disabled_from, 'infinity') as is_enabled,
        coalesce(complete_days.complete_days, 0) >= parameters.min_complete_days as has_enough_days
    from weeks
    cross join sources
    cross join parameters
    left join complete_days
        on weeks.week_start = complete_days.week_start and sources.source_id = complete_days.source_id
),

final as (
    select
        week_start,
        source_id,
        record,
        complete_days,
        is_enabled,
        is_enabled and has_enough_days as is_usable,
        is_enabled and not has_enough_days as is_missing
    from judged
)

select * from final
