{# What may still change, or rests on a week that was restated since: made anew. #}
{% macro delete_open_outcomes() -%}
    {% if is_incremental() %}
        delete from {{ this }} as old
        where
            old.occurred_at::date >= {{ settled_before() }}
            and (
                not old.is_settled
                or exists (
                    select from ops.publication as p
                    where
                        p.revision > 0
                        and p.published_at > old.judged_at
                        and p.week_start between old.week_before and old.week_before + {{ looks_back() }}
                )
            )
    {% endif %}
{%- endmacro %}
