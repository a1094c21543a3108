with

final as (
    select
        count(*) filter (where action = 'open' and not is_withdrawal) as cases_asked_for,
        count(*) filter (where action = 'append' and not is_withdrawal) as added_to_open_cases,
        count(*) filter (where is_withdrawal) as withdrawn,
        count(*) filter (where state = 'pending') as not_sent_yet,
        count(*) filter (where state = 'failed') as given_up,
        count(distinct student_id) as students_asked_about
    from marts.case_action
    having count(*) > 0
)

select * from final
