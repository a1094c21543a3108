with

newest as (select max(day) as day from intermediate.int_day_source),

final as (
    select
        max(sources.day) as activity_date,
        count(*) as sources,
        count(*) filter (where sources.covered_days_7d = 7) as sources_covering_7_days,
        count(*) filter (where sources.covered_days_21d = 21) as sources_covering_21_days,
        coalesce(
            array_agg(sources.source_id order by sources.source_id) filter (where sources.covered_days_7d < 7), '{}'
        ) as sources_with_gaps_in_7_days
    from intermediate.int_day_source as sources
    inner join newest on sources.day = newest.day
    having count(*) > 0
)

select * from final
