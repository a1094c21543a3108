{{ config(tags=['daily', 'weekly'], unlogged=false, indexes=[{'columns': ['student_id']}]) }}

-- Read between runs, which do not make it anew: it must survive a crash of Postgres.

with

lists as (select * from {{ ref('stg_feeds__contacts') }}),

newest as ({{ newest_list('lists', 'contacts') }}),

final as (
    select
        lists.source_id,
        lists.contact_id,
        lists.student_id,
        lists.contacted_at,
        lists.channel,
        lists.outcome,
        lists.case_id,
        lists.contacted_by
    from lists
    inner join newest on lists.source_id = newest.source_id and lists.as_of_date = newest.as_of_date
)

select * from final
