with

final as (
    select
        max(week_start) as week_start,
        count(*) as students_to_contact,
        count(*) filter (where weeks_below_300 > 0) as students_below_300,
        count(*) filter (where consistently_low) as students_consistently_low,
        count(*) filter (where days_since_contact is null) as students_never_contacted
    from marts.contact_list
    having count(*) > 0
)

select * from final
