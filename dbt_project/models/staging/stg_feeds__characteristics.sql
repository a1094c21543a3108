with

raw_characteristics as (select * from {{ source('raw', 'characteristics') }}),

final as (
    select
        source_id,
        as_of_date,
        student_id,
        characteristic,
        member
    from raw_characteristics
)

select * from final
