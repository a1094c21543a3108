-- What each source gave to each score, from what the score was made of.
insert into floor.weekly_score_part
select student_id, week_start, v.source_id, v.metric, v.z, v.weight / weight_left, v.weight / weight_left * v.z
from floor.wide
cross join lateral (
    values
    ('attendance', y1, z1, 0.4),
    ('vle', y2, z2, 0.15),
    ('lecture_capture', y3, z3, 0.15),
    ('library_gates', y4, z4, 0.1),
    ('library_loans', y5, z5, 0.1),
    ('portal', y6, z6, 0.1)
) as v (source_id, metric, z, weight)
where week_start = %(week)s::date and v.metric is not null;
