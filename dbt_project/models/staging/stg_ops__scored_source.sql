with

sources as (select * from {{ source('ops', 'source') }}),

weights as (select * from {{ source('ops', 'category_weight') }}),

-- a weight of nothing is as good as no weight: such a source is shown, never scored
scored as (
    select
        sources.source_id,
        sources.record,
        sources.category,
        sources.enabled_from,
        sources.disabled_from,
        weights.weight as category_weight,
        coalesce(sources.weight, 1) as source_weight
    from sources
    inner join weights on sources.category = weights.category
    where
        sources.record in ('activity', 'attendance')
        and weights.weight > 0
        and coalesce(sources.weight, 1) > 0
),

-- where its metric stands, see macros/slots.sql
final as (
    select
        *,
        ((row_number() over (order by source_id) - 1) / 8)::integer as chunk,
        ((row_number() over (order by source_id) - 1) % 8 + 1)::integer as slot
    from scored
)

select * from final
