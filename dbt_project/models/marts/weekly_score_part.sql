{{
    config(
        tags=['weekly'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['student_id', 'week_start']}, {'columns': ['week_start']}],
        pre_hook="{{ delete_pending_weeks('week_start, revision') }}",
    )
}}

with

composites as (select * from {{ ref('int_peer_composite') }}),

parts as (select * from {{ ref('int_peer_part') }}),

publications as (select * from {{ ref('int_publication') }}),

final as (
    select
        parts.student_id,
        parts.week_start,
        publications.revision,
        parts.source_id,
        parts.category,
        parts.metric,
        parts.z,
        parts.weight / composites.weight_left as weight,
        parts.weight / composites.weight_left * parts.z as contribution,
        parts.is_imputed
    from parts
    inner join composites
        on
            parts.week_start = composites.week_start
            and parts.position = composites.position
            and parts.peer_group = composites.peer_group
            and parts.student_id = composites.student_id
    inner join publications on parts.week_start = publications.week_start
    where parts.is_own and parts.is_counted
)

select * from final
