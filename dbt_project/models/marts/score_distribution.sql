{{
    config(
        tags=['weekly', 'follows_scores'],
        materialized='incremental',
        incremental_strategy='append',
        grants={'select': ['engage_bi']},
        indexes=[{'columns': ['week_start']}],
        pre_hook="{{ delete_outdated_weeks() }}",
        post_hook="analyze {{ this }}",
    )
}}

with

scores as (select * from {{ ref('weekly_score') }}),

weeks as ({{ weeks_to_follow() }}),

counted as (
    select
        scores.week_start,
        scores.revision,
        coalesce(scores.peer_level, '') as peer_level,
        coalesce(scores.peer_group, '') as peer_group,
        array[
            count(*) filter (where scores.score < 200),
            count(*) filter (where scores.score between 200 and 399),
            count(*) filter (where scores.score between 400 and 599),
            count(*) filter (where scores.score between 600 and 799),
            count(*) filter (where scores.score >= 800)
        ] as students
    from weeks
    inner join scores on weeks.week_start = scores.week_start
    group by scores.week_start, scores.revision, coalesce(scores.peer_level, ''), coalesce(scores.peer_group, '')
),

final as (
    select
        counted.week_start,
        counted.peer_level,
        counted.peer_group,
        (array['0-199', '200-399', '400-599', '600-799', '800-1000'])[bands.place] as band,
        (200 * (bands.place - 1))::smallint as band_from,
        bands.students::integer as students,
        counted.revision
    from counted
    cross join unnest(counted.students) with ordinality as bands (students, place)
)

select * from final
