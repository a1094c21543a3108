{{ config(pre_hook="set local enable_nestloop = off") }}

with

peer_groups as (select * from {{ ref('int_peer_group') }}),

metrics as (select * from {{ ref('int_smoothed_metric') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

-- each student once, however many groups count them
profile_sums as (
    select
        week_start,
        profile_id,
        {% for k in slots() %}
            count(metric_{{ k }}) as n_{{ k }},
            sum(metric_{{ k }}) as sum_{{ k }},
            sum(metric_{{ k }}::bigint * metric_{{ k }}) as squares_{{ k }},
        {% endfor %}
        chunk
    from metrics
    group by week_start, profile_id, chunk
),

sums as (
    select
        profile_sums.week_start,
        profile_sums.profile_id,
        sources.source_id,
        {{ of_slot('sources.slot', 'profile_sums.n') }} as n,
        {{ of_slot('sources.slot', 'profile_sums.sum') }} as sum,
        {{ of_slot('sources.slot', 'profile_sums.squares') }} as squares
    from profile_sums
    inner join sources on profile_sums.chunk = sources.chunk
),

-- whole numbers: the order of rows changes no bit
totals as (
    select
        peer_groups.group_id,
        sums.source_id,
        sum(sums.n) as n,
        sum(sums.sum) as sum,
        sum(sums.squares) as squares
    from sums
    inner join peer_groups on sums.week_start = peer_groups.week_start and sums.profile_id = peer_groups.profile_id
    where peer_groups.is_sufficient and sums.n > 0
    group by peer_groups.group_id, sums.source_id
),

moments as (
    select
        group_id,
        source_id,
        (sum / n)::double precision / {{ metric_unit() }} as metric_mean,
        sqrt((n * squares - sum * sum)::double precision) / n::double precision / {{ metric_unit() }} as metric_sd
    from totals
),

-- where nothing varies all are equal, and the weights are those of the sources with data
weighed as (
    select
        *,
        metric_sd >= 1e-9 as is_counted,
        metric_sd >= 1e-9 or not bool_or(metric_sd >= 1e-9) over (partition by group_id) as is_weighed
    from moments
),

groups as (
    select distinct
        week_start,
        group_id,
        peer_set,
        position,
        peer_group
    from peer_groups
),

final as (
    select
        groups.week_start,
        groups.peer_set,
        groups.position,
        groups.peer_group,
        groups.group_id,
        weighed.source_id,
        sources.category,
        sources.chunk,
        sources.slot,
        weighed.metric_mean,
        weighed.metric_sd,
        weighed.is_counted,
        case
            when weighed.is_weighed
                then
                    sources.category_weight * sources.source_weight
                    / sum(sources.source_weight::numeric) filter (where weighed.is_weighed) over (
                        partition by weighed.group_id, sources.category
                    )
        end::double precision as weight
    from weighed
    inner join groups on weighed.group_id = groups.group_id
    inner join sources on weighed.source_id = sources.source_id
)

select * from final
