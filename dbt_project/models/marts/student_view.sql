{{
    config(
        tags=['casework'],
        indexes=[{'columns': ['student_id']}],
        pre_hook="set local enable_nestloop = off",
        post_hook="analyze {{ this }}",
    )
}}

-- Every sentence is config/student_view.yaml's; only which of them applies is decided here.

with

students as (select * from {{ ref('int_student') }}),

trends as not materialized (select * from {{ ref('score_trend') }}),

ratings as not materialized (select * from {{ ref('daily_rating') }}),

activity_windows as not materialized (select * from {{ ref('activity_windows') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

health as not materialized (select * from {{ ref('source_health') }}),

sources as (select * from {{ source('ops', 'source') }}),

settings as (
    select
        content -> 'words' as words,
        (content ->> 'show_number')::boolean as show_number,
        (content -> 'standing' ->> 'below_under')::integer as below_under,
        (content -> 'standing' ->> 'above_from')::integer as above_from,
        (content -> 'direction' ->> 'change')::integer as clear_change
    from {{ source('ops', 'setting') }}
    where name = 'student_view' and (content ->> 'enabled')::boolean
),

parameters as (
    select
        *,
        (as_of at time zone time_zone)::date as today
    from {{ source('ops', 'scoring_parameter') }}
),

-- found by the index, however long the history is
newest_trends as (
    select trends.*
    from trends
    where trends.week_start = (select max(t.week_start) from trends as t)
),

newest_ratings as (
    select ratings.*
    from ratings
    where ratings.rating_date = (select max(r.rating_date) from ratings as r)
),

newest_windows as (
    select
        activity_windows.student_id,
        sources.category,
        max(activity_windows.activity_date - activity_windows.days_since_last) as last_date
    from activity_windows
    inner join sources on activity_windows.source_id = sources.source_id
    where
        activity_windows.activity_date = (select max(a.activity_date) from activity_windows as a)
        and sources.category is not null
    group by activity_windows.student_id, sources.category
),

last_activity as (
    select
        newest_windows.student_id,
        jsonb_object_agg(
            settings.words -> 'categories' ->> newest_windows.category,
            case
                when newest_windows.last_date is null then settings.words -> 'last' ->> 'never'
                when newest_windows.last_date >= parameters.today then settings.words -> 'last' ->> 'today'
                when newest_windows.last_date = parameters.today - 1 then settings.words -> 'last' ->> 'yesterday'
                else replace(
                    settings.words -> 'last' ->> 'earlier', '{days}', (parameters.today - newest_windows.last_date)::text
                )
            end
        ) as said
    from newest_windows
    cross join settings
    cross join parameters
    group by newest_windows.student_id
),

-- late by the source's own measure, in which quiet days do not count
late as (
    select
        sources.title,
        (
            select max(h.health_date)
            from health as h
            where h.source_id = sources.source_id and h.covered
        ) as last_date
    from health
    inner join sources on health.source_id = sources.source_id
    where
        health.health_date = (select max(h.health_date) from health as h)
        and health.freshness in ('warning', 'stale')
        and sources.category is not null
),

missing as (
    select
        string_agg(
            title || coalesce(' (since ' || to_char(last_date + 1, 'FMDD FMMonth') || ')', ''), ', ' order by title
        ) as sources
    from late
),

exempt as (
    select distinct exemptions.student_id
    from exemptions
    cross join parameters
    where parameters.today between exemptions.starts_on and exemptions.ends_on
),

judged as (
    select
        students.student_id,
        newest_trends.week_start,
        newest_trends.score,
        newest_trends.peer_level,
        newest_trends.attendance_4w,
        newest_trends.student_id is not null as is_in_week,
        case
            when students.status <> 'active' then 'away'
            when exempt.student_id is not null then 'exempt'
            when newest_trends.score is null then 'none'
            when newest_trends.score >= settings.above_from then 'above'
            when newest_trends.score < settings.below_under then 'below'
            else 'around'
        end as standing,
        case
            when newest_trends.change_4w is null then 'none'
            when newest_trends.change_4w >= settings.clear_change then 'rising'
            when newest_trends.change_4w > -settings.clear_change then 'steady'
            when newest_trends.cohort_event then 'shared'
            else 'falling'
        end as direction
    from students
    cross join settings
    left join newest_trends on students.student_id = newest_trends.student_id
    left join exempt on students.student_id = exempt.student_id
),

compared as (
    select
        *,
        standing in ('above', 'around', 'below') as is_compared,
        standing in ('away', 'exempt') as is_left_alone
    from judged
),

final as (
    select
        compared.student_id,
        compared.week_start,
        parameters.as_of,
        case
            when compared.is_left_alone then compared.standing
            when compared.is_compared then 'compared'
            else 'not_compared'
        end as status,
        case when compared.is_compared then compared.standing end as standing,
        case
            when not compared.is_compared or compared.direction = 'none' then null
            when compared.direction = 'shared' then 'falling'
            else compared.direction
        end as direction,
        replace(
            settings.words -> 'standing' ->> compared.standing,
            '{group}',
            coalesce(settings.words -> 'groups' ->> compared.peer_level, settings.words ->> 'other_group')
        ) as standing_words,
        case when compared.is_compared then settings.words -> 'direction' ->> compared.direction end as direction_words,
        case when settings.show_number and compared.is_compared then compared.score end as score,
        case when not compared.is_left_alone then newest_ratings.rating_label end as rating_label,
        case
            when not compared.is_left_alone
                then replace(
                    settings.words -> 'rating' ->> newest_ratings.rating_label,
                    '{days}',
                    newest_ratings.window_days::text
                )
        end as rating_words,
        case
            when compared.is_left_alone or not compared.is_in_week then null
            when compared.attendance_4w is null then settings.words -> 'attendance' ->> 'none'
            when compared.attendance_4w >= parameters.good_attendance_pct then settings.words -> 'attendance' ->> 'most'
            when compared.attendance_4w >= 50 then settings.words -> 'attendance' ->> 'some'
            else settings.words -> 'attendance' ->> 'few'
        end as attendance_words,
        last_activity.said as last_activity,
        case
            when missing.sources is null then settings.words ->> 'complete'
            else replace(settings.words ->> 'missing', '{sources}', missing.sources)
        end as missing_words,
        settings.words ->> 'about' as about_words,
        settings.words ->> 'not_for' as not_for_words
    from compared
    cross join settings
    cross join parameters
    cross join missing
    left join newest_ratings on compared.student_id = newest_ratings.student_id
    left join last_activity on compared.student_id = last_activity.student_id
)

select * from final
