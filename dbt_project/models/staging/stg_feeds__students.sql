with

raw_students as (select * from {{ source('raw', 'students') }}),

final as (
    select
        source_id,
        as_of_date,
        row_number,
        student_id,
        is_sponsored
    from raw_students
)

select * from final
