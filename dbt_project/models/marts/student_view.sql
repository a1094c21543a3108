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

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

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
feeds as (
    select
        sources.source_id,
        sources.title,
        sources.enabled_from,
        sources.disabled_from,
        string_to_array(sources.quiet_weekdays, ',') as quiet_weekdays,
        string_to_array(sources.quiet_in, ',') as quiet_in,
        min(health.health_date) filter (where health.covered) as first_date,
        max(health.health_date) filter (where health.covered) as last_date,
        coalesce(
            bool_or(health.freshness in ('warning', 'stale')) filter (
                where health.health_date = (select max(h.health_date) from health as h)
            ),
            false
        ) as is_late
    from sources
    inner join health on sources.source_id = health.source_id
    where sources.category is not null
    group by
        sources.source_id, sources.title, sources.enabled_from, sources.disabled_from, sources.quiet_weekdays, sources.quiet_in
),

newest_calendar as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

-- as int_evidence_day has them
kinds_of_day as (
    select
        calendar.kind,
        calendar.starts_on,
        calendar.ends_on
    from calendar
    inner join newest_calendar
        on calendar.source_id = newest_calendar.source_id and calendar.as_of_date = newest_calendar.as_of_date
    where calendar.programme_code is null and calendar.cohort is null
),

-- that a page is about: the newest week with the three before it, and the longest window of the daily rating
shown_spans as (
    select
        max(newest_trends.week_start) - 21 as first_day,
        max(newest_trends.week_start) + 6 as last_day
    from newest_trends
    union all
    select
        parameters.today - 21 as first_day,
        parameters.today - 1 as last_day
    from parameters
),

shown_days as (
    select distinct days.day::date as day
    from shown_spans
    cross join parameters
    cross join
        generate_series(
            shown_spans.first_day::timestamp,
            least(shown_spans.last_day, parameters.today - 1)::timestamp,
            interval '1 day'
        ) as days (day)
),

-- held, of poor quality, or skipped; of the days after the last that came, only lateness tells whether they are missing
gaps as (
    select
        feeds.source_id,
        min(health.health_date) as first_date,
        max(health.health_date) as last_date,
        count(*) as days
    from feeds
    inner join health on feeds.source_id = health.source_id
    inner join shown_days on health.health_date = shown_days.day
    where
        not health.complete
        and health.health_date >= greatest(feeds.first_date, feeds.enabled_from)
        and health.health_date < coalesce(feeds.disabled_from, 'infinity')
        and (health.health_date <= feeds.last_date or (health.quality_score is not null and not feeds.is_late))
        and (
            health.covered
            or not (
                coalesce(to_char(health.health_date, 'Dy') = any(feeds.quiet_weekdays), false)
                or exists (
                    select from kinds_of_day
                    where
                        health.health_date between kinds_of_day.starts_on and kinds_of_day.ends_on
                        and (kinds_of_day.kind = 'closure' or kinds_of_day.kind = any(feeds.quiet_in))
                )
            )
        )
    group by feeds.source_id
),

incomplete as (
    select
        feeds.title,
        concat_ws(
            ', ',
            case
                when gaps.days = 1 then to_char(gaps.first_date, 'FMDD FMMonth')
                else
                    gaps.days || ' days from ' || to_char(gaps.first_date, 'FMDD FMMonth')
                    || ' to ' || to_char(gaps.last_date, 'FMDD FMMonth')
            end,
            case when feeds.is_late then 'since ' || to_char(feeds.last_date + 1, 'FMDD FMMonth') end
        ) as since
    from feeds
    left join gaps on feeds.source_id = gaps.source_id
    where feeds.is_late or gaps.source_id is not null
),

missing as (
    select string_agg(title || coalesce(' (' || nullif(since, '') || ')', ''), ', ' order by title) as sources
    from incomplete
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
