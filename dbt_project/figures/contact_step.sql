with

final as (
    select
        count(distinct student_id) filter (where run_status = 'running') as students_on_a_ladder,
        count(distinct student_id) filter (where is_due_today) as students_with_a_step_due,
        count(distinct student_id) filter (where is_overdue) as students_with_a_step_overdue,
        count(distinct student_id) filter (where status = 'due' and policy is not null) as students_at_the_emergency_step,
        count(distinct student_id) filter (where stopped_by = 'answered') as students_who_answered,
        count(distinct student_id) filter (where stopped_by = 'active_again') as students_active_again
    from marts.contact_step
    having count(*) > 0
)

select * from final
