with

members as (select * from {{ ref('int_peer_member') }}),

metrics as (select * from {{ ref('int_smoothed_metric') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

-- exact sums: the order of rows changes no bit
moments as (
    select
        members.week_start,
        members.position,
        members.peer_group,
        metrics.source_id,
        avg(metrics.metric::numeric)::double precision as metric_mean,
        stddev_pop(metrics.metric::numeric)::double precision as metric_sd
    from members
    inner join metrics on members.week_start = metrics.week_start and members.student_id = metrics.student_id
    where members.is_sufficient
    group by members.week_start, members.position, members.peer_group, metrics.source_id
),

varying as (
    select
        *,
        metric_sd >= 1e-9 as is_counted,
        bool_or(metric_sd >= 1e-9) over (partition by week_start, position, peer_group) as has_variation
    from moments
),

-- where nothing varies all are equal, and the weights are those of the sources with data
considered as (
    select
        varying.*,
        sources.category,
        sources.category_weight,
        sources.source_weight
    from varying
    inner join sources on varying.source_id = sources.source_id
    where varying.is_counted or not varying.has_variation
),

final as (
    select
        week_start,
        position,
        peer_group,
        source_id,
        category,
        metric_mean,
        metric_sd,
        is_counted,
        (
            category_weight * source_weight
            / sum(source_weight::numeric) over (partition by week_start, position, peer_group, category)
        )::double precision as weight
    from considered
)

select * from final
