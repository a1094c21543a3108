{{
    config(
        tags=['weekly'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['week_start', 'student_id']}],
        pre_hook="{{ delete_pending_weeks('week_start, revision') }}",
        post_hook="analyze {{ this }}",
    )
}}

with

composites as (select * from {{ ref('int_peer_composite') }}),

metrics as (select * from {{ ref('int_smoothed_metric') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_sources as (select * from {{ ref('int_peer_source') }}),

publications as (select * from {{ ref('int_publication') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

counted as (
    select
        peer_sources.*,
        publications.revision,
        source_weeks.is_missing as is_imputed
    from peer_sources
    inner join publications on peer_sources.week_start = publications.week_start
    inner join source_weeks
        on peer_sources.week_start = source_weeks.week_start and peer_sources.source_id = source_weeks.source_id
    where peer_sources.is_counted and peer_sources.peer_set = 'published'
),

parts as (
    select
        composites.student_id,
        composites.week_start,
        counted.revision,
        counted.source_id,
        counted.category,
        counted.metric_mean,
        counted.metric_sd,
        counted.weight / composites.weight_left as weight,
        counted.is_imputed,
        {{ of_slot('counted.slot', 'metrics.metric') }} / {{ metric_unit() }} as metric
    from composites
    inner join metrics on composites.week_start = metrics.week_start and composites.student_id = metrics.student_id
    inner join counted on composites.group_id = counted.group_id and metrics.chunk = counted.chunk
    where composites.is_own
),

standardised as (
    select
        parts.*,
        greatest(-parameters.max_z, least(parameters.max_z, (parts.metric - parts.metric_mean) / parts.metric_sd)) as z
    from parts
    cross join parameters
    where parts.metric is not null
),

final as (
    select
        student_id,
        week_start,
        revision,
        source_id,
        category,
        metric,
        z,
        weight,
        weight * z as contribution,
        is_imputed
    from standardised
)

-- in the order of the index, whose pages are then met once
select * from final
order by week_start, student_id
