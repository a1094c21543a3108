{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        unlogged=false,
        indexes=[{'columns': ['week_start']}],
        pre_hook="{{ delete_changed_weeks() }}",
        post_hook="{{ remember_weeks_built() }}",
    )
}}

-- Kept: three of the four weeks of every score were summed for the score before it.

with

daily_activity as (select * from {{ ref('daily_activity') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

weeks as ({{ weeks_to_sum() }}),

-- as a list, and met without a join: by a range of days each week would look through all of them
days as (
    select array_agg(weeks.week_start + day.day) as days
    from weeks
    cross join generate_series(0, 6) as day (day)
),

-- sums of whole numbers: exact in double precision, in any order, and without an allocation for each
sums as (
    select
        {{ monday('activity_date') }} as week_start,
        student_id,
        source_id,
        sum(coalesce(attended, interactions)::double precision) as done,
        sum(expected::double precision) as expected
    from daily_activity
    where activity_date = any((select days.days from days)::date[])
    group by {{ monday('activity_date') }}, student_id, source_id
),

final as (
    select
        sums.week_start,
        sums.student_id,
        {% for k in slots() %}
            max(sums.done) filter (where sources.slot = {{ k }}) as done_{{ k }},
            max(sums.expected) filter (where sources.slot = {{ k }}) as expected_{{ k }},
        {% endfor %}
        sources.chunk
    from sums
    inner join sources on sums.source_id = sources.source_id
    group by sums.week_start, sums.student_id, sources.chunk
)

select * from final
