with

eligible as (select * from {{ ref('int_eligible_student') }}),

publications as (select * from {{ ref('int_publication') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

students as (
    select distinct
        eligible.week_start,
        eligible.student_id,
        eligible.attributes
    from eligible
    inner join publications on eligible.week_start = publications.week_start
),

profiles as (select distinct attributes from students),

-- a level at which one of the student's attributes is unknown is skipped
peer_groups as (
    select
        profiles.attributes,
        peer_levels.position,
        peer_levels.peer_level,
        coalesce(
            string_agg(profiles.attributes ->> keys.attribute, ' / ' order by keys.place), 'institution'
        ) as peer_group
    from profiles
    cross join peer_levels
    left join lateral unnest(peer_levels.attributes) with ordinality as keys (attribute, place) on true
    group by profiles.attributes, peer_levels.position, peer_levels.peer_level
    having count(keys.attribute) = count(profiles.attributes ->> keys.attribute)
),

members as (
    select
        students.week_start,
        students.student_id,
        peer_groups.position,
        peer_groups.peer_level,
        peer_groups.peer_group
    from students
    inner join peer_groups on students.attributes = peer_groups.attributes
),

sizes as (
    select
        week_start,
        position,
        peer_group,
        count(*)::integer as peer_n
    from members
    group by week_start, position, peer_group
),

coarsest as (select max(position) as position from peer_levels),

sized as (
    select
        members.*,
        sizes.peer_n,
        sizes.peer_n >= parameters.min_group_size as is_large,
        members.position = coarsest.position as is_last_resort,
        sizes.peer_n >= parameters.min_institution_size as is_large_enough
    from members
    inner join sizes
        on
            members.week_start = sizes.week_start
            and members.position = sizes.position
            and members.peer_group = sizes.peer_group
    cross join parameters
    cross join coarsest
),

own as (
    select distinct on (week_start, student_id)
        week_start,
        student_id,
        position,
        peer_group
    from sized
    where is_large or is_last_resort
    order by week_start asc, student_id asc, position asc
),

used as (
    select distinct
        week_start,
        position,
        peer_group
    from own
),

-- everybody in a group that somebody is scored in, also those who are scored at a finer level
final as (
    select
        sized.week_start,
        sized.student_id,
        sized.position,
        sized.peer_level,
        sized.peer_group,
        sized.peer_n,
        sized.position = own.position as is_own,
        sized.is_large or (sized.is_last_resort and sized.is_large_enough) as is_sufficient
    from sized
    inner join used
        on
            sized.week_start = used.week_start
            and sized.position = used.position
            and sized.peer_group = used.peer_group
    left join own on sized.week_start = own.week_start and sized.student_id = own.student_id
)

select * from final
