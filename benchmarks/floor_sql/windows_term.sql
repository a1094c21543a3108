insert into floor.activity_windows
select
    student_id, activity_date, source_id,
    sum(n) over (known rows 6 preceding), sum(n) over (known rows 13 preceding), sum(n) over (known rows 20 preceding),
    least(7, days), least(14, days), least(21, days),
    activity_date - max(activity_date) filter (where n > 0) over known
from (
    select
        s.student_id, d.day::date as activity_date, %(source)s::text as source_id,
        coalesce(a.interactions, 0)::bigint as n, d.day::date - %(first)s::date + 1 as days
    from floor.student as s
    cross join unnest(%(days)s::date[]) as d (day)
    left join floor.daily_activity as a
        on a.source_id = %(source)s and a.student_id = s.student_id and a.activity_date = d.day
) as grid
window known as (partition by student_id order by activity_date);
