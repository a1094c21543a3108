with

composites as (select * from {{ ref('int_peer_composite') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

ties as (
    select
        week_start,
        position,
        peer_group,
        composite,
        count(*) as ties
    from composites
    group by week_start, position, peer_group, composite
),

ranked as (
    select
        *,
        sum(ties) over (
            partition by week_start, position, peer_group
            order by composite
        ) - (ties - 1) / 2.0 as midrank,
        sum(ties) over peers as n,
        count(*) over peers = 1 as has_no_variation
    from ties
    window peers as (partition by week_start, position, peer_group)
),

shares as (
    select
        *,
        ((midrank - 0.5) / n)::double precision as u
    from ranked
),

reduced as (
    select
        *,
        u - 0.5 as q,
        {{ inverse_normal_r('u') }} as r
    from shares
),

uncentred as (
    select
        reduced.*,
        case
            when parameters.calibration = 'normal_scores' then {{ inverse_normal('reduced.q', 'reduced.r') }}
            else reduced.composite
        end as value
    from reduced
    cross join parameters
),

-- exact sums: the order of rows changes no bit
moments as (
    select
        week_start,
        position,
        peer_group,
        (sum(ties * value::numeric) / sum(ties))::double precision as mean_value,
        sqrt(
            (sum(ties) * sum(ties * value::numeric * value::numeric) - sum(ties * value::numeric) ^ 2)::double precision
        ) / sum(ties) as sd_value
    from uncentred
    group by week_start, position, peer_group
),

calibrated as (
    select
        uncentred.*,
        case
            when uncentred.has_no_variation then 0
            when parameters.calibration = 'normal_scores' then uncentred.value - moments.mean_value
            else (uncentred.value - moments.mean_value) / moments.sd_value
        end as t
    from uncentred
    inner join moments
        on
            uncentred.week_start = moments.week_start
            and uncentred.position = moments.position
            and uncentred.peer_group = moments.peer_group
    cross join parameters
),

final as (
    select
        week_start,
        position,
        peer_group,
        composite,
        has_no_variation,
        t,
        least(1000, greatest(0, floor(500 + 100 * t + 0.5)))::smallint as score
    from calibrated
)

select * from final
