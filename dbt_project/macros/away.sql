{#
    The days from one to another on which the newest list of enrolments says that a student was away, whatever was known then. Of
    periods that overlap the one that started later speaks; a day in no period says nothing: lists may forget what is past.
#}
{% macro away_days(from_date, to_date) -%}
newest_lists as materialized (
    select
        sources.source_id,
        (
            select max(e.as_of_date)
            from {{ source('raw', 'enrolments') }} as e
            where e.source_id = sources.source_id
        ) as as_of_date
    from {{ source('ops', 'source') }} as sources
    where sources.record = 'enrolments'
),

newest_enrolments as materialized (
    select enrolments.*
    from {{ ref('stg_feeds__enrolments') }} as enrolments
    inner join newest_lists
        on enrolments.source_id = newest_lists.source_id and enrolments.as_of_date = newest_lists.as_of_date
),

newest_days as (
    select distinct on (periods.student_id, days.day)
        periods.student_id,
        days.day::date as day,
        periods.status
    from newest_enrolments as periods
    inner join generate_series(({{ from_date }})::timestamp, ({{ to_date }})::timestamp, interval '1 day') as days (day)
        on periods.status_from <= days.day and periods.status_to > days.day
    where periods.student_id in (select away.student_id from newest_enrolments as away where away.status <> 'active')
    order by
        periods.student_id asc, days.day asc,
        periods.status_from desc, periods.source_id asc, periods.row_number asc
),

away_days as materialized (
    select
        student_id,
        day
    from newest_days
    where status <> 'active'
)
{%- endmacro %}
