-- The day's windows know when each student was last seen; the calendar says that the count begins after the first day.
insert into floor.notification
with counted as (
    select
        student_id,
        least(
            coalesce(min(days_since_last) filter (where source_id in ('vle', 'lecture_capture', 'portal')), 9999),
            %(day)s::date - %(first)s::date
        ) as silent_days,
        sum(interactions_14d) as interactions
    from floor.activity_windows
    where activity_date = %(day)s::date and source_id in ('attendance', 'vle', 'lecture_capture', 'portal')
    group by student_id
)
select 'no_digital_activity', student_id, %(day)s::date + 1
from counted
where silent_days > 0 and silent_days %% 7 = 0
union all
select 'low_activity', student_id, %(day)s::date + 1
from counted
where
    interactions <= 2 and %(day)s::date - %(first)s::date >= 14
    and not exists (
        select from floor.notification as n
        where n.student_id = counted.student_id and n.kind = 'low_activity' and n.trigger_date > %(day)s::date - 13
    );
