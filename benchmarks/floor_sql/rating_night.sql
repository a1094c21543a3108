insert into floor.daily_rating
with engaged as (
    select
        s.student_id, s.peer_group,
        coalesce(sum(x.weight * ln(1 + a.interactions) * (s.window_days - (%(day)s::date - a.activity_date))), 0)
        / max(s.window_days * c.days - c.days * (c.days - 1) / 2) as e
    from floor.student as s
    cross join lateral (select least(s.window_days, %(day)s::date - %(first)s::date + 1) as days) as c
    left join (
        floor.daily_activity as a inner join floor.source as x using (source_id)
    ) on
        a.student_id = s.student_id and a.activity_date <= %(day)s::date
        and a.activity_date > %(day)s::date - 21 and a.activity_date > %(day)s::date - s.window_days
    group by s.student_id, s.peer_group
),
medians as (
    select peer_group, percentile_cont(0.5) within group (order by e) as median from engaged where e > 0 group by peer_group
)
select
    student_id, %(day)s::date,
    case when e = 0 then 0 else 1 + width_bucket(round((e / median)::numeric, 9)::double precision, array[0.25, 0.6, 1.4, 2.2]) end
from engaged left join medians using (peer_group);
