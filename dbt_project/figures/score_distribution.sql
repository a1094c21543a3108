with

newest as (select max(week_start) as week_start from intermediate.int_publication),

final as (
    select
        bands.week_start,
        max(bands.revision) as revision,
        sum(bands.students) filter (where bands.band_from = 0)::bigint as students_0_199,
        sum(bands.students) filter (where bands.band_from = 200)::bigint as students_200_399,
        sum(bands.students) filter (where bands.band_from = 400)::bigint as students_400_599,
        sum(bands.students) filter (where bands.band_from = 600)::bigint as students_600_799,
        sum(bands.students) filter (where bands.band_from = 800)::bigint as students_800_1000
    from marts.score_distribution as bands
    inner join newest on bands.week_start = newest.week_start
    group by bands.week_start
)

select * from final
