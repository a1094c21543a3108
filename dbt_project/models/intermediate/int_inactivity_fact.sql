{{ config(tags=['daily']) }}

with

triggered as (select * from {{ ref('int_inactivity') }}),

asked as materialized (
    select distinct
        student_id,
        trigger_date as on_date
    from triggered
    where student_id is not null
),

{{ known_of('asked') }},

final as (select * from known_then)

select * from final
