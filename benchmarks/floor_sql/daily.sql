-- One day after the other, each from its own rows, which lie together.
insert into floor.daily_activity
select t.student_id, d.day, t.source_id, s.category, t.interactions, t.events, t.first_at, t.last_at, t.expected, t.attended
from unnest(%(days)s::date[]) as d (day)
cross join lateral (
    {activity}
    select
        student_id, 'attendance' as source_id, count(*) filter (where is_attended) as interactions,
        count(*) filter (where is_attended) as events, min(starts_at) filter (where is_attended) as first_at,
        max(starts_at) filter (where is_attended) as last_at, (count(*) filter (where is_mandatory))::integer as expected,
        (count(*) filter (where is_mandatory and is_attended))::integer as attended
    from floor.attendance
    where activity_date = d.day
    group by student_id
) as t
inner join floor.source as s using (source_id);
