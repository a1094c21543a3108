{# What the incremental marts do before and after their insert, all inside the model's own transaction. #}

{# All rows are replaced, and the table is not: what stands on it stays. #}
{% macro delete_all() -%}
    {% if is_incremental() %} delete from {{ this }} {% endif %}
{%- endmacro %}

{% macro claim_touched_days() -%}
    update ops.touched_day set is_claimed = true where not is_claimed
{%- endmacro %}

{% macro delete_claimed_days() -%}
    {% if is_incremental() %}
        delete from {{ this }} as old using ops.touched_day as touched
        where touched.is_claimed and old.source_id = touched.source_id and old.activity_date = touched.day
    {% endif %}
{%- endmacro %}

{# The days just rebuilt are kept until the next run: nightly tests look at these only. #}
{% macro release_claimed_days() -%}
    delete from ops.rebuilt_day;
    with claimed as (delete from ops.touched_day where is_claimed returning source_id, day),
    counted as (
        insert into ops.day_version as known (source_id, day, version) select source_id, day, 1 from claimed
        on conflict (source_id, day) do update set version = known.version + 1
    )
    insert into ops.rebuilt_day (source_id, day) select source_id, day from claimed
{%- endmacro %}

{#
    The marts that follow daily_activity: int_day_build says which days are not what they were built from. Found by the index,
    however long the history is: of a list the planner expects ten days, of a range a third of all.
#}
{% macro delete_days_to_build(day, by_source=false) -%}
    {% if is_incremental() %}
        delete from {{ this }} as old using {{ ref('int_day_build') }} as build
        where build.mart = '{{ this.identifier }}' and old.{{ day }} = build.day
            {% if by_source %} and old.source_id = build.source_id {% endif %}
            and old.{{ day }} = any(array(select day from {{ ref('int_day_build') }} where mart = '{{ this.identifier }}'))
    {% endif %}
{%- endmacro %}

{# From the first to the last of a week's days: SQL for so many, no more, is written. #}
{% macro most_days_to_build_of_a_week() -%}
    {# Where it does not stand yet nothing is made: only compiled. #}
    {% if not execute or load_relation(ref('int_day_build')) is none %}{{ return(7) }}{% endif %}
    {% set query %}
        select max(days) from (
            select max(day) - min(day) + 1 as days from {{ ref('int_day_build') }}
            where mart = '{{ this.identifier }}' and source_id <> '' and state is not null
            group by date_trunc('week', day::timestamp)
        ) as weeks
    {% endset %}
    {{ return(run_query(query).columns[0].values()[0] or 1) }}
{%- endmacro %}

{% macro remember_days_built() -%}
    delete from ops.built_day as old using {{ ref('int_day_build') }} as build
    where old.mart = '{{ this.identifier }}' and old.mart = build.mart
        and old.source_id = build.source_id and old.day = build.day;
    insert into ops.built_day (mart, source_id, day, state)
    select mart, source_id, day, state from {{ ref('int_day_build') }}
    where mart = '{{ this.identifier }}' and state is not null
{%- endmacro %}

{# Weeks whose sums are not kept, or were made from other days or for other slots. #}
{% macro weeks_to_sum() %}
    select weeks.week_start
    from {{ ref('int_week_state') }} as weeks
    {% if is_incremental() %}
    left join {{ source('ops', 'built_day') }} as built on built.mart = 'int_week_activity' and weeks.week_start = built.day
    where built.state is distinct from weeks.state
    {% endif %}
{% endmacro %}

{% macro delete_changed_weeks() -%}
    {% if is_incremental() %}
        delete from {{ this }} where week_start in ({{ weeks_to_sum() }})
    {% endif %}
{%- endmacro %}

{% macro remember_weeks_built() -%}
    insert into ops.built_day (mart, source_id, day, state)
    select 'int_week_activity', '', week_start, state from {{ ref('int_week_state') }}
    on conflict (mart, source_id, day) do update set state = excluded.state
{%- endmacro %}

{% macro delete_pending_weeks(grain) -%}
    {% if is_incremental() %}
        delete from {{ this }} where ({{ grain }}) in (select {{ grain }} from {{ ref('int_publication') }})
    {% endif %}
{%- endmacro %}

{% macro mark_weeks_published() -%}
    update ops.publication as p set state = 'published', config_version = parameters.config_version
    from {{ ref('int_publication') }} as done cross join ops.scoring_parameter as parameters
    where p.week_start = done.week_start and p.revision = done.revision and p.state = 'pending'
{%- endmacro %}

{# Days before it stay as they are: what they were made from may be gone (engage.privacy.retention). #}
{% macro settled_before() -%}
    (select coalesce(max(k.day), '-infinity'::date) from ops.kept_from as k where k.kind = 'settled')
{%- endmacro %}

{# Rows of days before it have been deleted: none is made again. #}
{% macro marts_kept_from() -%}
    (select coalesce(max(k.day), '-infinity'::date) from ops.kept_from as k where k.kind = 'marts')
{%- endmacro %}
