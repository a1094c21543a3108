with

raw_attendance as (select * from {{ source('raw', 'attendance') }}),

final as (
    select
        source_id,
        activity_date,
        student_id,
        starts_at,
        ends_at,
        session_type,
        is_mandatory,
        is_attended,
        is_late,
        recorded_at
    from raw_attendance
)

select * from final
