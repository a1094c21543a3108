{{ config(tags=['daily'], pre_hook="set local enable_nestloop = off") }}

-- Each of the three is the last day that set the count to 0, or the day before the one from which it could run.

with

quiet as (select * from {{ ref('int_quiet_student') }}),

rosters as (select * from {{ ref('int_day_roster') }}),

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

-- of the list that was in force on the day judged
periods as materialized (
    select
        quiet.day,
        enrolments.student_id,
        enrolments.source_id,
        enrolments.row_number,
        enrolments.status,
        enrolments.status_from,
        enrolments.status_to,
        coalesce(enrolments.programme_code, '') as programme_code,
        coalesce(enrolments.cohort, '') as cohort,
        count(*) over (partition by quiet.day, enrolments.student_id) as held
    from quiet
    inner join rosters on quiet.day = rosters.day
    inner join enrolments
        on
            rosters.source_id = enrolments.source_id and rosters.as_of_date = enrolments.as_of_date
            and quiet.student_id = enrolments.student_id
    where enrolments.status_from <= quiet.day
),

-- few have a history: theirs is looked at where a period begins or ends
histories as materialized (
    select *
    from periods
    where held > 1
),

edges as (
    select
        day,
        student_id,
        status_from as edge
    from histories
    union
    select
        day,
        student_id,
        status_to as edge
    from histories
    where status_to <= day
),

-- of periods that overlap the one that started later speaks
before_edges as (
    select distinct on (edges.day, edges.student_id, edges.edge)
        edges.day,
        edges.student_id,
        edges.edge,
        histories.status
    from edges
    left join histories
        on
            edges.day = histories.day and edges.student_id = histories.student_id
            and edges.edge > histories.status_from and edges.edge <= histories.status_to
    order by
        edges.day asc, edges.student_id asc, edges.edge asc,
        histories.status_from desc, histories.source_id asc, histories.row_number asc
),

active_since as (
    select
        day,
        student_id,
        max(edge) as since
    from before_edges
    where status is distinct from 'active'
    group by day, student_id
),

-- what the calendar is asked for: the period that speaks on the day
enrolled as (
    select distinct on (periods.day, periods.student_id)
        periods.day,
        periods.student_id,
        periods.programme_code,
        periods.cohort,
        coalesce(active_since.since, periods.status_from) as since
    from periods
    left join active_since on periods.day = active_since.day and periods.student_id = active_since.student_id
    where periods.status_to > periods.day
    order by
        periods.day asc, periods.student_id asc,
        periods.status_from desc, periods.source_id asc, periods.row_number asc
),

newest_calendar as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

studies as (
    select distinct
        programme_code,
        cohort
    from enrolled
),

terms as (
    select
        studies.programme_code,
        studies.cohort,
        coalesce(
            range_agg(daterange(calendar.starts_on, calendar.ends_on, '[]')) filter (
                where calendar.kind in ('teaching', 'reading', 'assessment')
            ),
            '{}'
        )
        - coalesce(
            range_agg(daterange(calendar.starts_on, calendar.ends_on, '[]')) filter (
                where calendar.kind = 'vacation'
            ),
            '{}'
        ) as days
    from studies
    inner join calendar
        on
            coalesce(calendar.programme_code, '') in ('', studies.programme_code)
            and coalesce(calendar.cohort, '') in ('', studies.cohort)
    inner join newest_calendar
        on calendar.source_id = newest_calendar.source_id and calendar.as_of_date = newest_calendar.as_of_date
    group by studies.programme_code, studies.cohort
),

taught as materialized (
    select
        terms.programme_code,
        terms.cohort,
        spans.days
    from terms
    cross join unnest(terms.days) as spans (days)
),

exempt as (
    select
        quiet.student_id,
        quiet.day,
        max(least(exemptions.ends_on, quiet.day)) as last_date,
        bool_or(exemptions.ends_on > quiet.day) as is_exempt_next_day
    from quiet
    inner join exemptions on quiet.student_id = exemptions.student_id
    where exemptions.starts_on <= quiet.day + 1
    group by quiet.student_id, quiet.day
),

final as (
    select
        enrolled.student_id,
        enrolled.day,
        enrolled.since - 1 as not_active_date,
        lower(taught.days) - 1 as out_of_term_date,
        exempt.last_date as exempt_date,
        coalesce(exempt.is_exempt_next_day, false) as is_exempt_next_day
    from enrolled
    inner join taught
        on
            enrolled.programme_code = taught.programme_code and enrolled.cohort = taught.cohort
            and enrolled.day <@ taught.days
    left join exempt on enrolled.student_id = exempt.student_id and enrolled.day = exempt.day
)

select * from final
