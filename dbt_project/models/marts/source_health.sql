{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['source_id', 'health_date'],
    )
}}

-- Facts of all days are compared with what stands here, and only days that differ are written: so a late batch, a
-- release or a run that was killed before this one needs no list of its own.

with

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

batches as (select * from {{ source('ops', 'batch') }}),

batch_days as (select * from {{ source('ops', 'batch_day') }}),

deliveries as (select * from {{ source('ops', 'delivery') }}),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

scored_sources as (select * from {{ ref('stg_ops__scored_source') }}),

today as (
    select
        parameters.*,
        (parameters.as_of at time zone parameters.time_zone)::date as today
    from parameters
),

known_days as (
    select
        source_id,
        min(day) as day
    from batch_days
    group by source_id
    union all
    select
        deliveries.source_id,
        min((deliveries.landed_at at time zone today.time_zone)::date) as day
    from deliveries
    cross join today
    group by deliveries.source_id
    union all
    select
        sources.source_id,
        today.today as day
    from sources
    cross join today
),

first_days as (
    select
        source_id,
        min(day) as first_day
    from known_days
    group by source_id
),

days as (
    select
        first_days.source_id,
        day.day::date as day
    from first_days
    inner join sources on first_days.source_id = sources.source_id
    cross join today
    cross join generate_series(first_days.first_day::timestamp, today.today::timestamp, interval '1 day') as day (day)
),

-- a delivery of several days counts its rows once, on the last day that it speaks for
spoken as (
    select
        batch_days.source_id,
        batch_days.batch_id,
        coalesce(max(batch_days.day) filter (where batch_days.is_covered), max(batch_days.day)) as day
    from batch_days
    where batch_days.is_current
    group by batch_days.source_id, batch_days.batch_id
),

delivered_rows as (
    select
        spoken.source_id,
        spoken.day,
        sum(batches.rows_accepted)::bigint as rows_accepted,
        sum(batches.rows_quarantined)::bigint as rows_quarantined,
        min(batches.quality_score) as quality_score
    from spoken
    inner join batches on spoken.batch_id = batches.batch_id
    where batches.state in ('published', 'held')
    group by spoken.source_id, spoken.day
),

snapshots as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

-- weeks in which somebody is taught and that are over
teaching_weeks as (
    select distinct week.monday::date as week_start
    from calendar
    inner join snapshots on calendar.source_id = snapshots.source_id and calendar.as_of_date = snapshots.as_of_date
    cross join today
    cross join
        generate_series(
            date_trunc('week', calendar.starts_on::timestamp),
            least(calendar.ends_on, today.today - 6)::timestamp,
            interval '7 days'
        ) as week (monday)
    where calendar.kind = 'teaching' and week.monday::date + 6 <= today.today
),

-- as int_source_week counts them
complete_days as (
    select
        coverage.source_id,
        date_trunc('week', coverage.day::timestamp)::date as week_start,
        count(*) as complete_days
    from coverage
    inner join scored_sources on coverage.source_id = scored_sources.source_id
    where
        coverage.is_complete
        and coverage.day >= coalesce(scored_sources.enabled_from, '-infinity')
        and coverage.day < coalesce(scored_sources.disabled_from, 'infinity')
    group by coverage.source_id, date_trunc('week', coverage.day::timestamp)::date
),

judged_weeks as (
    select
        scored_sources.source_id,
        teaching_weeks.week_start,
        coalesce(complete_days.complete_days, 0) < today.min_complete_days
        and teaching_weeks.week_start + 6 >= coalesce(scored_sources.enabled_from, '-infinity')
        and teaching_weeks.week_start + 6 < coalesce(scored_sources.disabled_from, 'infinity') as is_missing
    from scored_sources
    cross join teaching_weeks
    cross join today
    left join complete_days
        on scored_sources.source_id = complete_days.source_id and teaching_weeks.week_start = complete_days.week_start
),

numbered_weeks as (
    select
        *,
        count(*) filter (where not is_missing) over (partition by source_id order by week_start) as run
    from judged_weeks
),

missing_weeks as (
    select
        source_id,
        week_start,
        count(*) filter (where is_missing) over (partition by source_id, run order by week_start)::integer as weeks_missing
    from numbered_weeks
),

-- each holds from its Sunday until the next one's
missing_spans as (
    select
        source_id,
        weeks_missing,
        week_start + 6 as from_day,
        coalesce(lead(week_start + 6) over (partition by source_id order by week_start), 'infinity'::date) as until_day
    from missing_weeks
),

facts as (
    select
        days.source_id,
        days.day as health_date,
        least(
            (days.day + 1)::timestamp at time zone today.time_zone - interval '1 microsecond', today.as_of
        ) as judged_at,
        coverage.source_id is not null as covered,
        coalesce(coverage.quality_score, delivered_rows.quality_score) as quality_score,
        coalesce(delivered_rows.rows_accepted, 0) as rows_accepted,
        coalesce(delivered_rows.rows_quarantined, 0) as rows_quarantined,
        coalesce(coverage.is_complete, false)
        and days.day >= coalesce(sources.enabled_from, '-infinity')
        and days.day < coalesce(sources.disabled_from, 'infinity') as complete,
        case when scored_sources.source_id is not null then coalesce(missing_spans.weeks_missing, 0) end
            as consecutive_weeks_missing
    from days
    inner join sources on days.source_id = sources.source_id
    cross join today
    left join coverage on days.source_id = coverage.source_id and days.day = coverage.day
    left join delivered_rows on days.source_id = delivered_rows.source_id and days.day = delivered_rows.day
    left join scored_sources on days.source_id = scored_sources.source_id
    left join missing_spans
        on
            days.source_id = missing_spans.source_id
            and days.day >= missing_spans.from_day
            and days.day < missing_spans.until_day
),

known as (
    {% if is_incremental() %}
        select * from {{ this }}
    {% else %}
        select
            null::text as source_id,
            null::date as health_date,
            null::text as freshness,
            null::timestamptz as last_delivery_at,
            null::timestamptz as last_event_at,
            null::timestamptz as judged_at,
            null::boolean as covered,
            null::double precision as quality_score,
            null::bigint as rows_accepted,
            null::bigint as rows_quarantined,
            null::boolean as complete,
            null::integer as consecutive_weeks_missing
        where false
    {% endif %}
),

changed as (
    select
        facts.*,
        known.freshness as freshness_then,
        known.last_delivery_at as last_delivery_then,
        known.last_event_at as last_event_then,
        coalesce(known.judged_at >= facts.judged_at, false) as is_judged
    from facts
    left join known on facts.source_id = known.source_id and facts.health_date = known.health_date
    where
        known.judged_at is null
        or known.judged_at < facts.judged_at
        or (
            known.covered, known.quality_score, known.rows_accepted, known.rows_quarantined, known.complete,
            known.consecutive_weeks_missing
        )
        is distinct from (
            facts.covered, facts.quality_score, facts.rows_accepted, facts.rows_quarantined, facts.complete,
            facts.consecutive_weeks_missing
        )
),

-- a day that is over was judged at its end, and stays as it was judged
final as (
    select
        changed.source_id,
        changed.health_date,
        case when changed.is_judged then changed.freshness_then else judged.freshness end as freshness,
        case when changed.is_judged then changed.last_delivery_then else judged.last_delivery_at end as last_delivery_at,
        case when changed.is_judged then changed.last_event_then else judged.last_event_at end as last_event_at,
        changed.judged_at,
        changed.covered,
        changed.quality_score,
        changed.rows_accepted,
        changed.rows_quarantined,
        changed.complete,
        changed.consecutive_weeks_missing
    from changed
    inner join sources on changed.source_id = sources.source_id
    left join lateral ops.freshness(
        sources.source_id, sources.enabled_from, sources.disabled_from, sources.warn_after_h, sources.fail_after_h,
        sources.quiet_weekdays, sources.quiet_in, changed.judged_at
    ) as judged on not changed.is_judged
)

select * from final
