{{ config(tags=['daily'], pre_hook="set local enable_nestloop = off") }}

with

students as (select * from {{ ref('student') }}),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

activity_windows as not materialized (select * from {{ ref('activity_windows') }}),

-- read in two places: made beforehand, all history would be read
daily_activity as not materialized (select * from {{ ref('daily_activity') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

sources as (select * from {{ source('ops', 'source') }}),

scored_sources as (select * from {{ ref('stg_ops__scored_source') }}),

parameters as (
    select
        *,
        (as_of at time zone time_zone)::date - 1 as last_day
    from {{ source('ops', 'scoring_parameter') }}
),

snapshots as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

-- no programme is the empty one, so that all below is met by equality: else everybody meets every study
studies as (
    select distinct
        coalesce(programme_code, '') as programme_code,
        coalesce(cohort, '') as cohort
    from students
    where as_of_date is not null
),

-- the days of teaching of a study in a term that are over, the latest numbered 1
teaching_days as (
    select
        distinct_days.*,
        row_number() over (
            partition by distinct_days.programme_code, distinct_days.cohort, distinct_days.term_code
            order by distinct_days.day desc
        ) as days_back
    from (
        select distinct
            studies.programme_code,
            studies.cohort,
            calendar.term_code,
            days.day::date as day
        from calendar
        inner join snapshots on calendar.source_id = snapshots.source_id and calendar.as_of_date = snapshots.as_of_date
        inner join studies
            on
                coalesce(calendar.programme_code, studies.programme_code) = studies.programme_code
                and coalesce(calendar.cohort, studies.cohort) = studies.cohort
        cross join parameters
        cross join
            generate_series(
                calendar.starts_on::timestamp, least(calendar.ends_on, parameters.last_day)::timestamp, interval '1 day'
            ) as days (day)
        where calendar.kind = 'teaching'
    ) as distinct_days
),

-- the last review_after_days of them are what is judged
spans as (
    select
        teaching_days.programme_code,
        teaching_days.cohort,
        teaching_days.term_code,
        max(teaching_days.day) as reviewed_until,
        min(teaching_days.day) as silent_from,
        count(*) >= min(parameters.review_after_days) as is_long_enough
    from teaching_days
    cross join parameters
    where teaching_days.days_back <= parameters.review_after_days
    group by teaching_days.programme_code, teaching_days.cohort, teaching_days.term_code
    having max(teaching_days.day) > min(parameters.last_day) - {{ looks_back() }}
),

-- each source that counts and was enabled on a day of teaching, and was not complete on it
incomplete as materialized (
    select
        scored_sources.source_id,
        days.day
    from (select distinct teaching_days.day from teaching_days) as days
    inner join scored_sources
        on
            days.day >= coalesce(scored_sources.enabled_from, '-infinity')
            and days.day < coalesce(scored_sources.disabled_from, 'infinity')
    left join coverage
        on scored_sources.source_id = coverage.source_id and days.day = coverage.day and coverage.is_complete
    where coverage.source_id is null
),

gaps as (
    select
        spans.programme_code,
        spans.cohort,
        spans.term_code,
        string_agg(distinct incomplete.source_id, ', ' order by incomplete.source_id) as sources
    from spans
    inner join teaching_days
        on
            spans.term_code = teaching_days.term_code
            and spans.programme_code = teaching_days.programme_code
            and spans.cohort = teaching_days.cohort
            and spans.silent_from <= teaching_days.day
    inner join incomplete on teaching_days.day = incomplete.day
    group by spans.programme_code, spans.cohort, spans.term_code
),

reviewed as (
    select
        students.student_id,
        students.status,
        spans.term_code,
        spans.reviewed_until,
        spans.silent_from,
        spans.is_long_enough,
        gaps.sources as incomplete_sources
    from students
    inner join spans
        on coalesce(students.programme_code, '') = spans.programme_code and coalesce(students.cohort, '') = spans.cohort
    left join gaps
        on
            spans.term_code = gaps.term_code
            and spans.programme_code = gaps.programme_code
            and spans.cohort = gaps.cohort
    where students.as_of_date is not null
),

-- one day at a time, by the index
days_looked_at as (
    select reviewed_until as day from spans
    union
    select silent_from as day from spans
),

windows as (
    select of_day.*
    from days_looked_at
    cross join lateral (
        select
            activity_windows.student_id,
            activity_windows.activity_date,
            activity_windows.source_id,
            activity_windows.activity_date - activity_windows.days_since_last as last_date
        from activity_windows
        where activity_windows.activity_date = days_looked_at.day
        offset 0 -- noqa: AM09
    ) as of_day
),

enrolled as (
    select distinct
        student_id,
        activity_date
    from windows
),

-- a source at a time: where none was disabled nothing is read
of_disabled as (
    select
        sources.source_id,
        sources.disabled_from,
        of_source.student_id,
        of_source.activity_date
    from sources
    cross join
        lateral (
            select
                daily_activity.student_id,
                daily_activity.activity_date
            from daily_activity
            where
                daily_activity.source_id = sources.source_id
                and daily_activity.activity_date < sources.disabled_from
                and daily_activity.interactions > 0
            offset 0 -- noqa: AM09
        ) as of_source
    where sources.disabled_from is not null
),

-- who was enrolled on the day has it in the windows; of others it is looked up
seen as (
    select
        reviewed.student_id,
        reviewed.term_code,
        windows.source_id,
        windows.last_date
    from reviewed
    inner join windows on reviewed.student_id = windows.student_id and reviewed.reviewed_until = windows.activity_date
    union all
    select
        reviewed.student_id,
        reviewed.term_code,
        looked_up.source_id,
        looked_up.last_date
    from reviewed
    left join enrolled on reviewed.student_id = enrolled.student_id and reviewed.reviewed_until = enrolled.activity_date
    cross join
        lateral (
            select
                daily_activity.source_id,
                max(daily_activity.activity_date) as last_date
            from daily_activity
            where
                daily_activity.student_id = reviewed.student_id
                and daily_activity.activity_date <= reviewed.reviewed_until
                and daily_activity.interactions > 0
            group by daily_activity.source_id
        ) as looked_up
    where enrolled.student_id is null
    union
    -- of a source that was disabled by then nobody has windows of the day
    select
        reviewed.student_id,
        reviewed.term_code,
        of_disabled.source_id,
        max(of_disabled.activity_date) as last_date
    from reviewed
    inner join of_disabled
        on reviewed.student_id = of_disabled.student_id and reviewed.reviewed_until >= of_disabled.disabled_from
    group by reviewed.student_id, reviewed.term_code, of_disabled.source_id
),

last_seen as (
    select
        student_id,
        term_code,
        max(last_date) as last_date,
        jsonb_object_agg(source_id, last_date order by source_id) filter (where last_date is not null) as last_seen
    from seen
    group by student_id, term_code
),

last_times as (
    select
        last_seen.student_id,
        last_seen.term_code,
        max(daily_activity.last_at) as last_at
    from last_seen
    inner join daily_activity
        on last_seen.student_id = daily_activity.student_id and last_seen.last_date = daily_activity.activity_date
    group by last_seen.student_id, last_seen.term_code
),

exempt as (
    select distinct exemptions.student_id
    from exemptions
    cross join parameters
    where parameters.last_day + 1 between exemptions.starts_on and exemptions.ends_on
),

judged as (
    select
        reviewed.*,
        last_seen.last_date,
        last_times.last_at,
        coalesce(last_seen.last_seen, '{}') as last_seen,
        exempt.student_id is not null as is_exempt,
        reviewed.incomplete_sources is null as complete,
        coalesce(last_seen.last_date >= reviewed.silent_from, false) as is_seen,
        enrolled.student_id is not null as was_active
    from reviewed
    left join last_seen on reviewed.student_id = last_seen.student_id and reviewed.term_code = last_seen.term_code
    left join last_times on reviewed.student_id = last_times.student_id and reviewed.term_code = last_times.term_code
    left join exempt on reviewed.student_id = exempt.student_id
    left join enrolled on reviewed.student_id = enrolled.student_id and reviewed.silent_from = enrolled.activity_date
),

final as (
    select
        judged.student_id,
        judged.term_code,
        judged.status,
        judged.reviewed_until,
        judged.last_at as last_seen_at,
        judged.last_date as last_seen_date,
        judged.last_seen,
        judged.reviewed_until - judged.last_date as days_since_last_seen,
        judged.complete,
        judged.status = 'active' and not judged.is_exempt and not judged.is_seen and judged.is_long_enough
        and judged.was_active and judged.complete as is_candidate,
        case
            when judged.status <> 'active' then 'not active: ' || judged.status
            when judged.is_exempt then 'exempt at present'
            when judged.is_seen then 'seen ' || judged.reviewed_until - judged.last_date || ' days before'
            when not judged.is_long_enough
                then 'the term has had fewer than ' || parameters.review_after_days || ' days of teaching'
            when not judged.was_active
                then 'not active on all of the last ' || parameters.review_after_days || ' days of teaching'
            when not judged.complete then 'not seen, but not every source was complete: ' || judged.incomplete_sources
            else
                'nothing from any source on the last ' || parameters.review_after_days
                || ' days of teaching, with every source complete'
        end as why
    from judged
    cross join parameters
)

select * from final
