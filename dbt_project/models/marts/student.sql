{{ config(tags=['daily'], materialized='view') }}

-- no steps of its own: the planner sees through it
select
    student_id,
    programme_code,
    programme_name,
    faculty_code,
    year_of_study,
    mode,
    status,
    cohort,
    entry_band,
    case when (select reader.is_owner from ops.reader as reader) then is_sponsored end as is_sponsored,
    campus_residence,
    tutor_id,
    as_of_date
from {{ ref('int_student') }}
where {{ is_for_reader('student_id') }}
