{{
    config(
        tags=['weekly', 'follows_scores'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        unlogged=false,
        indexes=[{'columns': ['student_id', 'week_start']}, {'columns': ['week_start']}],
        pre_hook=["{{ delete_outdated_weeks() }}", "set local enable_nestloop = off"],
        post_hook="analyze {{ this }}",
    )
}}

-- Kept for good: a rule that is previewed over the past sees what it would have seen then.
-- depends_on: {{ ref('weekly_score') }}

with recursive

trends as not materialized (select * from {{ ref('score_trend') }}),

student_weeks as (select * from {{ ref('int_student_trace') }}),

weeks as ({{ weeks_to_follow() }}),

new as materialized (
    select
        trends.*,
        trends.week_start + 7 as on_date,
        student_weeks.weeks_before[1] as previous_week
    from weeks
    inner join trends on weeks.week_start = trends.week_start
    left join student_weeks
        on
            weeks.week_start = student_weeks.week_start
            and trends.revision = student_weeks.revision
            and trends.student_id = student_weeks.student_id
),

-- a handful, each found by the index
asked_weeks as ( -- noqa: ST03
    select array_agg(distinct previous_week) as weeks
    from new
),

-- what stands here already speaks for the weeks before
known as (
    {% if is_incremental() %}
        select
            facts.student_id,
            facts.week_start,
            facts.recent_scores
        from {{ this }} as facts
        where facts.week_start = any((select asked_weeks.weeks from asked_weeks)::date[])
    {% else %}
        select
            null::text as student_id,
            null::date as week_start,
            null::smallint[] as recent_scores
        where false
    {% endif %}
),

linked as (
    select
        new.student_id,
        new.week_start,
        new.score,
        new.previous_week,
        known.recent_scores as scores_before,
        earlier.student_id is not null as follows_new
    from new
    left join known on new.student_id = known.student_id and new.previous_week = known.week_start
    left join new as earlier on new.student_id = earlier.student_id and new.previous_week = earlier.week_start
),

-- newest first, as far as teaching weeks with a score follow each other
runs (student_id, week_start, recent_scores) as (
    select
        student_id,
        week_start,
        case
            when score is null then '{}'
            else (array_prepend(score, coalesce(scores_before, '{}')))[:{{ most_weeks() }}]
        end
    from linked
    where not follows_new
    union all
    select
        linked.student_id,
        linked.week_start,
        case
            when linked.score is null then '{}'
            else (array_prepend(linked.score, runs.recent_scores))[:{{ most_weeks() }}]
        end
    from runs
    inner join linked on runs.student_id = linked.student_id and runs.week_start = linked.previous_week
    where linked.follows_new
),

{% if is_incremental() %}
    -- the last row of each says it for all before: found by the index, however long the history is
    lowest as (
        select
            students.student_id,
            (
                select least(facts.score, facts.lowest_before)
                from {{ this }} as facts
                where facts.student_id = students.student_id
                order by facts.week_start desc
                limit 1
            ) as score
        from (select distinct student_id from new) as students
    ),
{% else %}
    lowest as (
        select
            null::text as student_id,
            null::smallint as score
        where false
    ),
{% endif %}

{{ known_of('new') }},

final as (
    select
        new.student_id,
        new.week_start,
        new.on_date,
        new.revision,
        new.score,
        runs.recent_scores,
        least(
            lowest.score,
            min(new.score) over (
                partition by new.student_id
                order by new.week_start rows between unbounded preceding and 1 preceding
            )
        ) as lowest_before,
        new.change_1w,
        new.change_4w,
        -- what a comparison lacks is unknown here, where the mart says no
        case when new.change_4w is not null then new.declining end as declining,
        case when new.score is not null then new.consistently_low end as consistently_low,
        new.weeks_below_350,
        new.attendance_4w,
        new.cohort_event,
        new.peer_level,
        new.peer_group,
        new.config_version,
        known_then.mode,
        known_then.programme_code,
        known_then.faculty_code,
        known_then.year_of_study,
        known_then.campus_residence,
        known_then.exemption_types,
        known_then.open_case,
        known_then.last_contact_date
    from new
    inner join runs on new.student_id = runs.student_id and new.week_start = runs.week_start
    inner join known_then on new.student_id = known_then.student_id and new.on_date = known_then.on_date
    left join lowest on new.student_id = lowest.student_id
)

select * from final
