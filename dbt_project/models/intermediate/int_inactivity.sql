{{ config(tags=['daily'], pre_hook="set local enable_nestloop = off") }}

with recursive

days as (select * from {{ ref('int_inactivity_day') }}),

quiet as (select * from {{ ref('int_quiet_student') }}),

resets as (select * from {{ ref('int_quiet_reset') }}),

evidence as (select * from {{ ref('int_evidence_day') }}),

daily_activity as not materialized (select * from {{ ref('daily_activity') }}),

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

notifications as (select * from {{ source('ops', 'notification') }}),

{{ away_days(
    'select min(days.day) - min(parameters.low_activity_days) from days cross join parameters', 'select max(day) from days'
) }},

-- of days on which no digital source was enabled nobody knows anything: the count begins anew after them
known as (
    select
        days.day,
        min(days.day) over (partition by days.run) as since
    from (
        select
            watched.day,
            watched.day - (row_number() over (order by watched.day))::integer as run
        from (
            select distinct evidence.day
            from evidence
            where evidence.is_digital
        ) as watched
    ) as days
),

counted as materialized (
    select
        quiet.student_id,
        quiet.day,
        quiet.last_date,
        quiet.interactions,
        resets.is_exempt_next_day,
        quiet.day - greatest(
            known.since - 1, resets.not_active_date, resets.out_of_term_date, resets.exempt_date, quiet.last_date
        ) as silent_days,
        quiet.day - greatest(
            known.since - 1, resets.not_active_date, resets.out_of_term_date, resets.exempt_date
        ) as days_in_term
    from quiet
    inner join resets on quiet.student_id = resets.student_id and quiet.day = resets.day
    inner join known on quiet.day = known.day
),

silent as (
    select
        'no_digital_activity' as kind,
        counted.student_id,
        counted.day,
        counted.last_date,
        counted.silent_days,
        parameters.silent_days as days
    from counted
    cross join parameters
    where
        counted.silent_days > 0
        and counted.silent_days % parameters.silent_days = 0
        and not counted.is_exempt_next_day
        and not exists (
            select from away_days
            where
                away_days.student_id = counted.student_id
                and away_days.day between counted.day - parameters.silent_days + 1 and counted.day
        )
),

low as materialized (
    select
        counted.student_id,
        counted.day,
        counted.last_date,
        counted.silent_days,
        parameters.low_activity_days as days
    from counted
    cross join parameters
    where
        counted.interactions <= parameters.low_activity_at_most
        and counted.days_in_term >= parameters.low_activity_days
        and not counted.is_exempt_next_day
        and not exists (
            select from away_days
            where
                away_days.student_id = counted.student_id
                and away_days.day between counted.day - parameters.low_activity_days + 1 and counted.day
        )
),

-- the last one that triggered before the days that are judged
low_before as (
    select
        notifications.student_id,
        max(notifications.trigger_date) as trigger_date
    from notifications
    where
        notifications.kind = 'low_activity'
        and notifications.status not in ('dropped', 'superseded')
        and notifications.trigger_date <= (select min(days.day) from days)
    group by notifications.student_id
),

low_days as (
    select
        low.student_id,
        min(low.days) as days,
        array_agg(low.day order by low.day) as on_days,
        min(low_before.trigger_date) as trigger_date
    from low
    left join low_before on low.student_id = low_before.student_id
    group by low.student_id
),

-- the first day on which it may trigger, and from each the next that is far enough away
low_triggers as (
    select
        student_id,
        days,
        on_days,
        (
            select min(one.day)
            from unnest(on_days) as one (day)
            where trigger_date is null or one.day + 1 >= trigger_date + days
        ) as day
    from low_days
    union all
    select
        student_id,
        days,
        on_days,
        (
            select min(one.day)
            from unnest(on_days) as one (day)
            where one.day >= low_triggers.day + days
        ) as day
    from low_triggers
    where day is not null
),

triggered as materialized (
    select *
    from silent
    union all
    select
        'low_activity' as kind,
        low.student_id,
        low.day,
        low.last_date,
        low.silent_days,
        low.days
    from low
    inner join low_triggers on low.student_id = low_triggers.student_id and low.day = low_triggers.day
),

triggers as (
    select distinct
        kind,
        day,
        days
    from triggered
),

-- what is missing of the days that they rest on, and which sources could have told
gaps as materialized (
    select
        triggers.kind,
        triggers.day,
        jsonb_agg(
            jsonb_build_object('source', evidence.source_id, 'day', evidence.day) order by evidence.day, evidence.source_id
        ) filter (where not evidence.is_complete) as missing,
        array_agg(distinct evidence.source_id) as asked
    from triggers
    inner join evidence on triggers.day >= evidence.day and triggers.day - triggers.days < evidence.day
    where evidence.is_digital or triggers.kind = 'low_activity'
    group by triggers.kind, triggers.day
),

-- by the index, one trigger after the other: joined as a whole, every night would read all history
done as (
    select
        triggered.kind,
        triggered.student_id,
        triggered.day,
        said.source_id,
        said.interactions
    from triggered
    cross join
        lateral (
            select
                daily_activity.source_id,
                sum(daily_activity.interactions) as interactions
            from daily_activity
            where
                daily_activity.student_id = triggered.student_id
                and daily_activity.activity_date > triggered.day - triggered.days
                and daily_activity.activity_date <= triggered.day
                and daily_activity.interactions > 0
            group by daily_activity.source_id
            offset 0 -- noqa: AM09
        ) as said
    inner join sources on said.source_id = sources.source_id
    where sources.is_digital or sources.category = 'attendance'
),

counts as (
    select
        kind,
        student_id,
        day,
        jsonb_object_agg(source_id, interactions) as interactions
    from done
    group by kind, student_id, day
),

nothing as (
    select
        gaps.kind,
        gaps.day,
        jsonb_object_agg(asked.source_id, 0) as interactions
    from gaps
    cross join unnest(gaps.asked) as asked (source_id)
    group by gaps.kind, gaps.day
),

found as (
    select
        triggered.kind,
        triggered.student_id,
        triggered.day,
        triggered.day + 1 as trigger_date,
        gaps.missing is null as is_complete,
        jsonb_build_object(
            'from', triggered.day - triggered.days + 1,
            'to', triggered.day,
            'days', triggered.days,
            'silent_days', greatest(triggered.silent_days, 0),
            'last_digital_date', triggered.last_date,
            'interactions', nothing.interactions || coalesce(counts.interactions, '{}'),
            'complete', gaps.missing is null,
            'missing', coalesce(gaps.missing, '[]')
        ) as evidence
    from triggered
    inner join gaps on triggered.kind = gaps.kind and triggered.day = gaps.day
    inner join nothing on triggered.kind = nothing.kind and triggered.day = nothing.day
    left join counts
        on triggered.kind = counts.kind and triggered.student_id = counts.student_id and triggered.day = counts.day
),

-- a row for every day judged, also where nobody triggered: who reads this knows of which days it speaks
final as (
    select
        days.day,
        days.state,
        found.kind,
        found.student_id,
        found.trigger_date,
        found.is_complete,
        found.evidence
    from days
    left join found on days.day = found.day
)

select * from final
