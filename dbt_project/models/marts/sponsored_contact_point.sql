{{
    config(
        tags=['daily'],
        grants={'select': ['engage_visa']},
        indexes=[{'columns': ['student_id', 'contact_date']}, {'columns': ['contact_date']}],
        pre_hook="set local enable_nestloop = off",
        post_hook="analyze {{ this }}",
    )
}}

-- Whole every night: what arrives late or is corrected moves all days after it.

with

students as (select * from {{ ref('int_student') }}),

daily_activity as (select * from {{ ref('daily_activity') }}),

crm_contacts as (select * from {{ ref('int_contact') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

evidence as (select * from {{ ref('int_evidence_day') }}),

calendar as (select * from {{ ref('stg_feeds__term_calendar') }}),

lists as (select * from {{ ref('stg_feeds__contacts') }}),

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

-- the table itself: through a view with steps of its own the newest is not found by the index, all history is read
raw_enrolments as not materialized (select * from {{ source('raw', 'enrolments') }}),

coverage as (select * from {{ source('ops', 'coverage') }}),

sources as (select * from {{ source('ops', 'source') }}),

settings as (
    select
        (content ->> 'limit_days')::integer as limit_days,
        (content -> 'warn_days' ->> 0)::integer as warn_from,
        content -> 'outcomes' as outcomes,
        content -> 'exemptions' as exemption_types,
        content -> 'counted_in' as counted_in
    from {{ source('ops', 'setting') }}
    where name = 'sponsorship' and (content ->> 'enabled')::boolean
),

parameters as (
    select
        as_of,
        time_zone,
        (as_of at time zone time_zone)::date - 1 as last_day
    from {{ source('ops', 'scoring_parameter') }}
),

contact_sources as (
    select *
    from sources
    where is_contact_point
),

-- read once, for it is a view of many steps
covered as materialized (
    select
        source_id,
        day,
        is_complete
    from coverage
    where source_id in (select contact_sources.source_id from contact_sources)
),

newest_contact_lists as ({{ newest_list('lists', 'contacts') }}),

first_covered as (
    select
        source_id,
        min(day) as day
    from covered
    group by source_id
),

-- as far back as any contact could be known of, at most a year
span as (
    select
        min(parameters.last_day) as last_day,
        greatest(min(first_covered.day), min(parameters.last_day) - 364) as first_day
    from parameters
    cross join settings
    cross join first_covered
    inner join contact_sources on first_covered.source_id = contact_sources.source_id and contact_sources.record <> 'contacts'
),

days as (
    select days.day::date as day
    from span
    cross join generate_series(span.first_day::timestamp, span.last_day::timestamp, interval '1 day') as days (day)
),

-- a source that could tell of a contact on the day, and of which not all of the day is known
gaps as (
    select distinct days.day
    from days
    cross join contact_sources
    left join first_covered on contact_sources.source_id = first_covered.source_id
    left join covered on contact_sources.source_id = covered.source_id and days.day = covered.day
    left join evidence on contact_sources.source_id = evidence.source_id and days.day = evidence.day
    left join newest_contact_lists on contact_sources.source_id = newest_contact_lists.source_id
    where
        days.day >= coalesce(contact_sources.enabled_from, first_covered.day, '-infinity')
        and days.day < coalesce(contact_sources.disabled_from, 'infinity')
        and not case
            -- a list of the morning knows the day before
            when contact_sources.record = 'contacts' then coalesce(newest_contact_lists.as_of_date > days.day, false)
            -- the evidence knows what is quiet by declaration
            else coalesce(evidence.is_complete, covered.is_complete, false)
        end
),

known_days as (
    select
        days.day,
        (gaps.day is not null)::integer as is_incomplete,
        max(gaps.day) over (order by days.day) as last_incomplete
    from days
    left join gaps on days.day = gaps.day
),

newest_lists as materialized (
    select
        sources.source_id,
        (
            select max(e.as_of_date)
            from raw_enrolments as e
            where e.source_id = sources.source_id
        ) as as_of_date
    from sources
    where sources.record = 'enrolments'
),

newest_enrolments as materialized (
    select
        enrolments.student_id,
        enrolments.source_id,
        enrolments.row_number,
        enrolments.status,
        enrolments.status_from,
        enrolments.status_to
    from enrolments
    inner join newest_lists
        on enrolments.source_id = newest_lists.source_id and enrolments.as_of_date = newest_lists.as_of_date
    where
        enrolments.student_id in (
            select students.student_id
            from students
            where students.is_sponsored
        )
),

enrolled as (
    select
        student_id,
        min(status_from) as enrolled_from,
        max(status_to) as enrolled_to
    from newest_enrolments
    group by student_id
),

-- numbers, for they sort and join faster than names
sponsored as materialized (
    select
        students.student_id,
        (row_number() over (order by students.student_id))::integer as n,
        coalesce(students.programme_code, '') as programme_code,
        coalesce(students.cohort, '') as cohort,
        greatest(span.first_day, coalesce(enrolled.enrolled_from, '-infinity')) as first_day,
        coalesce(enrolled.enrolled_to, '-infinity') as enrolled_to
    from students
    cross join span
    cross join settings
    left join enrolled on students.student_id = enrolled.student_id
    where students.is_sponsored
),

-- of periods that overlap the one that started later speaks; a day in none says nothing: lists may forget what is past
status_days as (
    select distinct on (sponsored.n, days.day)
        sponsored.n,
        days.day,
        periods.status
    from newest_enrolments as periods
    inner join sponsored on periods.student_id = sponsored.student_id
    inner join days on periods.status_from <= days.day and periods.status_to > days.day
    where
        periods.student_id in (
            select away.student_id
            from newest_enrolments as away
            where away.status <> 'active'
        )
    order by
        sponsored.n asc, days.day asc,
        periods.status_from desc, periods.source_id asc, periods.row_number asc
),

snapshots as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from calendar
    group by source_id
),

terms as (
    select calendar.*
    from calendar
    inner join snapshots on calendar.source_id = snapshots.source_id and calendar.as_of_date = snapshots.as_of_date
),

studies as (
    select distinct
        programme_code,
        cohort
    from sponsored
),

-- where there is no calendar at all every day counts
term_days as (
    select distinct
        studies.programme_code,
        studies.cohort,
        days.day
    from days
    cross join settings
    cross join studies
    where
        not exists (select from terms)
        or exists (
            select from terms
            where
                days.day between terms.starts_on and terms.ends_on
                and settings.counted_in ? terms.kind
                and coalesce(terms.programme_code, studies.programme_code) = studies.programme_code
                and coalesce(terms.cohort, studies.cohort) = studies.cohort
        )
),

exempt_days as (
    select
        sponsored.n,
        days.day::date as day,
        min(exemptions.exemption_type) as exemption_type
    from exemptions
    inner join sponsored on exemptions.student_id = sponsored.student_id
    cross join span
    cross join settings
    cross join
        generate_series(
            greatest(exemptions.starts_on, span.first_day)::timestamp,
            least(exemptions.ends_on, span.last_day)::timestamp,
            interval '1 day'
        ) as days (day)
    where settings.exemption_types ? exemptions.exemption_type
    group by sponsored.n, days.day
),

every_contact as (
    select
        sponsored.n,
        daily_activity.activity_date as day,
        daily_activity.source_id,
        daily_activity.interactions as contacts
    from daily_activity
    inner join sponsored on daily_activity.student_id = sponsored.student_id
    where
        daily_activity.interactions > 0
        and daily_activity.source_id in (select contact_sources.source_id from contact_sources)
    union all
    select
        sponsored.n,
        (crm_contacts.contacted_at at time zone parameters.time_zone)::date as day,
        crm_contacts.source_id,
        1 as contacts
    from crm_contacts
    cross join parameters
    cross join settings
    inner join sponsored on crm_contacts.student_id = sponsored.student_id
    where
        settings.outcomes ? crm_contacts.outcome
        and crm_contacts.source_id in (select contact_sources.source_id from contact_sources)
),

contact_days as (
    select
        every_contact.n,
        every_contact.day,
        sum(every_contact.contacts)::integer as contact_points,
        string_agg(distinct contact_sources.title, ', ' order by contact_sources.title) as kinds
    from every_contact
    inner join contact_sources on every_contact.source_id = contact_sources.source_id
    group by every_contact.n, every_contact.day
),

contacts_before as (
    select
        contact_days.n,
        max(contact_days.day) as day
    from contact_days
    inner join sponsored on contact_days.n = sponsored.n and contact_days.day < sponsored.first_day
    group by contact_days.n
),

student_days as (
    select
        sponsored.n,
        sponsored.student_id,
        sponsored.first_day,
        known_days.day,
        known_days.is_incomplete,
        known_days.last_incomplete,
        contact_days.contact_points,
        contact_days.kinds,
        coalesce(
            max(case when contact_days.day is not null then known_days.day end)
                over (partition by sponsored.n order by known_days.day),
            contacts_before.day
        ) as last_contact_date,
        case
            when status_days.status <> 'active' then replace(status_days.status, '_', ' ')
            when known_days.day >= sponsored.enrolled_to then 'not enrolled'
            when exempt_days.day is not null then 'exempt: ' || exempt_days.exemption_type
            when term_days.day is null then 'outside term'
        end as not_counted_because
    from sponsored
    inner join known_days on sponsored.first_day <= known_days.day
    left join contact_days on sponsored.n = contact_days.n and known_days.day = contact_days.day
    left join contacts_before on sponsored.n = contacts_before.n
    left join status_days on sponsored.n = status_days.n and known_days.day = status_days.day
    left join exempt_days on sponsored.n = exempt_days.n and known_days.day = exempt_days.day
    left join term_days
        on
            sponsored.programme_code = term_days.programme_code
            and sponsored.cohort = term_days.cohort
            and known_days.day = term_days.day
),

-- a contact may hide on the last incomplete day: what is certain is counted from there
anchored as (
    select
        *,
        coalesce(last_contact_date, first_day - 1) as counted_from,
        greatest(coalesce(last_contact_date, first_day - 1), last_incomplete) as certain_from
    from student_days
),

counted as (
    select
        *,
        (count(*) filter (where not_counted_because is null and day > counted_from) over since_contact)::integer
            as counted_days,
        (count(*) filter (where not_counted_because is null and day > certain_from) over since_certain)::integer
            as certain_days,
        (sum(case when day > counted_from then is_incomplete else 0 end) over since_contact)::integer as incomplete_days
    from anchored
    window
        since_contact as (partition by n, counted_from order by day),
        since_certain as (partition by n, certain_from order by day)
),

-- who passed a day for certain before a feed broke has passed it
ensured as (
    select
        *,
        max(certain_days) over (partition by n, counted_from order by day) as surest_days
    from counted
),

final as (
    select
        ensured.student_id,
        ensured.day as contact_date,
        coalesce(ensured.contact_points, 0) as contact_points,
        ensured.kinds,
        ensured.last_contact_date,
        ensured.day - ensured.counted_from as days_since_last_contact_point,
        ensured.counted_days,
        ensured.certain_days,
        ensured.is_incomplete = 0 as is_complete,
        ensured.incomplete_days,
        settings.limit_days,
        settings.limit_days - ensured.counted_days as days_left,
        case
            when ensured.not_counted_because is not null then 'not_counted'
            when ensured.surest_days > settings.limit_days then 'over_limit'
            when ensured.counted_days > settings.limit_days then 'undetermined'
            when ensured.surest_days >= settings.warn_from then 'warning'
            when ensured.counted_days >= settings.warn_from then 'undetermined'
            else 'within'
        end as status,
        ensured.not_counted_because
    from ensured
    cross join settings
)

select * from final
