-- What is known beforehand, and the tables. No keys: who writes each row once needs none.
create table floor.student as
select student_id, programme_code || ' / ' || year_of_study as peer_group, case mode when 'PT' then 21 else 7 end as window_days
from raw.enrolments;
create table floor.source (source_id text, category text, weight double precision);
insert into floor.source values
('attendance', 'attendance', 0.4), ('vle', 'vle', 0.15), ('lecture_capture', 'vle', 0.15),
('library_gates', 'library_access', 0.1), ('library_loans', 'library_access', 0.1), ('portal', 'other', 0.1);
create table floor.daily_activity (
    student_id text, activity_date date, source_id text, category text, interactions bigint, events bigint,
    first_at timestamptz, last_at timestamptz, expected integer, attended integer
);
create index on floor.daily_activity using brin (activity_date) with (pages_per_range = 16);
create table floor.activity_windows (
    student_id text, activity_date date, source_id text, interactions_7d bigint, interactions_14d bigint,
    interactions_21d bigint, covered_days_7d integer, covered_days_14d integer, covered_days_21d integer,
    days_since_last integer
);
create index on floor.activity_windows using brin (activity_date) with (pages_per_range = 16);
create table floor.notification (kind text, student_id text, trigger_date date);
create table floor.daily_rating (student_id text, rating_date date, rating smallint);
create table floor.weekly (
    week_start date, student_id text, peer_group text, expected bigint, attended bigint, interactions bigint,
    y1 double precision, y2 double precision, y3 double precision, y4 double precision, y5 double precision,
    y6 double precision
);
create unlogged table floor.wide (
    week_start date, student_id text, peer_group text, composite double precision, weight_left double precision,
    y1 double precision, y2 double precision, y3 double precision, y4 double precision, y5 double precision,
    y6 double precision, z1 double precision, z2 double precision, z3 double precision, z4 double precision,
    z5 double precision, z6 double precision
);
create table floor.weekly_score (
    student_id text, week_start date, score smallint, composite double precision, peer_group text, peer_n bigint
);
create table floor.weekly_score_part (
    student_id text, week_start date, source_id text, metric double precision, z double precision,
    weight double precision, contribution double precision
);
create table floor.score_trend (
    student_id text, week_start date, score smallint, change_1w integer, change_4w integer, declining boolean,
    weeks_below_350 integer, weeks_below_300 integer, consistently_low boolean, weeks_falling integer,
    recovering boolean, attendance_4w double precision, falling_together boolean, quiet_decline boolean,
    cohort_event boolean
);
create table floor.score_distribution (week_start date, peer_group text, band_from integer, students bigint);
-- Algorithm AS 241 (Wichura 1988) without its outermost branch.
create function floor.inverse_normal(q double precision, r double precision) returns double precision
language sql immutable as $$
select case when abs(q) <= 0.425 then q
* (((((((r*2509.0809287301226727+33430.575583588128105)*r+67265.770927008700853)*r+45921.953931549871457)*r+13731.693765509461125)*r+1971.5909503065514427)*r+133.14166789178437745)*r+3.387132872796366608)
/ (((((((r*5226.495278852854561+28729.085735721942674)*r+39307.89580009271061)*r+21213.794301586595867)*r+5394.1960214247511077)*r+687.1870074920579083)*r+42.313330701600911252)*r+1.0)
else sign(q)
* (((((((r*7.7454501427834140764e-4+0.0227238449892691845833)*r+0.24178072517745061177)*r+1.27045825245236838258)*r+3.64784832476320460504)*r+5.7694972214606914055)*r+4.6303378461565452959)*r+1.42343711074968357734)
/ (((((((r*1.05075007164441684324e-9+5.475938084995344946e-4)*r+0.0151986665636164571966)*r+0.14810397642748007459)*r+0.68976733498510000455)*r+1.6763848301838038494)*r+2.05319162663775882187)*r+1.0)
end
$$;
