-- after the days are rebuilt: their versions are those of the rows
-- depends_on: {{ ref('daily_activity') }}

with

week_lags as (select * from {{ ref('int_week_lag') }}),

sources as (select * from {{ ref('stg_ops__scored_source') }}),

versions as (select * from {{ source('ops', 'day_version') }}),

weeks as (select distinct week_start from week_lags),

places as (
    select string_agg(concat_ws(' ', source_id, chunk, slot), ', ' order by source_id) as places
    from sources
),

days as (
    select
        weeks.week_start,
        string_agg(
            concat_ws(' ', versions.source_id, versions.day, versions.version), ', '
            order by versions.source_id, versions.day
        ) as days
    from weeks
    inner join versions on weeks.week_start <= versions.day and weeks.week_start + 7 > versions.day
    group by weeks.week_start
),

final as (
    select
        weeks.week_start,
        md5(concat_ws('; ', places.places, days.days)) as state
    from weeks
    cross join places
    left join days on weeks.week_start = days.week_start
)

select * from final
