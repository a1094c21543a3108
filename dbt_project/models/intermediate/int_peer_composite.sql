with

parts as (select * from {{ ref('int_peer_part') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

-- exact sums: the order of rows changes no bit
totals as (
    select
        week_start,
        position,
        peer_group,
        student_id,
        is_own,
        sum(weight::numeric)::double precision as weight_left,
        sum((weight * z)::numeric)::double precision as weighted_z
    from parts
    group by week_start, position, peer_group, student_id, is_own
),

final as (
    select
        totals.week_start,
        totals.position,
        totals.peer_group,
        totals.student_id,
        totals.is_own,
        totals.weight_left,
        round((totals.weighted_z / totals.weight_left)::numeric, 9)::double precision as composite
    from totals
    cross join parameters
    where totals.weight_left >= parameters.min_category_weight - 1e-12
)

select * from final
