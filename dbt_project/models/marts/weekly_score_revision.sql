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

calibrations as (select * from {{ ref('int_calibration') }}),

composites as (select * from {{ ref('int_peer_composite') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

missing_runs as (select * from {{ ref('int_missing_run') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

parts as (select * from {{ ref('weekly_score_part') }}),

peer_groups as (select * from {{ ref('int_peer_group') }}),

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
            when peer_groups.is_sufficient is not true then 'insufficient_peers'
            when composites.composite is null then 'insufficient_data'
            else 'scored'
        end as status,
        peer_groups.peer_level,
        peer_groups.peer_group,
        peer_groups.peer_n,
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
    left join peer_groups
        on
            eligible.week_start = peer_groups.week_start
            and eligible.profile_id = peer_groups.profile_id
            and peer_groups.is_own
            and peer_groups.peer_set = 'published'
    left join composites
        on
            eligible.week_start = composites.week_start
            and eligible.student_id = composites.student_id
            and peer_groups.group_id = composites.group_id
    left join calibrations
        on composites.group_id = calibrations.group_id and composites.composite = calibrations.composite
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
