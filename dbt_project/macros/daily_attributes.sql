{# Attributes of the roster that may divide students into peer groups, in the order of the profiles of int_day_student. #}
{% macro daily_attributes() -%}
    {{ return([
        'programme_code', 'faculty_code', 'year_of_study', 'mode', 'entry_band', 'cohort', 'campus_residence', 'tutor_id'
    ]) }}
{%- endmacro %}
