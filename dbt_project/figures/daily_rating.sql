with

newest as (select max(rating_date) as rating_date from marts.daily_rating),

final as (
    select
        max(ratings.rating_date) as rating_date,
        count(*) filter (where ratings.rating = 0) as students_inactive,
        count(*) filter (where ratings.rating = 1) as students_very_low,
        count(*) filter (where ratings.rating = 2) as students_low,
        count(*) filter (where ratings.rating = 3) as students_active,
        count(*) filter (where ratings.rating = 4) as students_high,
        count(*) filter (where ratings.rating = 5) as students_very_high,
        max(ratings.fully_covered_days) filter (where ratings.window_days = parameters.full_time_days)
            as full_time_days_fully_covered,
        max(ratings.fully_covered_days) filter (where ratings.window_days = parameters.part_time_days)
            as part_time_days_fully_covered
    from marts.daily_rating as ratings
    inner join newest on ratings.rating_date = newest.rating_date
    cross join ops.scoring_parameter as parameters
    having count(*) > 0
)

select * from final
