with

raw_modules as (select * from {{ source('raw', 'modules') }}),

final as (
    select
        source_id,
        as_of_date,
        module_code,
        nullif(title, '') as title,
        nullif(faculty_code, '') as faculty_code,
        starts_on,
        ends_on
    from raw_modules
)

select * from final
