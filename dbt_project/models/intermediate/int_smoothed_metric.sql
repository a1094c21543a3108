with

eligible as (select * from {{ ref('int_eligible_student') }}),

metrics as (select * from {{ ref('int_weekly_metric') }}),

missing_runs as (select * from {{ ref('int_missing_run') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

week_lags as (select * from {{ ref('int_week_lag') }}),

-- whole numbers below 2^53: their sums are exact, the order of rows changes no bit
lags as (
    select
        scored_week,
        week_start,
        lag_weight / max(lag_weight) over () as lag_weight,
        round(lag_weight / max(lag_weight) over () * 2 ^ 48) as lag_units
    from week_lags
    where lag_weight > 0
),

totals as (
    select
        lags.scored_week as week_start,
        metrics.student_id,
        {% for k in slots() %}
            sum(round(lags.lag_weight * metrics.metric_{{ k }} * 2 ^ 20)) as total_{{ k }},
            sum(lags.lag_units) filter (where metrics.metric_{{ k }} is not null) as units_{{ k }},
        {% endfor %}
        metrics.chunk
    from lags
    inner join metrics on lags.week_start = metrics.week_start
    group by lags.scored_week, metrics.student_id, metrics.chunk
),

studies as (
    select distinct
        week_start,
        teaching_programme,
        teaching_cohort
    from eligible
),

-- which sources may be used in the week itself, and whose earlier weeks stand in for one that is missing
allowed as (
    select
        studies.week_start,
        studies.teaching_programme,
        studies.teaching_cohort,
        {% for k in slots() %}
            coalesce(bool_or(sources.slot = {{ k }}), false) as is_allowed_{{ k }},
        {% endfor %}
        sources.chunk
    from studies
    inner join source_weeks on studies.week_start = source_weeks.week_start
    inner join sources on source_weeks.source_id = sources.source_id
    cross join parameters
    left join missing_runs
        on
            source_weeks.is_missing
            and source_weeks.week_start = missing_runs.week_start
            and source_weeks.source_id = missing_runs.source_id
            and studies.teaching_programme = missing_runs.teaching_programme
            and studies.teaching_cohort = missing_runs.teaching_cohort
    where
        source_weeks.is_usable
        or (parameters.missing = 'impute' and missing_runs.weeks_missing <= parameters.max_imputed_weeks)
    group by studies.week_start, studies.teaching_programme, studies.teaching_cohort, sources.chunk
),

-- each with their own study first: else every student meets what is allowed to all studies of the week
studied as materialized (
    select
        totals.*,
        eligible.profile_id,
        eligible.teaching_programme,
        eligible.teaching_cohort
    from totals
    inner join eligible on totals.week_start = eligible.week_start and totals.student_id = eligible.student_id
),

final as (
    select
        studied.week_start,
        studied.student_id,
        studied.profile_id,
        {% for k in slots() %}
            case
                when allowed.is_allowed_{{ k }} then studied.total_{{ k }} / studied.units_{{ k }} * 2 ^ 28
            end::integer as metric_{{ k }},
        {% endfor %}
        studied.chunk
    from studied
    inner join allowed
        on
            studied.week_start = allowed.week_start
            and studied.chunk = allowed.chunk
            and studied.teaching_programme = allowed.teaching_programme
            and studied.teaching_cohort = allowed.teaching_cohort
)

select * from final
