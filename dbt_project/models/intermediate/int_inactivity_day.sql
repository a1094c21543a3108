{{ config(tags=['daily']) }}

-- Compared with what the day was judged from (ops.built_day, written by engage.contact.notifications with the judgement): late data, a
-- roster or calendar that came late and a run that was killed heal alike. What is older than the first change is left as it is.

with

evidence as (select * from {{ ref('int_evidence_day') }}),

rosters as (select * from {{ ref('int_day_roster') }}),

versions as (select * from {{ source('ops', 'day_version') }}),

sources as (select * from {{ source('ops', 'source') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

built as (
    select *
    from {{ source('ops', 'built_day') }}
    where mart = 'int_inactivity'
),

evidence_days as (
    select
        day,
        string_agg(concat_ws(' ', source_id, is_complete), ', ' order by source_id) as state
    from evidence
    group by day
),

-- also of sources that are disabled by now: a correction of what they said counts
version_days as (
    select
        versions.day,
        string_agg(concat_ws(' ', versions.source_id, versions.version), ', ' order by versions.source_id) as state
    from versions
    inner join sources on versions.source_id = sources.source_id
    where sources.is_digital or sources.category = 'attendance'
    group by versions.day
),

roster_days as (
    select
        day,
        string_agg(state, ', ' order by source_id) as state
    from rosters
    group by day
),

newest_calendar as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

calendar_days as (
    select
        days.day,
        string_agg(
            distinct concat_ws(' ', calendar.kind, calendar.programme_code, '/', calendar.cohort), ', '
        ) as state
    from (select distinct evidence.day from evidence) as days
    inner join calendar on days.day between calendar.starts_on and calendar.ends_on
    inner join newest_calendar
        on calendar.source_id = newest_calendar.source_id and calendar.as_of_date = newest_calendar.as_of_date
    group by days.day
),

-- of the last weeks also who was away as the registry says by now: it may tell late, and take back what it told
{{ away_days(
    "select (min(as_of) at time zone min(time_zone))::date - 2 * min(hold_days) from " ~ source('ops', 'scoring_parameter'),
    'select max(day) from evidence'
) }},

away_states as (
    select
        day,
        md5(string_agg(student_id, ' ' order by student_id)) as state
    from away_days
    group by day
),

states as (
    select
        evidence_days.day,
        evidence_days.day
        >= (parameters.as_of at time zone parameters.time_zone)::date - 2 * parameters.hold_days as is_recent,
        md5(concat_ws('; ', evidence_days.state, version_days.state, roster_days.state, calendar_days.state)) as state,
        coalesce(away_states.state, '') as away_state
    from evidence_days
    cross join parameters
    inner join roster_days on evidence_days.day = roster_days.day
    left join version_days on evidence_days.day = version_days.day
    left join calendar_days on evidence_days.day = calendar_days.day
    left join away_states on evidence_days.day = away_states.day
),

changed as (
    select min(states.day) as first_day
    from states
    left join built on states.day = built.day
    where
        states.day >= {{ settled_before() }}
        and (
            states.state is distinct from split_part(built.state, ' ', 1)
            or (states.is_recent and states.away_state is distinct from split_part(built.state, ' ', 2))
        )
),

final as (
    select
        states.day,
        states.state || ' ' || states.away_state as state
    from states
    inner join changed on states.day >= changed.first_day
)

select * from final
