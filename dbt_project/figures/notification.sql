with

newest as (select max(trigger_date) as trigger_date from marts.notification),

final as (
    select
        newest.trigger_date,
        count(distinct told.student_id) filter (
            where told.trigger_date = newest.trigger_date and told.status = 'raised'
        ) as students_raised_on_that_day,
        count(distinct told.student_id) filter (where told.status = 'raised') as students_raised,
        count(distinct told.student_id) filter (where told.status = 'held') as students_held,
        count(distinct told.student_id) filter (where told.status = 'dropped') as students_dropped,
        count(distinct told.student_id) filter (where told.status = 'undetermined') as students_undetermined,
        count(distinct told.student_id) filter (where told.status = 'superseded') as students_superseded
    from marts.notification as told
    cross join newest
    group by newest.trigger_date
)

select * from final
