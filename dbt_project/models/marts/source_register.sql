{{ config(tags=['daily']) }}

with

sources as (select * from {{ source('ops', 'source') }}),

deliveries as (select * from {{ source('ops', 'delivery') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

begun as (
    select
        deliveries.source_id,
        min((deliveries.landed_at at time zone parameters.time_zone)::date) as first_day
    from deliveries
    cross join parameters
    group by deliveries.source_id
),

final as (
    select
        sources.source_id,
        sources.title,
        coalesce(sources.system, 'not recorded yet') as system,
        sources.record,
        sources.category,
        coalesce(sources.purpose, 'not recorded yet') as purpose,
        sources.lawful_basis,
        sources.dpia_reference,
        sources.dpia_date,
        sources.owner_name,
        sources.retention_days,
        begun.first_day as in_use_from,
        sources.disabled_from - 1 as in_use_to,
        num_nulls(sources.system, sources.purpose, sources.dpia_date, sources.retention_days) = 0
        and 'not recorded yet' not in (sources.lawful_basis, sources.dpia_reference, sources.owner_name) as is_complete
    from sources
    left join begun on sources.source_id = begun.source_id
)

select * from final
