{# The Monday of a day's week, by whole numbers: for millions of rows a function of time would cost more than their sum. #}
{% macro monday(day) -%}
    ({{ day }} - ({{ day }} - date '0001-01-01') % 7)
{%- endmacro %}
