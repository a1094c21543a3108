with

published as (
    select
        week_start,
        revision,
        published_at,
        reason
    from ops.publication
    where state = 'published'
),

restated as (
    select
        count(distinct week_start) as weeks,
        max(published_at) as published_at,
        (array_agg(reason order by published_at desc, week_start desc))[1] as reason
    from published
    where revision > 1
),

final as (
    select
        restated.weeks as weeks_restated,
        restated.published_at as last_restated_at,
        restated.reason as last_reason,
        (select count(distinct published.week_start) from published) as weeks_published,
        (select count(*) from published) as revisions_published
    from restated
    where exists (select published.week_start from published)
)

select * from final
