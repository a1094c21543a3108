{# What students may be divided into peer groups by, in the order in which profiles hold it; as in engage/configuration.py. #}
{% macro roster_attributes() -%}
    {{ return([
        'programme_code', 'faculty_code', 'year_of_study', 'mode', 'entry_band', 'cohort', 'campus_residence', 'tutor_id'
    ]) }}
{%- endmacro %}
