{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='append',
        indexes=[{'columns': ['student_id', 'activity_date']}, {'columns': ['activity_date']}],
        pre_hook=["{{ claim_touched_days() }}", "{{ delete_claimed_days() }}", "{{ before_a_backfill() }}"],
        post_hook=["{{ release_claimed_days() }}", "{{ after_a_backfill() }}"],
    )
}}

with

activity as (select * from {{ ref('stg_feeds__activity') }}),

attendance as (select * from {{ ref('stg_feeds__attendance') }}),

sources as (select * from {{ source('ops', 'source') }}),

days as (
    {% if is_incremental() %}
        select
            source_id,
            day
        from {{ source('ops', 'touched_day') }}
        where is_claimed
    {% else %}
        select
            source_id,
            activity_date as day
        from {{ ref('stg_feeds__activity') }}
        union
        select
            source_id,
            activity_date as day
        from {{ ref('stg_feeds__attendance') }}
    {% endif %}
),

-- lateral: one day at a time, from that day's partition and by its index, however long the history is
activity_days as (
    select
        days.source_id,
        days.day as activity_date,
        totals.*
    from days
    cross join lateral (
        select
            activity.student_id,
            sum(activity.quantity)::bigint as interactions,
            count(*) as events,
            min(activity.occurred_at) as first_at,
            max(activity.occurred_at) as last_at,
            null::integer as expected,
            null::integer as attended
        from activity
        where activity.source_id = days.source_id and activity.activity_date = days.day
        group by activity.student_id
        having sum(activity.quantity) > 0
        order by activity.student_id -- as the index is, whose pages are then met in turn
    ) as totals
),

attendance_days as (
    select
        days.source_id,
        days.day as activity_date,
        totals.*
    from days
    cross join lateral (
        select
            attendance.student_id,
            count(*) filter (where attendance.is_attended) as interactions,
            count(*) filter (where attendance.is_attended) as events,
            min(attendance.starts_at) filter (where attendance.is_attended) as first_at,
            max(attendance.starts_at) filter (where attendance.is_attended) as last_at,
            count(*) filter (where attendance.is_mandatory)::integer as expected,
            count(*) filter (where attendance.is_mandatory and attendance.is_attended)::integer as attended
        from attendance
        where attendance.source_id = days.source_id and attendance.activity_date = days.day
        group by attendance.student_id
        having bool_or(attendance.is_attended or attendance.is_mandatory)
        order by attendance.student_id
    ) as totals
),

all_days as (
    select * from activity_days
    union all
    select * from attendance_days
),

final as (
    select
        all_days.student_id,
        all_days.activity_date,
        all_days.source_id,
        sources.category,
        all_days.interactions,
        all_days.events,
        all_days.first_at,
        all_days.last_at,
        all_days.expected,
        all_days.attended
    from all_days
    left join sources on all_days.source_id = sources.source_id
)

select * from final
