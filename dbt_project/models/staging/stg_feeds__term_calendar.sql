with

raw_term_calendar as (select * from {{ source('raw', 'term_calendar') }}),

final as (
    select
        source_id,
        as_of_date,
        term_code,
        kind,
        starts_on,
        ends_on,
        nullif(programme_code, '') as programme_code,
        nullif(cohort, '') as cohort
    from raw_term_calendar
)

select * from final
