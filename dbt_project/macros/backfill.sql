{#
    A backfill writes more days than it finds: indexes are then made once, after it, and statistics taken, or else every next
    model plans as if the table were as before. A night keeps both. All in the model's transaction: killed, nothing is gone.
#}

{% macro is_backfill() -%}
    {% if this.identifier == 'daily_activity' -%}
        (select count(*) > 50 + (select count(*) from ops.day_version) from ops.touched_day where is_claimed)
    {%- else -%}
        (
            select count(*) > 7 + (select count(*) from ops.built_day where mart = '{{ this.identifier }}')
            from {{ ref('int_day_build') }} where mart = '{{ this.identifier }}' and state is not null
        )
    {%- endif %}
{%- endmacro %}

{% macro before_a_backfill() -%}
    {% if is_incremental() %}
    do $$
    declare old record;
    begin
        if {{ is_backfill() }} then
            create temporary table index_to_make (definition text) on commit drop;
            for old in select indexrelid::regclass as name from pg_index where indrelid = '{{ this }}'::regclass loop
                insert into index_to_make select pg_get_indexdef(old.name);
                execute format('drop index %s', old.name);
            end loop;
        end if;
    end
    $$
    {% endif %}
{%- endmacro %}

{% macro after_a_backfill() -%}
    {% if is_incremental() %}
    do $$
    declare one record;
    begin
        if to_regclass('pg_temp.index_to_make') is not null then
            for one in select definition from index_to_make loop
                execute one.definition;
            end loop;
            drop table index_to_make;
            analyze {{ this }};
        end if;
    end
    $$
    {% else %}
    analyze {{ this }}
    {% endif %}
{%- endmacro %}
