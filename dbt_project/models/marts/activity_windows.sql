{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['activity_date']}],
        pre_hook=["{{ delete_days_to_build('activity_date', by_source=true) }}", "set local enable_nestloop = off"],
        post_hook="{{ remember_days_built() }}",
    )
}}

-- how many days of a week, at most, are made anew: one in a night, seven in a backfill
{% set n_days = most_days_to_build_of_a_week() %}

with

build as (select * from {{ ref('int_day_build') }}),

source_days as (select * from {{ ref('int_day_source') }}),

students as (select * from {{ ref('int_day_student') }}),

-- read in two places: made beforehand, all history would be read
daily_activity as not materialized (select * from {{ ref('daily_activity') }}),

source_weeks as (
    select
        source_id,
        date_trunc('week', day::timestamp)::date as monday,
        min(day) as first_day,
        max(day) as last_day,
        -- of any source: the day that `k` below counts from
        min(min(day)) over (partition by date_trunc('week', day::timestamp)) as start
    from build
    where mart = 'activity_windows' and source_id <> '' and state is not null
    group by source_id, date_trunc('week', day::timestamp)
),

weeks as (
    select
        monday,
        start,
        -- a list: of a range no planner knows how many rows it has
        array(select start - 20 + day.n from generate_series(0, max(last_day) - start + 20) as day (n)) as days
    from source_weeks
    group by monday, start
),

-- the windows of a week's days in one pass over their rows and those of the 20 days before; whole numbers, so exact
sums as (
    select
        weeks.monday,
        totals.*
    from weeks
    cross join lateral (
        select
            {% for k in range(n_days) %}
                {% for days in (7, 14, 21) %}
                    sum(recent.interactions) filter (where recent.n between {{ k - days + 1 }} and {{ k }})
                        as interactions_{{ days }}_{{ k }},
                {% endfor %}
                weeks.start + max(recent.n) filter (where recent.n <= {{ k }}) as last_date_{{ k }},
            {% endfor %}
            recent.student_id,
            recent.source_id
        from (
            -- reckoned once for each row, not once for each window
            select
                daily_activity.student_id,
                daily_activity.source_id,
                daily_activity.activity_date - weeks.start as n,
                daily_activity.interactions::double precision as interactions
            from daily_activity
            where
                daily_activity.activity_date = any(weeks.days)
                and daily_activity.interactions > 0
                and daily_activity.source_id in (
                    select source_weeks.source_id
                    from source_weeks
                    where source_weeks.monday = weeks.monday
                )
            offset 0 -- noqa: AM09
        ) as recent
        group by recent.student_id, recent.source_id
    ) as totals
),

-- the days of a week on which a student is enrolled, as seven bits, Monday the lowest
enrolled as (
    select
        student_id,
        date_trunc('week', day::timestamp)::date as monday,
        bit_or(1 << (extract(isodow from day)::integer - 1)) as days
    from students
    group by student_id, date_trunc('week', day::timestamp)
),

cells as (
    select
        enrolled.student_id,
        enrolled.days,
        source_weeks.*
    from source_weeks
    inner join enrolled on source_weeks.monday = enrolled.monday
),

-- weeks without enrolment stay in for as long as there was activity: the last of it may have been then
carried as (
    select
        cells.days,
        cells.first_day,
        cells.last_day,
        cells.start,
        sums.*,
        coalesce(cells.student_id, sums.student_id) as student,
        coalesce(cells.source_id, sums.source_id) as source,
        coalesce(cells.monday, sums.monday) as week,
        max(sums.last_date_{{ n_days - 1 }}) over (
            partition by coalesce(cells.student_id, sums.student_id), coalesce(cells.source_id, sums.source_id)
            order by coalesce(cells.monday, sums.monday)
            rows between unbounded preceding and 1 preceding
        ) as last_date_before
    from cells
    full outer join sums
        on cells.monday = sums.monday and cells.student_id = sums.student_id and cells.source_id = sums.source_id
),

{% if is_incremental() -%}
    built_from as (
        select
            source_weeks.source_id,
            min(source_weeks.first_day) as first_day
        from source_weeks
        group by source_weeks.source_id
    ),

    first_days as (
        select
            source_id,
            min(day) as first_day
        from source_days
        group by source_id
    ),

    the_day_before as (
        select
            known.student_id,
            known.source_id,
            known.activity_date - known.days_since_last as last_date
        from built_from
        inner join {{ this }} as known
            on built_from.source_id = known.source_id and known.activity_date = built_from.first_day - 1
        -- by the index
        where
            known.activity_date >= (select min(source_weeks.first_day) - 1 from source_weeks)
            and known.activity_date < (select max(source_weeks.first_day) from source_weeks)
    ),

    -- who has no row of the day before was not enrolled then, and is looked up
    known as (
        select
            carried.*,
            coalesce(
                carried.last_date_before,
                the_day_before.last_date,
                case
                    when the_day_before.student_id is null and built_from.first_day > first_days.first_day
                        then (
                            select max(daily_activity.activity_date)
                            from daily_activity
                            where
                                daily_activity.student_id = carried.student
                                and daily_activity.source_id = carried.source
                                and daily_activity.activity_date < built_from.first_day
                                and daily_activity.interactions > 0
                        )
                end
            ) as last_date
        from carried
        inner join built_from on carried.source = built_from.source_id
        inner join first_days on carried.source = first_days.source_id
        left join the_day_before
            on carried.student = the_day_before.student_id and carried.source = the_day_before.source_id
        where carried.days is not null
    ),
{%- else -%}
    known as (
        select
            *,
            last_date_before as last_date
        from carried
        where days is not null
    ),
{%- endif %}

unfolded as (
    select
        known.student,
        known.first_day,
        known.last_day,
        known.days & (1 << (known.start + windows.k - known.week)) > 0 as is_enrolled,
        known.source,
        known.start + windows.k as activity_date,
        coalesce(windows.interactions_7d, 0)::bigint as interactions_7d,
        coalesce(windows.interactions_14d, 0)::bigint as interactions_14d,
        coalesce(windows.interactions_21d, 0)::bigint as interactions_21d,
        coalesce(windows.last_date, known.last_date) as last_date
    from known
    cross join lateral (
        values
        {%- for k in range(n_days) %}
            ({{ k }}, interactions_7_{{ k }}, interactions_14_{{ k }}, interactions_21_{{ k }}, last_date_{{ k }})
            {{- "," if not loop.last }}
        {%- endfor %}
    ) as windows (k, interactions_7d, interactions_14d, interactions_21d, last_date)
),

-- made before they meet their day: else each would meet all days of its source
days as materialized (
    select *
    from unfolded
    where is_enrolled and activity_date between first_day and last_day
),

final as (
    select
        days.interactions_7d,
        days.interactions_14d,
        days.interactions_21d,
        days.activity_date,
        days.activity_date - days.last_date as days_since_last,
        source_days.covered_days_7d,
        source_days.covered_days_14d,
        source_days.covered_days_21d,
        days.student as student_id,
        days.source as source_id
    from days
    inner join source_days on days.source = source_days.source_id and days.activity_date = source_days.day
)

select * from final
