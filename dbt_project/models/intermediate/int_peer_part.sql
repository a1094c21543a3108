with

members as (select * from {{ ref('int_peer_member') }}),

metrics as (select * from {{ ref('int_smoothed_metric') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_sources as (select * from {{ ref('int_peer_source') }}),

final as (
    select
        members.week_start,
        members.position,
        members.peer_group,
        members.student_id,
        members.is_own,
        peer_sources.source_id,
        peer_sources.category,
        peer_sources.is_counted,
        peer_sources.weight,
        metrics.metric,
        metrics.is_imputed,
        case
            when peer_sources.is_counted
                then greatest(
                    -parameters.max_z,
                    least(parameters.max_z, (metrics.metric - peer_sources.metric_mean) / peer_sources.metric_sd)
                )
            else 0
        end as z
    from members
    inner join peer_sources
        on
            members.week_start = peer_sources.week_start
            and members.position = peer_sources.position
            and members.peer_group = peer_sources.peer_group
    inner join metrics
        on
            members.week_start = metrics.week_start
            and members.student_id = metrics.student_id
            and peer_sources.source_id = metrics.source_id
    cross join parameters
)

select * from final
