with

newest as (select max(week_start) as week_start from intermediate.int_publication),

final as (
    select
        trends.week_start,
        count(*) filter (where trends.declining) as students_declining,
        count(*) filter (where trends.consistently_low) as students_consistently_low,
        count(*) filter (where trends.falling_together) as students_falling_together,
        count(*) filter (where trends.quiet_decline) as students_quiet_decline,
        count(*) filter (where trends.recovering) as students_recovering,
        count(*) filter (where trends.cohort_event) as students_in_cohort_event
    from marts.score_trend as trends
    inner join newest on trends.week_start = newest.week_start
    group by trends.week_start
)

select * from final
