{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        unlogged=false,
        indexes=[{'columns': ['week_start', 'student_id']}],
        pre_hook="{{ delete_pending_weeks('week_start, revision') }}",
    )
}}

-- Written with the revision and kept for good: trends are made from it after the week is published, also long after.

with

daily_activity as (select * from {{ ref('daily_activity') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

metrics as (select * from {{ ref('int_smoothed_metric') }}),

publications as (select * from {{ ref('int_publication') }}),

revisions as (select * from {{ ref('weekly_score_revision') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

studies as (
    select distinct
        publications.week_start,
        publications.revision,
        eligible.teaching_programme,
        eligible.teaching_cohort
    from eligible
    inner join publications on eligible.week_start = publications.week_start
),

taught as (
    select distinct
        studies.*,
        teaching_weeks.week_start as taught_week
    from studies
    inner join teaching_weeks
        on
            studies.week_start > teaching_weeks.week_start
            and studies.week_start <= teaching_weeks.week_start + {{ looks_back() }}
            and teaching_weeks.programme_code in ('', studies.teaching_programme)
            and teaching_weeks.cohort in ('', studies.teaching_cohort)
),

calendars as (
    select
        week_start,
        revision,
        teaching_programme,
        teaching_cohort,
        (array_agg(taught_week order by taught_week desc))[:4] as weeks_before
    from taught
    group by week_start, revision, teaching_programme, teaching_cohort
),

registers as (
    select
        publications.week_start,
        publications.revision,
        daily_activity.student_id,
        sum(daily_activity.expected)::integer as expected,
        sum(daily_activity.attended)::integer as attended
    from publications
    inner join daily_activity
        on
            publications.week_start <= daily_activity.activity_date
            and publications.week_start + 7 > daily_activity.activity_date
    where daily_activity.expected > 0
    group by publications.week_start, publications.revision, daily_activity.student_id
),

-- who has too little for a score has no parts either: what there is, is named
unused as (
    select
        revisions.week_start,
        revisions.revision,
        revisions.student_id,
        array_agg(sources.source_id order by sources.source_id) as sources_unused
    from publications
    inner join revisions on publications.week_start = revisions.week_start and publications.revision = revisions.revision
    inner join metrics on revisions.week_start = metrics.week_start and revisions.student_id = metrics.student_id
    inner join sources on metrics.chunk = sources.chunk
    where revisions.status = 'insufficient_data' and {{ of_slot('sources.slot', 'metrics.metric') }} is not null
    group by revisions.week_start, revisions.revision, revisions.student_id
),

final as (
    select
        eligible.student_id,
        studies.week_start,
        studies.revision,
        coalesce(calendars.weeks_before, '{}') as weeks_before,
        registers.expected,
        registers.attended,
        unused.sources_unused
    from eligible
    inner join studies
        on
            eligible.week_start = studies.week_start
            and eligible.teaching_programme = studies.teaching_programme
            and eligible.teaching_cohort = studies.teaching_cohort
    left join calendars
        on
            studies.week_start = calendars.week_start
            and studies.revision = calendars.revision
            and studies.teaching_programme = calendars.teaching_programme
            and studies.teaching_cohort = calendars.teaching_cohort
    left join registers
        on
            studies.week_start = registers.week_start
            and studies.revision = registers.revision
            and eligible.student_id = registers.student_id
    left join unused
        on
            studies.week_start = unused.week_start
            and studies.revision = unused.revision
            and eligible.student_id = unused.student_id
)

select * from final
