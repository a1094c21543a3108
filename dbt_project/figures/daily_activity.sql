with

rebuilt as (
    select
        source_id,
        day
    from ops.rebuilt_day
),

final as (
    select
        count(*) as source_days_rebuilt,
        count(distinct source_id) as sources_rebuilt,
        min(day) as first_day,
        max(day) as last_day
    from rebuilt
    having count(*) > 0
)

select * from final
