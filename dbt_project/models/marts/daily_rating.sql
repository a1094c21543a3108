{{
    config(
        tags=['daily'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['student_id', 'rating_date']}, {'columns': ['rating_date']}],
        pre_hook=[
            "{{ delete_days_to_build('rating_date') }}", "{{ before_a_backfill() }}", "set local enable_nestloop = off"
        ],
        post_hook=["{{ remember_days_built() }}", "{{ after_a_backfill() }}"],
    )
}}

with

build as (select * from {{ ref('int_day_build') }}),

source_days as (select * from {{ ref('int_day_source') }}),

students as (select * from {{ ref('int_day_student') }}),

engagement as (select * from {{ ref('int_day_engagement') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

days as (
    select day
    from build
    where mart = 'daily_rating' and state is not null
),

covered_days as (
    select
        day,
        bool_and(is_covered) as is_covered_by_all
    from source_days
    where weight is not null
    group by day
    having bool_or(is_covered)
),

lengths as (
    select full_time_days as window_days from parameters
    union
    select part_time_days as window_days from parameters
),

-- today weighs as many as the window has days, the oldest day 1
windows as (
    select
        days.day,
        lengths.window_days,
        count(*)::smallint as covered_days,
        (count(*) filter (where covered_days.is_covered_by_all))::smallint as fully_covered_days,
        sum(lengths.window_days - (days.day - covered_days.day)) as total_weight
    from days
    cross join lengths
    inner join covered_days
        on days.day >= covered_days.day and days.day < covered_days.day + lengths.window_days
    group by days.day, lengths.window_days
),

-- one day at a time (all other joins are by hash: no planner knows how many groups a day has), both lengths in one pass;
-- whole billionths, whose sums are exact in any order; null for whom no source at all has seen in the window
sums as (
    select
        days.day,
        totals.*
    from days
    cross join parameters
    cross join lateral (
        select
            recent.student_id,
            sum(recent.engagement * (parameters.full_time_days - recent.age))
            filter (where recent.age < parameters.full_time_days) as full_time_total,
            sum(recent.engagement * (parameters.part_time_days - recent.age))
            filter (where recent.age < parameters.part_time_days) as part_time_total
        from (
            select
                engagement.student_id,
                (case when covered_days.day is null then 0 else engagement.engagement end)::double precision as engagement,
                days.day - engagement.day as age
            from engagement
            left join covered_days on engagement.day = covered_days.day
            where
                engagement.day > days.day - greatest(parameters.full_time_days, parameters.part_time_days)
                and engagement.day <= days.day
            offset 0 -- noqa: AM09
        ) as recent
        group by recent.student_id
    ) as totals
),

totals as (
    select
        students.*,
        case
            when students.window_days = parameters.full_time_days then sums.full_time_total
            else sums.part_time_total
        end as total
    from students
    cross join parameters
    left join sums on students.day = sums.day and students.student_id = sums.student_id
),

rated as (
    select
        totals.day,
        totals.student_id,
        totals.profile,
        totals.total is not null as is_seen,
        windows.window_days,
        windows.covered_days,
        windows.fully_covered_days,
        round((coalesce(totals.total, 0) / windows.total_weight)::numeric / 1000000000, 9)::double precision as engagement
    from totals
    inner join windows on totals.day = windows.day and totals.window_days = windows.window_days
),

profiles as (
    select
        day,
        profile,
        count(*) as students
    from rated
    group by day, profile
),

-- beyond the coarsest level all are compared with all
levels as (
    select
        position,
        peer_level,
        attributes
    from peer_levels
    where peer_set = 'published'
    union all
    select
        2147483647 as position,
        'institution' as peer_level,
        '{}' as attributes
),

shapes as (
    select distinct profile
    from profiles
),

attributes as (
    {%- for attribute in roster_attributes() %}
        select
            '{{ attribute }}' as attribute,
            {{ loop.index }} as place
        {{ "union all" if not loop.last }}
    {%- endfor %}
),

-- a level at which one of the student's attributes is unknown is skipped
peer_groups as (
    select
        shapes.profile,
        levels.position,
        levels.peer_level,
        coalesce(string_agg(shapes.profile[attributes.place], ' / ' order by keys.place), 'institution') as peer_group
    from shapes
    cross join levels
    left join lateral unnest(levels.attributes) with ordinality as keys (attribute, place) on true
    left join attributes on keys.attribute = attributes.attribute
    group by shapes.profile, levels.position, levels.peer_level
    having count(keys.attribute) = count(shapes.profile[attributes.place])
),

-- numbers, for they join and sort faster than names
sizes as (
    select
        profiles.day,
        profiles.profile,
        peer_groups.position,
        peer_groups.peer_level,
        peer_groups.peer_group,
        sum(profiles.students) over (partition by profiles.day, peer_groups.position, peer_groups.peer_group) as students,
        dense_rank() over (order by profiles.day, peer_groups.position, peer_groups.peer_group) as group_number
    from profiles
    inner join peer_groups on profiles.profile = peer_groups.profile
),

own as (
    select distinct on (sizes.day, sizes.profile) sizes.*
    from sizes
    cross join parameters
    where sizes.students >= parameters.min_group_size or sizes.position = 2147483647
    order by sizes.day asc, sizes.profile asc, sizes.position asc
),

-- everybody in a group that somebody is compared in, also those who are compared at a finer level
medians as (
    select
        sizes.group_number,
        percentile_cont(0.5) within group (order by rated.engagement) as median
    from rated
    inner join sizes on rated.day = sizes.day and rated.profile = sizes.profile
    where rated.engagement > 0 and sizes.group_number in (select own.group_number from own)
    group by sizes.group_number
),

compared_with as (
    select
        own.*,
        medians.median
    from own
    left join medians on own.group_number = medians.group_number
),

relative as (
    select
        rated.*,
        compared_with.peer_level,
        compared_with.peer_group,
        coalesce(round((rated.engagement / compared_with.median)::numeric, 9), 0)::double precision as relative
    from rated
    inner join compared_with on rated.day = compared_with.day and rated.profile = compared_with.profile
),

final as (
    select
        relative.student_id,
        relative.day as rating_date,
        (
            case when relative.is_seen then 1 + width_bucket(relative.relative, parameters.rating_cuts) else 0 end
        )::smallint as rating,
        case
            when not relative.is_seen then 'Inactive'
            else (array['Very Low', 'Low', 'Active', 'High', 'Very High'])[
                1 + width_bucket(relative.relative, parameters.rating_cuts)
            ]
        end as rating_label,
        relative.engagement,
        relative.relative,
        relative.window_days::smallint as window_days,
        relative.covered_days,
        relative.fully_covered_days,
        relative.peer_level,
        relative.peer_group
    from relative
    cross join parameters
)

select * from final
