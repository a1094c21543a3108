-- The sums from three weeks of days; what is older is known from the day before.
insert into floor.activity_windows
select
    s.student_id, %(day)s::date, x.source_id, coalesce(r.i7, 0), coalesce(r.i14, 0), coalesce(r.i21, 0),
    least(7, c.days), least(14, c.days), least(21, c.days),
    coalesce(%(day)s::date - r.last_date, y.days_since_last + 1)
from floor.student as s
cross join floor.source as x
cross join (select %(day)s::date - %(first)s::date + 1 as days) as c
left join (
    select
        student_id, source_id,
        sum(interactions) filter (where activity_date > %(day)s::date - 7)::bigint as i7,
        sum(interactions) filter (where activity_date > %(day)s::date - 14)::bigint as i14,
        sum(interactions)::bigint as i21,
        max(activity_date) filter (where interactions > 0) as last_date
    from floor.daily_activity
    where activity_date > %(day)s::date - 21 and activity_date <= %(day)s::date
    group by student_id, source_id
) as r using (student_id, source_id)
left join (
    select student_id, source_id, days_since_last from floor.activity_windows where activity_date = %(day)s::date - 1
) as y using (student_id, source_id);
