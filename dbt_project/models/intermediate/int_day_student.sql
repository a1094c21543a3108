{{ config(tags=['daily']) }}

with

build as (select * from {{ ref('int_day_build') }}),

rosters as (select * from {{ ref('int_day_roster') }}),

enrolments as not materialized (select * from {{ ref('stg_feeds__enrolments') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

days as (
    select distinct day
    from build
    where state is not null and mart in ('activity_windows', 'daily_rating')
),

-- an attribute that divides no group divides no profile either
used as (
    select
        {%- for attribute in roster_attributes() %}
            bool_or('{{ attribute }}' = any(attributes)) as {{ attribute }},
        {%- endfor %}
        count(*) as levels
    from peer_levels
    where peer_set = 'published'
),

-- one day at a time, by the index of its snapshot
holding as (
    select
        days.day,
        held.*
    from days
    inner join rosters on days.day = rosters.day
    cross join lateral (
        select enrolments.*
        from enrolments
        where
            enrolments.source_id = rosters.source_id
            and enrolments.as_of_date = rosters.as_of_date
            and enrolments.status_from <= days.day
            and enrolments.status_to > days.day
        offset 0 -- noqa: AM09
    ) as held
),

-- of two periods that hold, the one that started later speaks
speaking as (
    select distinct on (day, student_id) *
    from holding
    order by day asc, student_id asc, status_from desc, source_id asc, row_number asc
),

final as (
    select
        speaking.day,
        speaking.student_id,
        case
            when speaking.mode = any(parameters.part_time_modes) then parameters.part_time_days
            else parameters.full_time_days
        end as window_days,
        array[
            {%- for attribute in roster_attributes() %}
                case when used.{{ attribute }} then speaking.{{ attribute }} end{{ "," if not loop.last }}
            {%- endfor %}
        ] as profile
    from speaking
    cross join parameters
    cross join used
    where speaking.status = 'active'
)

select * from final
