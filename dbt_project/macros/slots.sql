{#
    Metrics of one student stand side by side, eight sources to a row: source number n (from 0) is slot n % 8 + 1 of chunk n / 8.
    A join on the student then meets one row where a row for each source would mean six; more than eight sources make more rows.
#}
{% macro slots() -%}
    {{ return(range(1, 9)) }}
{%- endmacro %}

{# Metrics are whole ten-millionths, so that sums of them and of their squares are exact in any order. #}
{% macro metric_unit() -%}
    1e7::double precision
{%- endmacro %}

{% macro sum_of_slots(name) -%}
    {%- for k in slots() -%}
        {{ name }}_{{ k }}{{ "\n        + " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The column of a row's own slot. #}
{% macro of_slot(slot, name) -%}
    case {{ slot }}
    {%- for k in slots() %}
            when {{ k }} then {{ name }}_{{ k }}
    {%- endfor %}
        end
{%- endmacro %}
