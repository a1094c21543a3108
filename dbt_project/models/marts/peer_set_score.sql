{{
    config(
        tags=['weekly'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['week_start', 'student_id']}],
        pre_hook="{{ delete_pending_weeks('week_start') }}",
    )
}}

with

calibrations as (select * from {{ ref('int_calibration') }}),

composites as (select * from {{ ref('int_peer_composite') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_groups as (select * from {{ ref('int_peer_group') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

publications as (select * from {{ ref('int_publication') }}),

current_publication as (
    select distinct on (week_start) *
    from publications
    order by week_start asc, revision desc
),

peer_sets as (
    select distinct peer_set
    from peer_levels
    where peer_set <> 'published'
),

final as (
    select
        eligible.student_id,
        eligible.week_start,
        peer_sets.peer_set,
        peer_groups.peer_level,
        peer_groups.peer_group,
        peer_groups.peer_n,
        calibrations.score,
        case
            when peer_groups.is_sufficient is not true then 'insufficient_peers'
            when composites.composite is null then 'insufficient_data'
            else 'scored'
        end as status,
        composites.composite,
        parameters.config_version,
        current_publication.revision,
        current_publication.published_at
    from peer_sets
    cross join parameters
    cross join current_publication
    inner join eligible on current_publication.week_start = eligible.week_start
    left join peer_groups
        on
            eligible.week_start = peer_groups.week_start
            and eligible.profile_id = peer_groups.profile_id
            and peer_sets.peer_set = peer_groups.peer_set
            and peer_groups.is_own
    left join composites
        on
            eligible.week_start = composites.week_start
            and eligible.student_id = composites.student_id
            and peer_groups.group_id = composites.group_id
    left join calibrations
        on composites.group_id = calibrations.group_id and composites.composite = calibrations.composite
)

select * from final
