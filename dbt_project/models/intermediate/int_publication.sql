with

publications as (select * from {{ source('ops', 'publication') }}),

-- a copy: a week that becomes pending while this run works waits for the next one
final as (
    select
        week_start,
        revision,
        reason,
        data_as_of,
        published_at
    from publications
    where state = 'pending'
)

select * from final
