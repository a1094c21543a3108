with

publications as (select * from {{ ref('int_publication') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

scored_weeks as (select distinct week_start as scored_week from publications),

final as (
    select
        scored_weeks.scored_week,
        lags.position::integer - 1 as lag,
        scored_weeks.scored_week - 7 * (lags.position::integer - 1) as week_start,
        lags.weight as lag_weight
    from scored_weeks
    cross join parameters
    cross join unnest(parameters.week_weights) with ordinality as lags (weight, position)
)

select * from final
