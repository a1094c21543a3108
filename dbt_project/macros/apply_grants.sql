{#
    Grants as dbt makes them, to those roles that are there: who may not create roles has marts all the same. What is
    configured is all there is: dbt takes back what its own role granted besides, so readers are made members of these roles.
#}
{% macro apply_grants(relation, grant_config, should_revoke=True) -%}
    {%- set granted = {} -%}
    {%- for privilege, roles in (grant_config or {}).items() -%}
        {%- set found = run_query("select rolname from pg_roles where rolname = any('{" ~ roles | join(",") ~ "}')") -%}
        {%- do granted.update({privilege: found.columns[0].values() | list}) -%}
    {%- endfor -%}
    {%- do dbt.default__apply_grants(relation, granted, should_revoke) -%}
{%- endmacro %}
