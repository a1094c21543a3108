with

raw_activity as (select * from {{ source('raw', 'activity') }}),

final as (
    select
        source_id,
        activity_date,
        student_id,
        occurred_at,
        resource_type,
        resource_ref,
        quantity,
        duration_s
    from raw_activity
)

select * from final
