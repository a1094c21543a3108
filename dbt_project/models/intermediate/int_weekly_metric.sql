with

daily_activity as (select * from {{ ref('daily_activity') }}),

eligible as (select * from {{ ref('int_eligible_student') }}),

source_weeks as (select * from {{ ref('int_source_week') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

weeks as (select distinct week_start from eligible),

-- as a list, and met without a join: by a range of days each week would look through all of them
days as (
    select array_agg(weeks.week_start + day.day) as days
    from weeks
    cross join generate_series(0, 6) as day (day)
),

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

-- sums of whole numbers: exact in double precision, in any order, and without an allocation for each
weekly_activity as (
    select
        {{ monday('daily_activity.activity_date') }} as week_start,
        daily_activity.student_id,
        {% for k in slots() %}
            sum(coalesce(daily_activity.attended, daily_activity.interactions)::double precision)
            filter (where sources.slot = {{ k }}) as done_{{ k }},
            sum(daily_activity.expected::double precision) filter (where sources.slot = {{ k }}) as expected_{{ k }},
        {% endfor %}
        sources.chunk
    from daily_activity
    inner join sources on daily_activity.source_id = sources.source_id
    where daily_activity.activity_date = any((select days.days from days)::date[])
    group by {{ monday('daily_activity.activity_date') }}, daily_activity.student_id, sources.chunk
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
