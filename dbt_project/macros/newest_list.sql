{# The date of the newest list of each source, one that is empty, too: of that there are only the ledger's days. #}
{% macro newest_list(lists, record) %}
    select
        dates.source_id,
        max(dates.as_of_date) as as_of_date
    from (
        select
            source_id,
            as_of_date
        from {{ lists }}
        union all
        select
            batch_days.source_id,
            batch_days.day as as_of_date
        from {{ source('ops', 'batch_day') }} as batch_days
        inner join {{ source('ops', 'batch') }} as batches on batch_days.batch_id = batches.batch_id
        inner join {{ source('ops', 'source') }} as sources on batch_days.source_id = sources.source_id
        where
            batch_days.is_current
            and batch_days.is_covered
            and batches.state = 'published'
            and sources.record = '{{ record }}'
    ) as dates
    group by dates.source_id
{% endmacro %}
