{{ config(tags=['weekly'], materialized='view') }}

with

days as (select generate_series(timestamp '2000-01-01', timestamp '2049-12-31', interval '1 day') as calendar_date),

final as (select calendar_date::date as calendar_date from days)

select * from final
