with

raw_student_notes as (select * from {{ source('raw', 'student_notes') }}),

final as (
    select
        source_id,
        as_of_date,
        note_id,
        student_id,
        note,
        written_at
    from raw_student_notes
)

select * from final
