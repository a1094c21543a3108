with

eligible as (select * from {{ ref('int_eligible_student') }}),

publications as (select * from {{ ref('int_publication') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

scored_weeks as (select distinct week_start from publications),

levels as (
    select
        *,
        position = max(position) over (partition by peer_set) as is_last_resort
    from peer_levels
),

profiles as (
    select
        eligible.week_start,
        eligible.profile_id,
        eligible.attributes,
        count(*) as students
    from eligible
    inner join scored_weeks on eligible.week_start = scored_weeks.week_start
    group by eligible.week_start, eligible.profile_id, eligible.attributes
),

-- a level at which one of the student's attributes is unknown is skipped
named as (
    select
        profiles.week_start,
        profiles.profile_id,
        profiles.students,
        levels.peer_set,
        levels.position,
        levels.peer_level,
        levels.is_last_resort,
        coalesce(names.peer_group, 'institution') as peer_group
    from profiles
    cross join levels
    cross join
        lateral (
            select
                string_agg(known.value, ' / ' order by keys.place) as peer_group,
                count(keys.attribute) = count(known.value) as is_known
            from unnest(levels.attributes) with ordinality as keys (attribute, place)
            left join unnest(array{{ roster_attributes() }}, profiles.attributes::text[]) as known (attribute, value)
                on keys.attribute = known.attribute
        ) as names
    where names.is_known
),

sized as (
    select
        *,
        (sum(students) over same_group)::integer as peer_n,
        (dense_rank() over (order by week_start, position, peer_group))::integer as group_id
    from named
    window same_group as (partition by week_start, position, peer_group)
),

judged as (
    select
        sized.*,
        sized.peer_n >= parameters.min_group_size
        or (sized.is_last_resort and sized.peer_n >= parameters.min_institution_size) as is_sufficient,
        sized.position = min(sized.position) filter (
            where sized.peer_n >= parameters.min_group_size or sized.is_last_resort
        ) over (partition by sized.week_start, sized.profile_id, sized.peer_set) as is_own
    from sized
    cross join parameters
),

-- groups that somebody is scored in, with everybody in them, also those who are scored at a finer level
used as (
    select
        *,
        bool_or(is_own) over (partition by group_id) as is_used
    from judged
),

final as (
    select
        week_start,
        profile_id,
        group_id,
        peer_set,
        position,
        peer_level,
        peer_group,
        peer_n,
        coalesce(is_own, false) as is_own,
        is_sufficient
    from used
    where is_used
)

select * from final
