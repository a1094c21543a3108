{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='sync_all_columns',
        unlogged=false,
        pre_hook="{{ delete_all() }}",
    )
}}

-- Read between runs, which do not make it anew: it must survive a crash of Postgres. Its rows are replaced and never the table:
-- the view marts.student stands on it, and would be dropped with it.

with

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

students as not materialized (select * from {{ ref('stg_feeds__students') }}),

-- the tables themselves: through a view with steps of its own the newest is not found by the index, all history is read
raw_enrolments as not materialized (select * from {{ source('raw', 'enrolments') }}),

raw_students as not materialized (select * from {{ source('raw', 'students') }}),

sources as (select * from {{ source('ops', 'source') }}),

-- found once per source
latest_enrolments as materialized (
    select
        sources.source_id,
        (
            select max(e.as_of_date)
            from raw_enrolments as e
            where e.source_id = sources.source_id
        ) as as_of_date
    from sources
    where sources.record = 'enrolments'
),

latest_students as materialized (
    select
        sources.source_id,
        (
            select max(s.as_of_date)
            from raw_students as s
            where s.source_id = sources.source_id
        ) as as_of_date
    from sources
    where sources.record = 'students'
),

-- the period that holds on the day of the snapshot, else the latest that started before it, else the next to come
enrolled as (
    select distinct on (enrolments.student_id)
        enrolments.*,
        enrolments.status_from <= enrolments.as_of_date and enrolments.status_to > enrolments.as_of_date as holds
    from enrolments
    inner join latest_enrolments
        on enrolments.source_id = latest_enrolments.source_id and enrolments.as_of_date = latest_enrolments.as_of_date
    order by
        enrolments.student_id asc,
        holds desc,
        enrolments.status_from <= enrolments.as_of_date desc,
        enrolments.status_from desc,
        enrolments.source_id asc,
        enrolments.row_number asc
),

known as (
    select
        students.student_id,
        bool_or(students.is_sponsored) as is_sponsored
    from students
    inner join latest_students
        on students.source_id = latest_students.source_id and students.as_of_date = latest_students.as_of_date
    group by students.student_id
),

final as (
    select
        coalesce(enrolled.student_id, known.student_id) as student_id,
        enrolled.programme_code,
        enrolled.programme_name,
        enrolled.faculty_code,
        enrolled.year_of_study,
        enrolled.mode,
        case when enrolled.holds then enrolled.status else 'not_enrolled' end as status,
        enrolled.cohort,
        enrolled.entry_band,
        coalesce(known.is_sponsored, false) as is_sponsored,
        enrolled.campus_residence,
        enrolled.tutor_id,
        enrolled.as_of_date
    from enrolled
    full outer join known on enrolled.student_id = known.student_id
)

select * from final
