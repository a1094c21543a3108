with

raw_enrolments as (select * from {{ source('raw', 'enrolments') }}),

final as (
    select
        source_id,
        as_of_date,
        row_number,
        student_id,
        nullif(programme_code, '') as programme_code,
        nullif(programme_name, '') as programme_name,
        nullif(faculty_code, '') as faculty_code,
        nullif(year_of_study, '') as year_of_study,
        nullif(mode, '') as mode,
        nullif(entry_band, '') as entry_band,
        nullif(cohort, '') as cohort,
        nullif(campus_residence, '') as campus_residence,
        nullif(tutor_id, '') as tutor_id,
        status,
        -- open on the left holds since ever, open on the right for ever
        coalesce(status_from, '0001-01-01') as status_from,
        coalesce(status_to, '9999-12-31') as status_to
    from raw_enrolments
)

select * from final
