{{ config(tags=['daily']) }}

with

decided as (select * from {{ source('ops', 'exemption') }}),

lists as (select * from {{ ref('stg_feeds__exemptions') }}),

newest as (
    select
        source_id,
        max(as_of_date) as as_of_date
    from lists
    group by source_id
),

final as (
    select
        student_id,
        exemption_type,
        starts_on,
        ends_on
    from decided
    union
    select
        lists.student_id,
        lists.exemption_type,
        lists.starts_on,
        lists.ends_on
    from lists
    inner join newest on lists.source_id = newest.source_id and lists.as_of_date = newest.as_of_date
)

select * from final
