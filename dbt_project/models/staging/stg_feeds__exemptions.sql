with

raw_exemptions as (select * from {{ source('raw', 'exemptions') }}),

final as (
    select
        source_id,
        as_of_date,
        exemption_ref,
        student_id,
        exemption_type,
        starts_on,
        ends_on,
        created_on,
        created_by
    from raw_exemptions
)

select * from final
