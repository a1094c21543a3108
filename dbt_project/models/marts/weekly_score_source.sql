{{
    config(
        tags=['weekly'],
        materialized='incremental',
        incremental_strategy='append',
        grants={'select': ['engage_bi']},
        full_refresh=false,
        indexes=[{'columns': ['week_start']}],
        pre_hook=["{{ delete_pending_weeks('week_start, revision') }}", "set local enable_nestloop = off"],
        post_hook="analyze {{ this }}",
    )
}}

with

publications as (select * from {{ ref('int_publication') }}),

revisions as (select * from {{ ref('weekly_score_revision') }}),

daily_activity as (select * from {{ ref('daily_activity') }}),

peer_sources as (select * from {{ ref('int_peer_source') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

missing_runs as (select * from {{ ref('int_missing_run') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

sources as (select * from {{ source('ops', 'source') }}),

scores as (
    select
        revisions.student_id,
        revisions.week_start,
        revisions.revision,
        coalesce(revisions.peer_level, '') as peer_level,
        coalesce(revisions.peer_group, '') as peer_group,
        revisions.status
    from publications
    inner join revisions on publications.week_start = revisions.week_start and publications.revision = revisions.revision
    where revisions.week_start = any((select array_agg(p.week_start) from publications as p)::date[])
),

-- numbered: the many rows below are grouped by one integer
peer_groups as (
    select
        row_number() over (order by week_start, revision, peer_level, peer_group)::integer as peer_group_number,
        week_start,
        revision,
        peer_level,
        peer_group,
        count(*)::integer as students,
        bool_and(status = 'insufficient_peers') as is_too_small
    from scores
    group by week_start, revision, peer_level, peer_group
),

-- made once and before the many rows are met: else each of them is compared by the group's names
members as materialized (
    select
        scores.student_id,
        scores.week_start,
        peer_groups.peer_group_number
    from scores
    inner join peer_groups
        on
            scores.week_start = peer_groups.week_start
            and scores.revision = peer_groups.revision
            and scores.peer_level = peer_groups.peer_level
            and scores.peer_group = peer_groups.peer_group
),

-- read by their index, and met by equality: by a range of days every student would look for their own
days as (
    select array_agg(distinct publications.week_start + days.day) as days
    from publications
    cross join generate_series(0, 6) as days (day)
),

group_activity as (
    select
        members.peer_group_number,
        daily_activity.source_id,
        sum(daily_activity.interactions)::bigint as interactions
    from daily_activity
    inner join members
        on
            daily_activity.student_id = members.student_id
            and {{ monday('daily_activity.activity_date') }} = members.week_start
    where daily_activity.activity_date = any((select days.days from days)::date[])
    group by members.peer_group_number, daily_activity.source_id
),

-- whatever could feed a score, also if it weighs nothing
week_sources as (
    select
        publications.week_start,
        publications.revision,
        sources.source_id,
        sources.category,
        sources.enabled_from,
        sources.disabled_from,
        publications.week_start + 6 >= coalesce(sources.enabled_from, '-infinity')
        and publications.week_start + 6 < coalesce(sources.disabled_from, 'infinity') as is_enabled
    from publications
    cross join sources
    where sources.record in ('activity', 'attendance') and sources.category is not null
),

incomplete as (
    select
        week_sources.week_start,
        week_sources.revision,
        week_sources.source_id,
        array_agg(week_sources.week_start + days.day order by days.day) as incomplete_days
    from week_sources
    cross join generate_series(0, 6) as days (day)
    left join coverage
        on
            week_sources.source_id = coverage.source_id
            and week_sources.week_start + days.day = coverage.day
            and coverage.is_complete
            and coverage.day >= coalesce(week_sources.enabled_from, '-infinity')
            and coverage.day < coalesce(week_sources.disabled_from, 'infinity')
    where coverage.source_id is null
    group by week_sources.week_start, week_sources.revision, week_sources.source_id
),

longest_missing as (
    select
        week_start,
        source_id,
        max(weeks_missing) as weeks_missing
    from missing_runs
    group by week_start, source_id
),

final as (
    select
        peer_groups.week_start,
        peer_groups.revision,
        peer_groups.peer_level,
        peer_groups.peer_group,
        week_sources.source_id,
        week_sources.category,
        case
            when not week_sources.is_enabled then 'not_enabled'
            when source_weeks.source_id is null then 'no_weight'
            when peer_groups.is_too_small then 'no_peers'
            when peer_sources.is_counted then 'counted'
            when source_weeks.is_missing then 'missing'
            when peer_sources.metric_mean is null then 'no_data'
            else 'no_variation'
        end as reason,
        coalesce(peer_sources.is_counted, false) as is_counted,
        coalesce(peer_sources.is_counted and source_weeks.is_missing, false) as is_imputed,
        coalesce(source_weeks.is_usable, false) as is_usable,
        (7 - coalesce(array_length(incomplete.incomplete_days, 1), 0))::smallint as complete_days,
        coalesce(incomplete.incomplete_days, '{}') as incomplete_days,
        coalesce(longest_missing.weeks_missing, 0) as weeks_missing,
        peer_sources.metric_mean,
        peer_sources.metric_sd,
        case when peer_sources.is_counted then peer_sources.weight end as weight,
        peer_groups.students,
        coalesce(group_activity.interactions, 0) as interactions
    from peer_groups
    inner join week_sources
        on peer_groups.week_start = week_sources.week_start and peer_groups.revision = week_sources.revision
    left join source_weeks
        on week_sources.week_start = source_weeks.week_start and week_sources.source_id = source_weeks.source_id
    left join peer_levels on peer_groups.peer_level = peer_levels.peer_level and peer_levels.peer_set = 'published'
    left join peer_sources
        on
            peer_groups.week_start = peer_sources.week_start
            and peer_levels.position = peer_sources.position
            and peer_groups.peer_group = peer_sources.peer_group
            and week_sources.source_id = peer_sources.source_id
    left join incomplete
        on
            week_sources.week_start = incomplete.week_start
            and week_sources.revision = incomplete.revision
            and week_sources.source_id = incomplete.source_id
    left join longest_missing
        on week_sources.week_start = longest_missing.week_start and week_sources.source_id = longest_missing.source_id
    left join group_activity
        on
            peer_groups.peer_group_number = group_activity.peer_group_number
            and week_sources.source_id = group_activity.source_id
)

select * from final
