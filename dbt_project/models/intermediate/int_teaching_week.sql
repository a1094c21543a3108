with

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

week_lags as (select * from {{ ref('int_week_lag') }}),

snapshots as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

last_week as (
    select max(scored_week) as week_start
    from week_lags
    having count(*) > 0
),

terms as (
    select calendar.*
    from calendar
    inner join snapshots on calendar.source_id = snapshots.source_id and calendar.as_of_date = snapshots.as_of_date
    where calendar.kind = 'teaching'
),

-- an empty text stands for "all" on the calendar's side and for "none" on the student's
final as (
    select distinct
        weeks.monday::date as week_start,
        coalesce(terms.programme_code, '') as programme_code,
        coalesce(terms.cohort, '') as cohort
    from terms
    cross join last_week
    cross join generate_series(
        date_trunc('week', terms.starts_on::timestamp), least(terms.ends_on, last_week.week_start)::timestamp, '7 days'
    ) as weeks (monday)
)

select * from final
