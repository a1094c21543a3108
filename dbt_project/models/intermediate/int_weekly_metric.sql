with

activity as (select * from {{ ref('int_week_activity') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

usable as (
    select
        source_weeks.week_start,
        {% for k in slots() %}
            coalesce(bool_or(sources.slot = {{ k }}), false) as is_usable_{{ k }},
            coalesce(bool_or(sources.slot = {{ k }} and source_weeks.record = 'attendance'), false) as is_register_{{ k }},
        {% endfor %}
        sources.chunk
    from source_weeks
    inner join sources on source_weeks.source_id = sources.source_id
    where source_weeks.is_usable
    group by source_weeks.week_start, sources.chunk
),

-- by the index on the week, however many are kept
weekly_activity as (
    select *
    from activity
    where week_start = any((select array_agg(distinct eligible.week_start) from eligible)::date[])
),

-- no row of a usable week is zero activity; no row of a register is nothing expected
final as (
    select
        eligible.week_start,
        eligible.student_id,
        {% for k in slots() %}
            case
                when not usable.is_usable_{{ k }} then null
                when usable.is_register_{{ k }}
                    then
                        {{ metric_unit() }} * (weekly_activity.done_{{ k }} + 0.5)
                        / (nullif(weekly_activity.expected_{{ k }}, 0) + 1)
                else {{ metric_unit() }} * ln(1 + coalesce(weekly_activity.done_{{ k }}, 0))
            end::integer as metric_{{ k }},
        {% endfor %}
        usable.chunk
    from eligible
    inner join usable on eligible.week_start = usable.week_start
    left join weekly_activity
        on
            eligible.week_start = weekly_activity.week_start
            and eligible.student_id = weekly_activity.student_id
            and usable.chunk = weekly_activity.chunk
)

select * from final
