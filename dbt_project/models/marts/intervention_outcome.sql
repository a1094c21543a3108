{{
    config(
        tags=['casework', 'after_scores'],
        materialized='incremental',
        incremental_strategy='append',
        indexes=[{'columns': ['student_id']}],
        pre_hook=["{{ delete_open_outcomes() }}", "set local enable_nestloop = off", "set local work_mem = '256MB'"],
        post_hook="analyze {{ this }}",
    )
}}

-- A comparison, never a proof: whoever is contacted is chosen, and those who are not may differ in what no score shows.
-- What is settled is kept: a night looks at the weeks since the oldest outcome that is still open.

with

cases as (select * from {{ ref('int_case') }}),

contacts as (select * from {{ ref('int_contact') }}),

scores as not materialized (select * from {{ ref('weekly_score') }}),

traces as not materialized (select * from {{ ref('int_student_trace') }}),

parameters as (
    select
        as_of,
        time_zone,
        recovery_from,
        (as_of at time zone time_zone)::date as today
    from {{ source('ops', 'scoring_parameter') }}
),

-- all that was done for students, the days of it in the time of the institution
done as materialized (
    select
        happened.*,
        (happened.occurred_at at time zone parameters.time_zone)::date as day
    from (
        select
            'case' as kind,
            source_id,
            case_id as intervention_id,
            student_id,
            opened_at as occurred_at
        from cases
        union all
        select
            'contact' as kind,
            source_id,
            contact_id as intervention_id,
            student_id,
            contacted_at as occurred_at
        from contacts
    ) as happened
    cross join parameters
    where happened.occurred_at <= parameters.as_of and happened.occurred_at::date >= {{ marts_kept_from() }}
),

known as (
    {% if is_incremental() %}
        select
            kind,
            source_id,
            intervention_id
        from {{ this }}
    {% else %}
        select
            null::text as kind,
            null::text as source_id,
            null::text as intervention_id
        where false
    {% endif %}
),

-- with the last published week that had ended before, found by the index
opened as materialized (
    select
        done.*,
        before.week_start,
        before.score
    from done
    left join known
        on
            done.kind = known.kind
            and done.source_id = known.source_id
            and done.intervention_id = known.intervention_id
    left join lateral (
        select
            scores.week_start,
            scores.score
        from scores
        where
            scores.student_id = done.student_id
            and scores.week_start between done.day - {{ looks_back() }} and done.day - 7
        order by scores.week_start desc
        limit 1
    ) as before on true
    where known.kind is null
),

-- A student's weeks, counted along the teaching weeks of their calendar: those without a row count, too. Of two rows that lie too
-- far apart it is not known how many, and no outcome spans them.
counted as (
    select
        *,
        sum(coalesce(array_position(weeks_before, week_before), 100)) over (
            partition by student_id
            order by week_start
        ) as place
    from (
        select
            scores.student_id,
            scores.week_start,
            scores.score,
            scores.peer_level,
            scores.peer_group,
            traces.weeks_before,
            lag(scores.week_start) over (partition by scores.student_id order by scores.week_start) as week_before
        from scores
        left join traces
            on
                scores.student_id = traces.student_id
                and scores.week_start = traces.week_start
                and scores.revision = traces.revision
                and traces.week_start >= (select min(opened.week_start) from opened)
        where scores.week_start >= (select min(opened.week_start) from opened)
    ) as in_order
),

-- what became of every score, also of those of whom nobody took care
courses as (
    select
        student_id,
        week_start,
        score,
        peer_level,
        peer_group,
        min(score) over four as score_4w,
        min(score) over five as score_5w,
        min(score) over six as score_6w,
        max(place) over (partition by student_id) >= place + 6 as is_over
    from counted
    window
        by_place as (partition by student_id order by place),
        four as (by_place range between 4 following and 4 following),
        five as (by_place range between 5 following and 5 following),
        six as (by_place range between 6 following and 6 following)
),

judged as materialized (
    select
        courses.*,
        courses.score_4w - courses.score as change_4w,
        courses.score_5w - courses.score as change_5w,
        courses.score_6w - courses.score as change_6w,
        case
            when greatest(courses.score_4w, courses.score_5w, courses.score_6w) - courses.score >= parameters.recovery_from
                then true
            when courses.is_over and num_nonnulls(courses.score_4w, courses.score_5w, courses.score_6w) > 0 then false
        end as recovered
    from courses
    cross join parameters
    where courses.score is not null
),

-- six weeks are over for the others, too: of who has left no more will come
group_weeks as (
    select
        week_start,
        peer_level,
        peer_group,
        bool_or(is_over) as is_over
    from judged
    group by week_start, peer_level, peer_group
),

measured as materialized (
    select
        opened.kind,
        opened.source_id,
        opened.intervention_id,
        opened.day,
        group_weeks.is_over as is_over_for_group,
        judged.*
    from opened
    inner join judged on opened.student_id = judged.student_id and opened.week_start = judged.week_start
    inner join group_weeks
        on
            judged.week_start = group_weeks.week_start
            and judged.peer_level = group_weeks.peer_level
            and judged.peer_group = group_weeks.peer_group
),

-- the same week, the same group, about the same score, and nobody took care of them
compared as (
    select
        measured.kind,
        measured.source_id,
        measured.intervention_id,
        count(*)::integer as comparable_students,
        case when count(others.change_4w) >= 5 then avg(others.change_4w)::double precision end as comparable_change_4w,
        case when count(others.change_5w) >= 5 then avg(others.change_5w)::double precision end as comparable_change_5w,
        case when count(others.change_6w) >= 5 then avg(others.change_6w)::double precision end as comparable_change_6w,
        case when count(others.recovered) >= 5 then avg(others.recovered::integer)::double precision end
            as comparable_recovered_share
    from measured
    inner join judged as others
        on
            measured.week_start = others.week_start
            and measured.peer_level = others.peer_level
            and measured.peer_group = others.peer_group
            and measured.student_id <> others.student_id
            and abs(measured.score - others.score) <= 50
    where
        not exists (
            select from done
            where done.student_id = others.student_id and done.day between measured.day - 14 and measured.day + 42
        )
    group by measured.kind, measured.source_id, measured.intervention_id
),

final as (
    select
        opened.student_id,
        opened.kind,
        opened.source_id,
        opened.intervention_id,
        opened.occurred_at,
        measured.week_start as week_before,
        measured.score as score_before,
        measured.score_4w,
        measured.score_5w,
        measured.score_6w,
        measured.change_4w::smallint as change_4w,
        measured.change_5w::smallint as change_5w,
        measured.change_6w::smallint as change_6w,
        measured.recovered,
        case when measured.student_id is not null then coalesce(compared.comparable_students, 0) end as comparable_students,
        compared.comparable_change_4w,
        compared.comparable_change_5w,
        compared.comparable_change_6w,
        compared.comparable_recovered_share,
        opened.day + 42 < parameters.today and coalesce(measured.is_over_for_group, true) as is_settled,
        parameters.as_of as judged_at
    from opened
    cross join parameters
    left join measured
        on
            opened.kind = measured.kind
            and opened.source_id = measured.source_id
            and opened.intervention_id = measured.intervention_id
    left join compared
        on
            opened.kind = compared.kind
            and opened.source_id = compared.source_id
            and opened.intervention_id = compared.intervention_id
)

select * from final
