with

newest as (select max(reviewed_until) as reviewed_until from marts.termly_review),

final as (
    select
        max(reviews.term_code) as term_code,
        max(reviews.reviewed_until) as reviewed_until,
        count(*) as students_reviewed,
        count(*) filter (where reviews.is_candidate) as students_candidates
    from marts.termly_review as reviews
    inner join newest on reviews.reviewed_until = newest.reviewed_until
    having count(*) > 0
)

select * from final
