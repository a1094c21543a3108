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

calibrations as (select * from {{ ref('int_calibration') }}),

composites as (select * from {{ ref('int_peer_composite') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

members as (select * from {{ ref('int_peer_member') }}),

missing_runs as (select * from {{ ref('int_missing_run') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

parts as (select * from {{ ref('weekly_score_part') }}),

publications as (select * from {{ ref('int_publication') }}),

used as (
    select
        parts.student_id,
        parts.week_start,
        parts.revision,
        array_agg(parts.source_id order by parts.source_id collate "C") as sources_used, -- noqa: RF02
        bool_or(parts.is_imputed) as is_imputed
    from parts
    inner join publications on parts.week_start = publications.week_start and parts.revision = publications.revision
    group by parts.student_id, parts.week_start, parts.revision
),

degraded as (
    select distinct
        missing_runs.week_start,
        missing_runs.teaching_programme,
        missing_runs.teaching_cohort
    from missing_runs
    cross join parameters
    where missing_runs.weeks_missing >= parameters.degraded_weeks
),

final as (
    select
        eligible.student_id,
        eligible.week_start,
        publications.revision,
        calibrations.score,
        case
            when members.is_sufficient is not true then 'insufficient_peers'
            when composites.composite is null then 'insufficient_data'
            else 'scored'
        end as status,
        members.peer_level,
        members.peer_group,
        members.peer_n,
        composites.composite,
        coalesce(used.sources_used, '{}') as sources_used,
        array_remove(
            array[
                case when degraded.week_start is not null then 'degraded' end,
                case when used.is_imputed then 'imputed' end,
                case when calibrations.has_no_variation then 'no_variation' end
            ],
            null
        ) as marks,
        parameters.config_version,
        publications.data_as_of,
        publications.published_at,
        publications.reason
    from eligible
    inner join publications on eligible.week_start = publications.week_start
    cross join parameters
    left join members
        on
            eligible.week_start = members.week_start
            and eligible.student_id = members.student_id
            and members.is_own
    left join composites
        on
            eligible.week_start = composites.week_start
            and eligible.student_id = composites.student_id
            and composites.is_own
    left join calibrations
        on
            composites.week_start = calibrations.week_start
            and composites.position = calibrations.position
            and composites.peer_group = calibrations.peer_group
            and composites.composite = calibrations.composite
    left join used
        on
            eligible.student_id = used.student_id
            and publications.week_start = used.week_start
            and publications.revision = used.revision
    left join degraded
        on
            eligible.week_start = degraded.week_start
            and eligible.teaching_programme = degraded.teaching_programme
            and eligible.teaching_cohort = degraded.teaching_cohort
)

select * from final
