with

final as (
    select
        max(as_of_date) as as_of_date,
        count(*) filter (where status = 'active') as students_active,
        count(*) filter (where status <> 'active') as students_not_active,
        count(distinct programme_code) as programmes
    from marts.student
    having count(*) > 0
)

select * from final
