{{
    config(
        tags=['weekly', 'follows_scores'],
        materialized='incremental',
        incremental_strategy='append',
        indexes=[{'columns': ['student_id', 'week_start']}, {'columns': ['week_start']}],
        pre_hook=["{{ delete_outdated_weeks() }}", "set local enable_nestloop = off"],
        post_hook="analyze {{ this }}",
    )
}}

with recursive

scores as not materialized (select * from {{ ref('weekly_score') }}),

student_weeks as (select * from {{ ref('int_student_trace') }}),

group_sources as (select * from {{ ref('weekly_score_source') }}),

-- one row, and the planner is told so
parameters as (
    select *
    from {{ source('ops', 'scoring_parameter') }}
    order by config_version asc
    limit 1
),

publications as (select * from {{ source('ops', 'publication') }}),

weeks as ({{ weeks_to_follow() }}),

new as (
    select
        scores.student_id,
        scores.week_start,
        scores.score,
        scores.peer_level,
        scores.peer_group,
        scores.revision,
        scores.config_version,
        student_weeks.weeks_before,
        student_weeks.expected,
        student_weeks.attended
    from weeks
    inner join scores on weeks.week_start = scores.week_start
    left join student_weeks
        on
            weeks.week_start = student_weeks.week_start
            and scores.revision = student_weeks.revision
            and scores.student_id = student_weeks.student_id
),

-- a handful, each found by the index
asked_weeks as ( -- noqa: ST03
    select array_agg(distinct before.week_start) as weeks
    from (select distinct weeks_before from new) as calendars
    cross join unnest(calendars.weeks_before) as before (week_start)
),

-- what stands here already speaks for the weeks before
known as (
    {% if is_incremental() %}
        select
            trend.student_id,
            trend.week_start,
            trend.score,
            trend.expected,
            trend.attended,
            trend.attendance_4w,
            trend.weeks_below_350,
            trend.weeks_below_300,
            trend.weeks_falling
        from {{ this }} as trend
        where trend.week_start = any((select asked_weeks.weeks from asked_weeks)::date[])
    {% else %}
        select
            null::text as student_id,
            null::date as week_start,
            null::smallint as score,
            null::integer as expected,
            null::integer as attended,
            null::double precision as attendance_4w,
            null::integer as weeks_below_350,
            null::integer as weeks_below_300,
            null::integer as weeks_falling
        where false
    {% endif %}
),

all_weeks as (
    select
        student_id,
        week_start,
        score,
        expected,
        attended,
        attendance_4w,
        weeks_below_350,
        weeks_below_300,
        weeks_falling,
        false as is_new
    from known
    union all
    select
        student_id,
        week_start,
        score,
        expected,
        attended,
        null as attendance_4w,
        null as weeks_below_350,
        null as weeks_below_300,
        null as weeks_falling,
        true as is_new
    from new
),

compared as (
    select
        new.*,
        one.week_start as previous_week,
        coalesce(one.is_new, false) as follows_new,
        one.weeks_below_350 as weeks_below_350_before,
        one.weeks_below_300 as weeks_below_300_before,
        one.weeks_falling as weeks_falling_before,
        four.is_new as compares_with_new,
        four.attendance_4w as attendance_before,
        new.score - one.score as change_1w,
        new.score - two.score as change_2w,
        new.score - four.score as change_4w,
        100.0::double precision
        * (coalesce(new.attended, 0) + coalesce(one.attended, 0) + coalesce(two.attended, 0) + coalesce(three.attended, 0))
        / nullif(
            coalesce(new.expected, 0) + coalesce(one.expected, 0) + coalesce(two.expected, 0) + coalesce(three.expected, 0),
            0
        ) as attendance_4w,
        coalesce(new.score < parameters.attention_below, false) as needs_attention,
        coalesce(new.score < parameters.concern_below, false) as is_concern,
        coalesce(new.score < one.score, false) as has_fallen
    from new
    cross join parameters
    left join all_weeks as one
        on new.student_id = one.student_id and new.weeks_before[1] = one.week_start
    left join all_weeks as two
        on new.student_id = two.student_id and new.weeks_before[2] = two.week_start
    left join all_weeks as three
        on new.student_id = three.student_id and new.weeks_before[3] = three.week_start
    left join all_weeks as four
        on new.student_id = four.student_id and new.weeks_before[4] = four.week_start
),

-- week after week: a run goes on from the teaching week before, if that has a row
runs (student_id, week_start, weeks_below_350, weeks_below_300, weeks_falling) as (
    select
        student_id,
        week_start,
        case when needs_attention then 1 + coalesce(weeks_below_350_before, 0) else 0 end,
        case when is_concern then 1 + coalesce(weeks_below_300_before, 0) else 0 end,
        case when has_fallen then 1 + weeks_falling_before else 0 end
    from compared
    where not follows_new
    union all
    select
        compared.student_id,
        compared.week_start,
        case when compared.needs_attention then 1 + runs.weeks_below_350 else 0 end,
        case when compared.is_concern then 1 + runs.weeks_below_300 else 0 end,
        case when compared.has_fallen then 1 + runs.weeks_falling else 0 end
    from runs
    inner join compared on runs.student_id = compared.student_id and runs.week_start = compared.previous_week
    where compared.follows_new
),

followed as (
    select
        compared.*,
        runs.weeks_below_350,
        runs.weeks_below_300,
        runs.weeks_falling,
        coalesce(earlier.attendance_4w, compared.attendance_before) - compared.attendance_4w as attendance_lost
    from compared
    inner join runs on compared.student_id = runs.student_id and compared.week_start = runs.week_start
    left join compared as earlier
        on
            compared.compares_with_new
            and compared.student_id = earlier.student_id
            and compared.weeks_before[4] = earlier.week_start
),

fallen_groups as (
    select
        followed.week_start,
        followed.peer_level,
        followed.peer_group,
        count(*) filter (where followed.change_1w < -parameters.cohort_fall_over)
        > parameters.cohort_share::numeric * count(followed.change_1w) as is_event
    from followed
    cross join parameters
    group by followed.week_start, followed.peer_level, followed.peer_group, parameters.cohort_share
),

-- twelve weeks back: the four weeks before, and a vacation among them
published as (
    select distinct week_start
    from publications
    where week_start >= (select min(weeks.week_start) - 84 from weeks)
),

recent as (
    select
        weeks.week_start,
        {{ revision_in('scores') }} as revision
    from published as weeks
),

group_weeks as (
    select
        group_sources.*,
        dense_rank() over (
            partition by group_sources.peer_level, group_sources.peer_group
            order by group_sources.week_start
        ) as place
    from group_sources
    inner join recent
        on group_sources.week_start = recent.week_start and group_sources.revision = recent.revision
),

-- only by sources usable in all five weeks: a silent feed is no silent cohort
comparable as (
    select
        now.week_start,
        now.peer_level,
        now.peer_group,
        past.week_start as past_week,
        past.students,
        past.interactions,
        bool_and(past.is_usable) over source_weeks and count(*) over source_weeks = 5 as is_comparable
    from weeks
    inner join group_weeks as now on weeks.week_start = now.week_start
    inner join group_weeks as past
        on
            now.peer_level = past.peer_level
            and now.peer_group = past.peer_group
            and now.source_id = past.source_id
            and now.place - past.place between 0 and 4
            and now.week_start - past.week_start <= 84
    window source_weeks as (partition by now.week_start, now.peer_level, now.peer_group, now.source_id)
),

group_activity as (
    select
        week_start,
        peer_level,
        peer_group,
        past_week,
        sum(interactions)::double precision / max(students) as interactions_each
    from comparable
    where is_comparable
    group by week_start, peer_level, peer_group, past_week
),

silent_groups as (
    select
        group_activity.week_start,
        group_activity.peer_level,
        group_activity.peer_group,
        max(group_activity.interactions_each) filter (where group_activity.past_week = group_activity.week_start)
        < parameters.cohort_activity_share * percentile_cont(0.5) within group (
            order by group_activity.interactions_each
        ) filter (where group_activity.past_week < group_activity.week_start) as is_event
    from group_activity
    cross join parameters
    group by
        group_activity.week_start, group_activity.peer_level, group_activity.peer_group,
        parameters.cohort_activity_share
),

final as (
    select
        followed.student_id,
        followed.week_start,
        followed.score,
        followed.change_1w::smallint as change_1w,
        followed.change_4w::smallint as change_4w,
        coalesce(followed.change_4w < -parameters.decline_over, false) as declining,
        followed.weeks_below_350,
        followed.weeks_below_300,
        followed.weeks_below_350 >= parameters.lasting_weeks as consistently_low,
        followed.weeks_falling,
        coalesce(followed.change_2w >= parameters.recovery_from, false) as recovering,
        followed.attendance_4w,
        coalesce(
            followed.change_4w < -parameters.decline_over
            and followed.attendance_lost >= parameters.attendance_fall_pct - 1e-9,
            false
        ) as falling_together,
        coalesce(
            followed.change_4w < -parameters.decline_over and followed.attendance_4w >= parameters.good_attendance_pct,
            false
        ) as quiet_decline,
        coalesce(fallen_groups.is_event, false) or coalesce(silent_groups.is_event, false) as cohort_event,
        followed.expected,
        followed.attended,
        followed.peer_level,
        followed.peer_group,
        followed.revision,
        followed.config_version
    from followed
    cross join parameters
    left join fallen_groups
        on
            followed.week_start = fallen_groups.week_start
            and followed.peer_level = fallen_groups.peer_level
            and followed.peer_group = fallen_groups.peer_group
    left join silent_groups
        on
            followed.week_start = silent_groups.week_start
            and followed.peer_level = silent_groups.peer_level
            and followed.peer_group = silent_groups.peer_group
)

select * from final
