with

today as (
    select health.*
    from marts.source_health as health
    where health.health_date = (select max(newest.health_date) from marts.source_health as newest)
),

final as (
    select
        min(health_date) as health_date,
        count(*) filter (where freshness = 'fresh') as sources_fresh,
        count(*) filter (where freshness = 'quiet') as sources_quiet,
        count(*) filter (where freshness = 'warning') as sources_warning,
        count(*) filter (where freshness = 'stale') as sources_stale,
        count(*) filter (where consecutive_weeks_missing > 0) as sources_missing_last_week
    from today
    having count(*) > 0
)

select * from final
