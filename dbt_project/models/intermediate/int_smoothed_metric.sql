with

eligible as (select * from {{ ref('int_eligible_student') }}),

metrics as (select * from {{ ref('int_weekly_metric') }}),

missing_runs as (select * from {{ ref('int_missing_run') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

week_lags as (select * from {{ ref('int_week_lag') }}),

-- exact sums: the order of rows changes no bit
means as (
    select
        week_lags.scored_week as week_start,
        metrics.student_id,
        metrics.source_id,
        (
            sum((week_lags.lag_weight * metrics.metric)::numeric) / sum(week_lags.lag_weight::numeric)
        )::double precision as metric
    from week_lags
    inner join metrics on week_lags.week_start = metrics.week_start
    where week_lags.lag_weight > 0
    group by week_lags.scored_week, metrics.student_id, metrics.source_id
),

final as (
    select
        means.week_start,
        means.student_id,
        means.source_id,
        means.metric,
        source_weeks.is_missing as is_imputed
    from means
    inner join eligible on means.week_start = eligible.week_start and means.student_id = eligible.student_id
    inner join source_weeks on means.week_start = source_weeks.week_start and means.source_id = source_weeks.source_id
    cross join parameters
    left join missing_runs
        on
            source_weeks.is_missing
            and means.week_start = missing_runs.week_start
            and means.source_id = missing_runs.source_id
            and eligible.teaching_programme = missing_runs.teaching_programme
            and eligible.teaching_cohort = missing_runs.teaching_cohort
    where
        source_weeks.is_usable
        or (parameters.missing = 'impute' and missing_runs.weeks_missing <= parameters.max_imputed_weeks)
)

select * from final
