with

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

sources as (select * from {{ source('ops', 'source') }}),

week_lags as (select * from {{ ref('int_week_lag') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

weeks as (
    select distinct week_lags.week_start
    from week_lags
    inner join teaching_weeks on week_lags.week_start = teaching_weeks.week_start
),

-- what was known by the Sunday; before the first snapshot, the first. Each found once and by an index
snapshots as materialized (
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

final as (
    select
        week_start,
        student_id,
        bool_or(status = 'active' and days & 64 > 0) as is_active,
        coalesce(bit_or(days) filter (where status in ('suspended', 'placement', 'study_abroad')), 0) as days_away,
        max(programme_code) filter (where place = 1) as programme_code,
        max(cohort) filter (where place = 1) as cohort,
        jsonb_strip_nulls(jsonb_build_object(
            'programme_code', max(programme_code) filter (where place = 1),
            'faculty_code', max(faculty_code) filter (where place = 1),
            'year_of_study', max(year_of_study) filter (where place = 1),
            'mode', max(mode) filter (where place = 1),
            'entry_band', max(entry_band) filter (where place = 1),
            'cohort', max(cohort) filter (where place = 1),
            'campus_residence', max(campus_residence) filter (where place = 1)
        )) as attributes
    from ranked
    group by week_start, student_id
)

select * from final
