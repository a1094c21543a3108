-- A week: sources side by side, four weeks weighed, the groups' moments joined, ranks made normal.
insert into floor.weekly
select
    %(week)s::date, s.student_id, s.peer_group, a.expected, a.attended, coalesce(a.interactions, 0),
    (a.attended + 0.5) / (nullif(a.expected, 0) + 1)::double precision,
    ln(1 + coalesce(a.n2, 0)::double precision),
    ln(1 + coalesce(a.n3, 0)::double precision),
    ln(1 + coalesce(a.n4, 0)::double precision),
    ln(1 + coalesce(a.n5, 0)::double precision),
    ln(1 + coalesce(a.n6, 0)::double precision)
from floor.student as s
left join (
    select
        student_id, sum(expected) as expected, sum(attended) as attended, sum(interactions)::bigint as interactions,
        sum(interactions) filter (where source_id = 'vle') as n2,
        sum(interactions) filter (where source_id = 'lecture_capture') as n3,
        sum(interactions) filter (where source_id = 'library_gates') as n4,
        sum(interactions) filter (where source_id = 'library_loans') as n5,
        sum(interactions) filter (where source_id = 'portal') as n6
    from floor.daily_activity
    where activity_date between %(week)s::date and %(week)s::date + 6
    group by student_id
) as a using (student_id);

insert into floor.wide
with lags (week_start, weight) as (
    values (%(week)s::date, 1.0::double precision), (%(week)s::date - 7, 0.5), (%(week)s::date - 14, 0.25), (%(week)s::date - 21, 0.125)
),
smoothed as (
    select
        student_id, peer_group, sum(weight * y1) / sum(weight) filter (where y1 is not null) as y1,
        sum(weight * y2) / sum(weight) as y2,
        sum(weight * y3) / sum(weight) as y3,
        sum(weight * y4) / sum(weight) as y4,
        sum(weight * y5) / sum(weight) as y5,
        sum(weight * y6) / sum(weight) as y6
    from floor.weekly inner join lags using (week_start)
    group by student_id, peer_group
),
moments as (
    select
        peer_group,
        avg(y1) as m1, stddev_pop(y1) as s1,
        avg(y2) as m2, stddev_pop(y2) as s2,
        avg(y3) as m3, stddev_pop(y3) as s3,
        avg(y4) as m4, stddev_pop(y4) as s4,
        avg(y5) as m5, stddev_pop(y5) as s5,
        avg(y6) as m6, stddev_pop(y6) as s6
    from smoothed
    group by peer_group
),
scaled as (
    select
        student_id, peer_group, y1, y2, y3, y4, y5, y6, case when y1 is null then 0.6 else 1.0 end as weight_left,
        greatest(-3, least(3, (y1 - m1) / s1)) as z1,
        greatest(-3, least(3, (y2 - m2) / s2)) as z2,
        greatest(-3, least(3, (y3 - m3) / s3)) as z3,
        greatest(-3, least(3, (y4 - m4) / s4)) as z4,
        greatest(-3, least(3, (y5 - m5) / s5)) as z5,
        greatest(-3, least(3, (y6 - m6) / s6)) as z6
    from smoothed inner join moments using (peer_group)
)
select
    %(week)s::date, student_id, peer_group,
    round(((coalesce(0.4 * z1, 0) + 0.15 * z2 + 0.15 * z3 + 0.1 * z4 + 0.1 * z5 + 0.1 * z6) / weight_left)::numeric, 9),
    weight_left, y1, y2, y3, y4, y5, y6, z1, z2, z3, z4, z5, z6
from scaled;

insert into floor.weekly_score
with ranked as (
    select
        student_id, peer_group, composite, count(*) over (partition by peer_group) as n,
        rank() over (partition by peer_group order by composite)
        + (count(*) over (partition by peer_group, composite) - 1) / 2.0::double precision as midrank
    from floor.wide
    where week_start = %(week)s::date
),
shares as (
    select
        *, (midrank - 0.5) / n - 0.5 as q,
        case
            when abs((midrank - 0.5) / n - 0.5) <= 0.425 then 0.180625 - ((midrank - 0.5) / n - 0.5) ^ 2
            else sqrt(-ln(least((midrank - 0.5) / n, 1 - (midrank - 0.5) / n))) - 1.6
        end as r
    from ranked
    offset 0
),
normal as (select *, floor.inverse_normal(q, r) as t from shares offset 0),
centred as (select *, t - avg(t) over (partition by peer_group) as deviation from normal)
select
    student_id, %(week)s::date, least(1000, greatest(0, floor(500 + 100 * deviation + 0.5))), composite, peer_group, n
from centred;
