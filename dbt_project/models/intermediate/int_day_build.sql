{{ config(tags=['daily']) }}

-- Compared with what each day was built from, so a run that was killed, a late file and coverage without rows heal alike.

with

source_days as (select * from {{ ref('int_day_source') }}),

rosters as (select * from {{ ref('int_day_roster') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

built as (
    select *
    from {{ source('ops', 'built_day') }}
    where mart in ('activity_windows', 'int_day_engagement', 'daily_rating')
),

roster_days as (
    select
        day,
        string_agg(state, ', ' order by source_id) as state
    from rosters
    group by day
),

engagement_days as (
    select
        day,
        md5(string_agg(concat_ws(' ', source_id, state, weight), ', ' order by source_id)) as state
    from source_days
    group by day
),

levels as (
    select string_agg(concat_ws(' ', position, peer_level, attributes), ', ' order by position) as levels
    from peer_levels
    where peer_set = 'published'
),

rules as (
    select
        greatest(parameters.full_time_days, parameters.part_time_days) as longest,
        concat_ws(
            ' ', parameters.full_time_days, parameters.part_time_days, parameters.part_time_modes,
            parameters.rating_cuts, parameters.min_group_size, levels.levels
        ) as state
    from parameters
    cross join levels
),

rating_days as (
    select
        roster_days.day,
        md5(concat_ws(
            '; ', min(roster_days.state), min(rules.state),
            string_agg(concat_ws(' ', engagement_days.day, engagement_days.state), ', ' order by engagement_days.day)
        )) as state
    from roster_days
    cross join rules
    inner join engagement_days
        on roster_days.day >= engagement_days.day and roster_days.day < engagement_days.day + rules.longest
    group by roster_days.day
),

wanted as (
    select
        'activity_windows' as mart,
        source_id,
        day,
        state
    from source_days
    union all
    select
        'activity_windows' as mart,
        '' as source_id,
        day,
        state
    from roster_days
    union all
    select
        'int_day_engagement' as mart,
        '' as source_id,
        day,
        state
    from engagement_days
    union all
    select
        'daily_rating' as mart,
        '' as source_id,
        day,
        state
    from rating_days
),

compared as (
    select
        wanted.state,
        coalesce(wanted.mart, built.mart) as mart,
        coalesce(wanted.source_id, built.source_id) as source_id,
        coalesce(wanted.day, built.day) as day,
        (wanted.state is distinct from built.state) as is_changed
    from wanted
    full outer join built
        on wanted.mart = built.mart and wanted.source_id = built.source_id and wanted.day = built.day
    where coalesce(wanted.day, built.day) >= {{ settled_before() }}
),

-- days since the last activity run on until the next one, so windows are built anew from the first changed day on
changed_from as (
    select
        source_id,
        min(day) as day
    from compared
    where is_changed and mart = 'activity_windows'
    group by source_id
),

final as (
    select
        compared.mart,
        compared.source_id,
        compared.day,
        compared.state
    from compared
    left join changed_from on compared.source_id = changed_from.source_id
    left join changed_from as roster_changed_from on roster_changed_from.source_id = ''
    where
        compared.is_changed
        or (
            compared.mart = 'activity_windows'
            and compared.source_id <> ''
            and compared.day >= least(changed_from.day, roster_changed_from.day)
        )
)

select * from final
