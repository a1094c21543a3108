with

enrolments as (select * from {{ ref('stg_feeds__enrolments') }}),

exemptions as (select * from {{ source('ops', 'exemption') }}),

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

week_lags as (select * from {{ ref('int_week_lag') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

weeks as (
    select distinct week_lags.week_start
    from week_lags
    inner join teaching_weeks on week_lags.week_start = teaching_weeks.week_start
),

-- what was known by the Sunday; before the first snapshot, the first
snapshots as (
    select
        weeks.week_start,
        sources.source_id,
        coalesce(
            (
                select max(e.as_of_date)
                from enrolments as e
                where e.source_id = sources.source_id and e.as_of_date <= weeks.week_start + 6
            ),
            (
                select min(e.as_of_date)
                from enrolments as e
                where e.source_id = sources.source_id
            )
        ) as as_of_date
    from weeks
    cross join sources
    where sources.record = 'enrolments'
),

-- the days of the week on which a period holds, as seven bits, Monday the lowest
periods as (
    select
        snapshots.week_start,
        enrolments.*,
        greatest(
            0,
            (1 << least(7, greatest(0, enrolments.status_to - snapshots.week_start)))
            - (1 << greatest(0, enrolments.status_from - snapshots.week_start))
        ) as days_held
    from snapshots
    inner join enrolments
        on snapshots.source_id = enrolments.source_id and snapshots.as_of_date = enrolments.as_of_date
    where enrolments.status_from <= snapshots.week_start + 6
),

-- of two periods that hold on the same day, the one that started later speaks
ranked as (
    select
        *,
        days_held & ~coalesce(bit_or(days_held) over (later rows between unbounded preceding and 1 preceding), 0) as days,
        row_number() over (
            partition by week_start, student_id
            order by status_to > week_start + 6 desc, status_from desc, source_id asc, row_number asc
        ) as place
    from periods
    window later as (partition by week_start, student_id order by status_from desc, source_id asc, row_number asc)
),

student_weeks as (
    select
        week_start,
        student_id,
        coalesce(bool_or(status = 'active' and days & 64 > 0), false) as is_active,
        coalesce(bit_or(days) filter (where status in ('suspended', 'placement', 'study_abroad')), 0) as days_away,
        max(programme_code) filter (where place = 1) as programme_code,
        max(faculty_code) filter (where place = 1) as faculty_code,
        max(year_of_study) filter (where place = 1) as year_of_study,
        max(mode) filter (where place = 1) as mode,
        max(entry_band) filter (where place = 1) as entry_band,
        max(cohort) filter (where place = 1) as cohort,
        max(campus_residence) filter (where place = 1) as campus_residence
    from ranked
    group by week_start, student_id
),

exempt_days as (
    select
        weeks.week_start,
        exemptions.student_id,
        bit_or(
            (1 << least(7, exemptions.ends_on + 1 - weeks.week_start))
            - (1 << greatest(0, exemptions.starts_on - weeks.week_start))
        ) as days
    from weeks
    inner join exemptions
        on weeks.week_start + 6 >= exemptions.starts_on and weeks.week_start <= exemptions.ends_on
    group by weeks.week_start, exemptions.student_id
),

studies as (
    select distinct
        week_start,
        programme_code,
        cohort
    from student_weeks
),

taught as (
    select distinct
        studies.week_start,
        coalesce(studies.programme_code, '') as programme_code,
        coalesce(studies.cohort, '') as cohort
    from studies
    inner join teaching_weeks
        on
            studies.week_start = teaching_weeks.week_start
            and teaching_weeks.programme_code in ('', studies.programme_code)
            and teaching_weeks.cohort in ('', studies.cohort)
),

final as (
    select
        student_weeks.week_start,
        student_weeks.student_id,
        taught.programme_code as teaching_programme,
        taught.cohort as teaching_cohort,
        jsonb_strip_nulls(jsonb_build_object(
            'programme_code', student_weeks.programme_code,
            'faculty_code', student_weeks.faculty_code,
            'year_of_study', student_weeks.year_of_study,
            'mode', student_weeks.mode,
            'entry_band', student_weeks.entry_band,
            'cohort', student_weeks.cohort,
            'campus_residence', student_weeks.campus_residence
        )) as attributes
    from student_weeks
    inner join taught
        on
            student_weeks.week_start = taught.week_start
            and coalesce(student_weeks.programme_code, '') = taught.programme_code
            and coalesce(student_weeks.cohort, '') = taught.cohort
    left join exempt_days
        on student_weeks.week_start = exempt_days.week_start and student_weeks.student_id = exempt_days.student_id
    cross join parameters
    where
        student_weeks.is_active
        and 7 - bit_count((student_weeks.days_away | coalesce(exempt_days.days, 0))::bit(7)) >= parameters.min_eligible_days
)

select * from final
