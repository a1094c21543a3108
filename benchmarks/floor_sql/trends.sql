-- The week joined with what is known of the weeks before it.
insert into floor.score_trend
with attended as (
    select student_id, 100.0::double precision * sum(attended) / nullif(sum(expected), 0) as attendance_4w
    from floor.weekly
    where week_start between %(week)s::date - 21 and %(week)s::date
    group by student_id
),
students as (
    select
        s.student_id, s.peer_group, s.score, s.score - one.score as change_1w, s.score - four.score as change_4w,
        s.score - two.score as change_2w,
        case when s.score < 350 then coalesce(one.weeks_below_350, 0) + 1 else 0 end as weeks_below_350,
        case when s.score < 300 then coalesce(one.weeks_below_300, 0) + 1 else 0 end as weeks_below_300,
        case when s.score < one.score then coalesce(one.weeks_falling, 0) + 1 else 0 end as weeks_falling,
        a.attendance_4w, a.attendance_4w - four.attendance_4w as attendance_change
    from floor.weekly_score as s
    left join attended as a using (student_id)
    left join (select * from floor.score_trend where week_start = %(week)s::date - 7) as one using (student_id)
    left join (select * from floor.score_trend where week_start = %(week)s::date - 14) as two using (student_id)
    left join (select * from floor.score_trend where week_start = %(week)s::date - 28) as four using (student_id)
    where s.week_start = %(week)s::date
),
totals as (
    select peer_group, week_start, sum(interactions) as n
    from floor.weekly
    where week_start between %(week)s::date - 28 and %(week)s::date
    group by peer_group, week_start
),
usual as (
    select peer_group, percentile_cont(0.5) within group (order by n) as n, count(*) as weeks
    from totals where week_start < %(week)s::date group by peer_group
),
cohorts as (
    select
        peer_group,
        coalesce(avg((change_1w < -100)::integer) > 0.4, false)
        or coalesce(max(t.n) < max(u.n) / 2 and max(u.weeks) = 4, false) as cohort_event
    from students
    inner join totals as t using (peer_group)
    left join usual as u using (peer_group)
    where t.week_start = %(week)s::date
    group by peer_group
)
select
    student_id, %(week)s::date, score, change_1w, change_4w, change_4w < -100, weeks_below_350, weeks_below_300,
    weeks_below_350 >= 3, weeks_falling, change_2w >= 50, attendance_4w, change_4w < -100 and attendance_change <= -10,
    change_4w < -100 and attendance_4w >= 80, cohort_event
from students inner join cohorts using (peer_group);
insert into floor.score_distribution
select week_start, peer_group, least(800, score / 200 * 200), count(*)
from floor.weekly_score
where week_start = %(week)s::date
group by 1, 2, 3;
