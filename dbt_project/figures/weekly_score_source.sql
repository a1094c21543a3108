with

newest as (
    select
        week_start,
        revision
    from intermediate.int_publication
    order by week_start desc, revision desc
    limit 1
),

final as (
    select
        max(sources.week_start) as week_start,
        max(sources.revision) as revision,
        count(distinct sources.peer_level || sources.peer_group) as peer_groups,
        count(distinct sources.source_id) as sources,
        count(distinct sources.source_id) filter (where sources.is_counted) as sources_counted
    from marts.weekly_score_source as sources
    inner join newest on sources.week_start = newest.week_start and sources.revision = newest.revision
    having count(*) > 0
)

select * from final
