-- The falling weights by two running sums over a row for every day: of e, and of e times the day.
insert into floor.daily_rating
with days as (
    select a.student_id, a.activity_date, sum(x.weight * ln(1 + a.interactions)) as e
    from floor.daily_activity as a inner join floor.source as x using (source_id)
    where a.interactions > 0
    group by a.student_id, a.activity_date
),
grid as (
    select
        s.student_id, s.peer_group, s.window_days, d.day::date - %(first)s::date as n, coalesce(e, 0) as e,
        coalesce(e, 0) * (d.day::date - %(first)s::date) as ne
    from floor.student as s
    cross join unnest(%(days)s::date[]) as d (day)
    left join days on days.student_id = s.student_id and days.activity_date = d.day
),
summed as (
    select
        student_id, peer_group, n, least(window_days, n + 1) as covered, window_days,
        case when window_days = 7 then (7 - n) * sum(e) over w7 + sum(ne) over w7
        else (21 - n) * sum(e) over w21 + sum(ne) over w21 end as total,
        case when window_days = 7 then max(e) over w7 else max(e) over w21 end > 0 as is_active
    from grid
    window
        w7 as (partition by student_id order by n rows 6 preceding),
        w21 as (partition by student_id order by n rows 20 preceding)
),
engaged as (
    select
        *, case when is_active then total / (window_days * covered - covered * (covered - 1) / 2) else 0 end as e
    from summed
),
medians as (
    select n, peer_group, percentile_cont(0.5) within group (order by e) as median
    from engaged where e > 0 group by n, peer_group
)
select
    student_id, %(first)s::date + n,
    case when e = 0 then 0 else 1 + width_bucket(round((e / median)::numeric, 9)::double precision, array[0.25, 0.6, 1.4, 2.2]) end
from engaged left join medians using (n, peer_group);
