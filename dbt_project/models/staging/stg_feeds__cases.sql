with

raw_cases as (select * from {{ source('raw', 'cases') }}),

final as (
    select
        source_id,
        as_of_date,
        case_id,
        student_id,
        nullif(kind, '') as kind,
        status,
        opened_at,
        closed_at,
        nullif(assigned_to, '') as assigned_to
    from raw_cases
)

select * from final
