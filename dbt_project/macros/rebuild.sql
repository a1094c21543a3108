{# What the incremental marts do before and after their insert, all inside the model's own transaction. #}

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
    with claimed as (delete from ops.touched_day where is_claimed returning source_id, day)
    insert into ops.rebuilt_day (source_id, day) select source_id, day from claimed
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
