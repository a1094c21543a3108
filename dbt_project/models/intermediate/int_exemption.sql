{{ config(tags=['daily'], unlogged=false) }}

-- Read between runs, which do not make it anew: it must survive a crash of Postgres.

with

exemptions as (select * from {{ source('ops', 'exemption') }}),

lists as (select * from {{ ref('stg_feeds__exemptions') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

newest as ({{ newest_list('lists', 'exemptions') }}),

decided as (
    select
        exemptions.student_id,
        exemptions.exemption_type,
        greatest(
            exemptions.starts_on, (exemptions.created_at at time zone parameters.time_zone)::date + 1
        ) as starts_on,
        exemptions.ends_on
    from exemptions
    cross join parameters
    where exemptions.deleted_at is null
),

named as (
    select
        source_id,
        student_id,
        exemption_type,
        starts_on,
        ends_on,
        min(created_on) as created_on,
        max(as_of_date) as last_named_on
    from lists
    group by source_id, student_id, exemption_type, starts_on, ends_on
),

-- off the list now, whether it had ended, was moved or was taken back: what had passed by the last list that named it stays
listed as (
    select
        named.student_id,
        named.exemption_type,
        greatest(named.starts_on, named.created_on + 1) as starts_on,
        case
            when named.last_named_on = newest.as_of_date then named.ends_on
            else least(named.ends_on, named.last_named_on)
        end as ends_on
    from named
    inner join newest on named.source_id = newest.source_id
),

united as (
    select * from decided
    union
    select * from listed
),

final as (
    select
        student_id,
        exemption_type,
        starts_on,
        ends_on
    from united
    where starts_on <= ends_on
)

select * from final
