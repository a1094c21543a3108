with

raw_contacts as (select * from {{ source('raw', 'contacts') }}),

final as (
    select
        source_id,
        as_of_date,
        contact_id,
        student_id,
        nullif(case_id, '') as case_id,
        contacted_at,
        nullif(channel, '') as channel,
        nullif(outcome, '') as outcome,
        nullif(contacted_by, '') as contacted_by
    from raw_contacts
)

select * from final
