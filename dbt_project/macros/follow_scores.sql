{# What follows from published scores: made after them, and anew from the first week whose revision is another. #}

{# How many days back a teaching week may lie and still be one of those before: longer than any vacation. #}
{% macro looks_back() -%} 182 {%- endmacro %}

{# A run killed after it had published, or a restatement: all later weeks may depend on that one. #}
{% macro delete_outdated_weeks() -%}
    {% if is_incremental() %}
        delete from {{ this }} where week_start >= (
            select min(weeks.week_start)
            from (select distinct week_start from ops.publication where week_start >= {{ settled_before() }}) as weeks
            where {{ revision_in(ref('weekly_score')) }} is distinct from {{ revision_in(this) }}
        )
    {% endif %}
{%- endmacro %}

{# The weeks of scores that have no row here. #}
{% macro weeks_to_follow() -%}
    select weeks.week_start
    from (select distinct p.week_start from {{ source('ops', 'publication') }} as p) as weeks
    {% if is_incremental() %}
    where {{ revision_in(this) }} is null and weeks.week_start >= {{ settled_before() }}
    {% endif %}
{%- endmacro %}

{# The revision that a relation has of weeks.week_start. Ordered, so that the planner goes by the index on the week however long the history is. #}
{% macro revision_in(relation) -%}
    (
        select case when t.week_start = weeks.week_start then t.revision end
        from {{ relation }} as t where t.week_start >= weeks.week_start order by t.week_start limit 1
    )
{%- endmacro %}
