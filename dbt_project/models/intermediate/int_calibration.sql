with

composites as (select * from {{ ref('int_peer_composite') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

ties as (
    select
        group_id,
        composite,
        count(*)::integer as ties
    from composites
    group by group_id, composite
),

ranked as (
    select
        *,
        sum(ties) over (partition by group_id order by composite) - (ties - 1) / 2.0::double precision as midrank,
        sum(ties) over peers as n,
        count(*) over peers = 1 as has_no_variation
    from ties
    window peers as (partition by group_id)
),

shares as (
    select
        *,
        (midrank - 0.5) / n as u
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

-- in whole units of 1e-12: the order of rows changes no bit
counted as (
    select
        group_id,
        ties,
        n,
        (value * 1e12::double precision)::bigint as units
    from uncentred
),

moments as (
    select
        group_id,
        sum(ties * units) / max(n) as mean_units,
        sqrt((max(n) * sum(ties * units::numeric * units) - sum(ties * units) ^ 2)::double precision) / max(n) as sd_units
    from counted
    group by group_id
),

calibrated as (
    select
        uncentred.*,
        case
            when uncentred.has_no_variation then 0
            when parameters.calibration = 'normal_scores'
                then uncentred.value - (moments.mean_units / 1e12)::double precision
            else (uncentred.value - (moments.mean_units / 1e12)::double precision) / (moments.sd_units / 1e12::double precision)
        end as t
    from uncentred
    inner join moments on uncentred.group_id = moments.group_id
    cross join parameters
),

final as (
    select
        group_id,
        composite,
        has_no_variation,
        t,
        least(1000, greatest(0, floor(500 + 100 * t + 0.5)))::smallint as score
    from calibrated
)

select * from final
