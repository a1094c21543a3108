with

final as (
    select
        count(*) as sources,
        count(*) filter (where is_complete) as sources_complete,
        coalesce(array_agg(source_id order by source_id) filter (where not is_complete), '{}') as sources_incomplete
    from marts.source_register
    having count(*) > 0
)

select * from final
