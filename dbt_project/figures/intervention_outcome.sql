-- a share of the rounded counts: an exact one would undo the rounding
with

settled as (
    select *
    from marts.intervention_outcome
    where is_settled and recovered is not null
),

final as (
    select
        count(distinct student_id) as students_with_a_settled_outcome,
        count(distinct student_id) filter (where recovered) as students_recovered,
        case
            when count(distinct student_id) > 22
                then round(
                    100 * round(count(distinct student_id) filter (where recovered) / 5.0)
                    / round(count(distinct student_id) / 5.0)
                )::integer
        end as recovered_pct,
        case when count(distinct student_id) > 22 then round(100 * avg(comparable_recovered_share)::numeric)::integer end
            as comparable_recovered_pct
    from settled
    having count(*) > 0
)

select * from final
