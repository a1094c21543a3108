{{ config(tags=['weekly'], materialized='view') }}

with

revisions as (select * from {{ ref('weekly_score_revision') }}),

parts as (select * from {{ ref('weekly_score_part') }}),

group_sources as (select * from {{ ref('weekly_score_source') }}),

traces as (select * from {{ ref('int_student_trace') }}),

final as (
    select
        revisions.student_id,
        revisions.week_start,
        revisions.revision,
        group_sources.source_id,
        group_sources.category,
        parts.source_id is not null as is_counted,
        case
            when parts.source_id is not null or group_sources.reason <> 'counted' then group_sources.reason
            when group_sources.source_id = any(traces.sources_unused) then 'not_scored'
            else 'no_metric'
        end as reason,
        parts.metric,
        group_sources.metric_mean as group_mean,
        parts.z,
        parts.weight,
        parts.contribution,
        coalesce(parts.is_imputed, false) as is_imputed,
        group_sources.complete_days,
        group_sources.incomplete_days,
        group_sources.weeks_missing
    from revisions
    inner join group_sources
        on
            revisions.week_start = group_sources.week_start
            and revisions.revision = group_sources.revision
            and coalesce(revisions.peer_level, '') = group_sources.peer_level
            and coalesce(revisions.peer_group, '') = group_sources.peer_group
    left join parts
        on
            revisions.student_id = parts.student_id
            and revisions.week_start = parts.week_start
            and revisions.revision = parts.revision
            and group_sources.source_id = parts.source_id
            and {{ is_for_reader('parts.student_id') }}
    left join traces
        on
            revisions.student_id = traces.student_id
            and revisions.week_start = traces.week_start
            and revisions.revision = traces.revision
            and {{ is_for_reader('traces.student_id') }}
    where {{ is_for_reader('revisions.student_id') }}
)

select * from final
