{{ config(tags=['daily', 'weekly'], unlogged=false, indexes=[{'columns': ['student_id']}]) }}

-- Read between runs, which do not make it anew: it must survive a crash of Postgres.

with

lists as (select * from {{ ref('stg_feeds__cases') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

newest as ({{ newest_list('lists', 'cases') }}),

named as (
    select
        source_id,
        case_id,
        max(as_of_date) as as_of_date
    from lists
    group by source_id, case_id
),

-- a list may name open cases only: one that it names no longer was closed after the last that did
final as (
    select
        lists.source_id,
        lists.case_id,
        lists.student_id,
        lists.kind,
        lists.status,
        lists.opened_at,
        case
            when lists.closed_at is not null or lists.as_of_date = newest.as_of_date then lists.closed_at
            else greatest(lists.opened_at, (lists.as_of_date + 1)::timestamp at time zone parameters.time_zone)
        end as closed_at,
        lists.assigned_to
    from lists
    inner join named
        on
            lists.source_id = named.source_id
            and lists.case_id = named.case_id
            and lists.as_of_date = named.as_of_date
    inner join newest on lists.source_id = newest.source_id
    cross join parameters
)

select * from final
