with

eligible as (select * from {{ ref('int_eligible_student') }}),

publications as (select * from {{ ref('int_publication') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

studies as (
    select distinct
        eligible.week_start,
        eligible.teaching_programme,
        eligible.teaching_cohort
    from eligible
    inner join publications on eligible.week_start = publications.week_start
),

-- the teaching weeks up to the scored one, of whoever now studies this, for each source missing in the scored week
history as (
    select distinct
        studies.week_start,
        studies.teaching_programme,
        studies.teaching_cohort,
        past.source_id,
        past.week_start as past_week,
        past.is_missing
    from studies
    inner join source_weeks as missing on studies.week_start = missing.week_start and missing.is_missing
    inner join teaching_weeks
        on
            studies.week_start >= teaching_weeks.week_start
            and teaching_weeks.programme_code in ('', studies.teaching_programme)
            and teaching_weeks.cohort in ('', studies.teaching_cohort)
    inner join source_weeks as past
        on teaching_weeks.week_start = past.week_start and missing.source_id = past.source_id
),

-- counted backwards, the run lasts until the first week that is not missing
counted as (
    select
        *,
        count(*) filter (where not is_missing) over (
            partition by week_start, teaching_programme, teaching_cohort, source_id
            order by past_week desc
        ) as weeks_not_missing
    from history
),

final as (
    select
        week_start,
        teaching_programme,
        teaching_cohort,
        source_id,
        count(*)::integer as weeks_missing
    from counted
    where weeks_not_missing = 0
    group by week_start, teaching_programme, teaching_cohort, source_id
)

select * from final
