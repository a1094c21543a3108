{#
    What alert rules may ask of a student besides the score, as of the beginning of a day in the institution's time zone. `asked` is a
    relation with student_id and on_date, one row each. A student whom nobody knows has nulls, and yet no case and no exemption.
#}
{% macro known_of(asked) -%}
exempt_then as (
    select
        asked.student_id,
        asked.on_date,
        array_agg(distinct exemptions.exemption_type order by exemptions.exemption_type) as exemption_types
    from {{ asked }} as asked
    inner join {{ ref('int_exemption') }} as exemptions
        on
            asked.student_id = exemptions.student_id
            and asked.on_date >= exemptions.starts_on
            and asked.on_date <= exemptions.ends_on
    group by asked.student_id, asked.on_date
),

in_case_then as (
    select distinct
        asked.student_id,
        asked.on_date
    from {{ asked }} as asked
    cross join {{ source('ops', 'scoring_parameter') }} as zones
    inner join {{ ref('int_case') }} as cases
        on
            asked.student_id = cases.student_id
            and asked.on_date::timestamp at time zone zones.time_zone > cases.opened_at
            and asked.on_date::timestamp at time zone zones.time_zone <= coalesce(cases.closed_at, 'infinity')
),

contacted_then as (
    select
        asked.student_id,
        asked.on_date,
        (max(contacts.contacted_at) at time zone min(zones.time_zone))::date as last_contact_date
    from {{ asked }} as asked
    cross join {{ source('ops', 'scoring_parameter') }} as zones
    inner join {{ ref('int_contact') }} as contacts
        on
            asked.student_id = contacts.student_id
            and asked.on_date::timestamp at time zone zones.time_zone > contacts.contacted_at
    group by asked.student_id, asked.on_date
),

known_then as (
    select
        asked.student_id,
        asked.on_date,
        students.mode,
        students.programme_code,
        students.faculty_code,
        students.year_of_study,
        students.campus_residence,
        coalesce(exempt_then.exemption_types, '{}') as exemption_types,
        in_case_then.student_id is not null as open_case,
        contacted_then.last_contact_date
    from {{ asked }} as asked
    left join {{ ref('student') }} as students on asked.student_id = students.student_id
    left join exempt_then on asked.student_id = exempt_then.student_id and asked.on_date = exempt_then.on_date
    left join in_case_then on asked.student_id = in_case_then.student_id and asked.on_date = in_case_then.on_date
    left join contacted_then on asked.student_id = contacted_then.student_id and asked.on_date = contacted_then.on_date
)
{%- endmacro %}

{# As far back as a rule may ask; as in engage/contact/rules_file.py. #}
{% macro most_weeks() -%} 12 {%- endmacro %}
