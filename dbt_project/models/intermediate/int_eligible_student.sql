{{ config(pre_hook="set local enable_nestloop = off") }}

with

student_weeks as (select * from {{ ref('int_student_week') }}),

exemptions as (select * from {{ ref('int_exemption') }}),

parameters as (select * from {{ source('ops', 'scoring_parameter') }}),

peer_levels as (select * from {{ source('ops', 'peer_level') }}),

teaching_weeks as (select * from {{ ref('int_teaching_week') }}),

weeks as (select distinct week_start from student_weeks),

exempt_days as (
    select
        weeks.week_start,
        exemptions.student_id,
        bit_or(
            (1 << least(7, exemptions.ends_on + 1 - weeks.week_start))
            - (1 << greatest(0, exemptions.starts_on - weeks.week_start))
        ) as days
    from weeks
    inner join exemptions
        on weeks.week_start + 6 >= exemptions.starts_on and weeks.week_start <= exemptions.ends_on
    group by weeks.week_start, exemptions.student_id
),

studies as (
    select distinct
        week_start,
        programme_code,
        cohort
    from student_weeks
),

taught as (
    select distinct
        studies.week_start,
        coalesce(studies.programme_code, '') as programme_code,
        coalesce(studies.cohort, '') as cohort
    from studies
    inner join teaching_weeks
        on
            studies.week_start = teaching_weeks.week_start
            and teaching_weeks.programme_code in ('', studies.programme_code)
            and teaching_weeks.cohort in ('', studies.cohort)
),

-- attributes that no level asks for are left out, so that few profiles remain
asked as materialized (
    select
        {% for attribute in roster_attributes() %}
            coalesce(bool_or('{{ attribute }}' = any(attributes)), false) as {{ attribute }},
        {% endfor %}
        count(*) as levels
    from peer_levels
),

eligible as (
    select
        student_weeks.week_start,
        student_weeks.student_id,
        taught.programme_code as teaching_programme,
        taught.cohort as teaching_cohort,
        array[
            {%- for attribute in roster_attributes() %}
                case when asked.{{ attribute }} then student_weeks.{{ attribute }} end{{ "," if not loop.last }}
            {%- endfor %}
        ] as attributes
    from student_weeks
    inner join taught
        on
            student_weeks.week_start = taught.week_start
            and coalesce(student_weeks.programme_code, '') = taught.programme_code
            and coalesce(student_weeks.cohort, '') = taught.cohort
    left join exempt_days
        on student_weeks.week_start = exempt_days.week_start and student_weeks.student_id = exempt_days.student_id
    cross join parameters
    cross join asked
    where
        student_weeks.is_active
        and 7 - bit_count((student_weeks.days_away | coalesce(exempt_days.days, 0))::bit(7)) >= parameters.min_eligible_days
),

distinct_attributes as (select distinct attributes from eligible),

profiles as (
    select
        attributes,
        attributes::text as attributes_text,
        (row_number() over (order by attributes))::integer as profile_id
    from distinct_attributes
),

final as (
    select
        eligible.week_start,
        eligible.student_id,
        eligible.teaching_programme,
        eligible.teaching_cohort,
        profiles.profile_id,
        profiles.attributes_text as attributes
    from eligible
    inner join profiles on eligible.attributes = profiles.attributes
)

select * from final
