with

raw_staff_links as (select * from {{ source('raw', 'staff_links') }}),

final as (
    select
        source_id,
        as_of_date,
        staff_id,
        student_id,
        role,
        -- open on the left holds since ever, open on the right for ever
        coalesce(valid_from, '0001-01-01') as valid_from,
        coalesce(valid_to, '9999-12-31') as valid_to
    from raw_staff_links
)

select * from final
