-- The gaps between the days on which a student was seen, and in each every seventh day.
insert into floor.notification
with seen as (
    select student_id, activity_date
    from floor.daily_activity
    where
        source_id in ('vle', 'lecture_capture', 'portal') and interactions > 0
        and activity_date > %(first)s::date and activity_date <= %(day)s::date
    union
    select student_id, %(first)s::date from floor.student
),
gaps as (
    select
        student_id, activity_date,
        lead(activity_date, 1, %(day)s::date + 1) over (partition by student_id order by activity_date) - activity_date - 1
            as silent_days
    from seen
)
select 'no_digital_activity', student_id, activity_date + n + 1
from gaps cross join lateral generate_series(7, silent_days, 7) as n
where silent_days >= 7;

insert into floor.notification
with recursive low as materialized (
    select student_id, array_agg(activity_date order by activity_date) as days
    from (
        select student_id, activity_date
        from floor.activity_windows
        where
            source_id in ('attendance', 'vle', 'lecture_capture', 'portal')
            and activity_date >= %(first)s::date + 14 and activity_date <= %(day)s::date
        group by student_id, activity_date
        having sum(interactions_14d) <= 2
    ) as quiet
    group by student_id
),
triggered as (
    select student_id, days, days[1] as day from low
    union all
    select student_id, days, (select min(d) from unnest(days) as d where d >= day + 14) from triggered where day is not null
)
select 'low_activity', student_id, day + 1 from triggered where day is not null;
