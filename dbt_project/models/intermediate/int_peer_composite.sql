{{ config(pre_hook="set local enable_nestloop = off") }}

with

metrics as (select * from {{ ref('int_smoothed_metric') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_groups as (select * from {{ ref('int_peer_group') }}),

peer_sources as (select * from {{ ref('int_peer_source') }}),

-- a source that does not count, but is all that there is, adds weight and no distance
wide as (
    select
        group_id,
        {% for k in slots() %}
            max(metric_mean) filter (where slot = {{ k }}) as mean_{{ k }},
            max(case when is_counted then metric_sd else 'infinity' end) filter (where slot = {{ k }}) as sd_{{ k }},
            max(weight) filter (where slot = {{ k }}) as weight_{{ k }},
        {% endfor %}
        chunk
    from peer_sources
    group by group_id, chunk
),

-- in whole units of 1e-15 of the most there can be: the order of rows and of sources changes no bit
units as (
    select
        metrics.week_start,
        metrics.student_id,
        peer_groups.group_id,
        peer_groups.is_own,
        parameters.max_z,
        {% for k in slots() %}
            case
                when metrics.metric_{{ k }} is not null and wide.weight_{{ k }} is not null
                    then round(wide.weight_{{ k }} * 1e15::double precision)
                else 0
            end as weight_{{ k }},
            case
                when metrics.metric_{{ k }} is not null and wide.weight_{{ k }} is not null
                    then round(
                        greatest(
                            -1,
                            least(
                                1,
                                (metrics.metric_{{ k }} / {{ metric_unit() }} - wide.mean_{{ k }})
                                / wide.sd_{{ k }} / parameters.max_z
                            )
                        ) * wide.weight_{{ k }} * 1e15::double precision
                    )
                else 0
            end as z_{{ k }},
        {% endfor %}
        parameters.min_category_weight
    from metrics
    inner join peer_groups on metrics.week_start = peer_groups.week_start and metrics.profile_id = peer_groups.profile_id
    inner join wide on peer_groups.group_id = wide.group_id and metrics.chunk = wide.chunk
    cross join parameters
),

added as (
    select
        *,
        {{ sum_of_slots('weight') }} as weight_units,
        {{ sum_of_slots('z') }} as z_units
    from units
),

totals as (
    select
        week_start,
        student_id,
        group_id,
        is_own,
        max_z,
        min_category_weight,
        sum(weight_units) as weight_units,
        sum(z_units) as z_units
    from added
    group by week_start, student_id, group_id, is_own, max_z, min_category_weight
),

final as (
    select
        week_start,
        student_id,
        group_id,
        is_own,
        weight_units / 1e15::double precision as weight_left,
        round((z_units / weight_units * max_z)::numeric, 9)::double precision as composite
    from totals
    where weight_units > 0 and weight_units / 1e15::double precision >= min_category_weight - 1e-12
)

select * from final
