with

publications as (
    select
        week_start,
        revision
    from intermediate.int_publication
),

newest as (
    select
        week_start,
        revision
    from publications
    order by week_start desc, revision desc
    limit 1
),

students as (
    select scores.*
    from marts.weekly_score_revision as scores
    inner join newest on scores.week_start = newest.week_start and scores.revision = newest.revision
),

used as (
    select distinct parts.source_id
    from marts.weekly_score_part as parts
    inner join newest on parts.week_start = newest.week_start and parts.revision = newest.revision
),

missing as (
    select array_agg(judged.source_id order by judged.source_id) as sources
    from intermediate.int_source_week as judged
    inner join newest on judged.week_start = newest.week_start
    where judged.is_missing
),

late as (
    select published.published_without as sources
    from ops.publication as published
    inner join newest on published.week_start = newest.week_start and published.revision = newest.revision
),

counted as (
    select
        min(students.week_start) as week_start,
        min(students.revision) as revision,
        min(students.config_version) as config_version,
        count(*) filter (where students.status = 'scored') as scored,
        count(*) filter (where students.status = 'insufficient_data') as insufficient_data,
        count(*) filter (where students.status = 'insufficient_peers') as insufficient_peers,
        count(*) filter (where students.score < parameters.attention_below) as attention,
        count(*) filter (where students.score < parameters.concern_below) as concern,
        count(*) filter (where 'degraded' = any(students.marks)) as degraded,
        count(*) filter (where 'imputed' = any(students.marks)) as imputed,
        count(*) filter (where 'no_variation' = any(students.marks)) as no_variation
    from students
    cross join ops.scoring_parameter as parameters
    having count(*) > 0
),

changed as (
    select change.difference
    from ops.config_change as change
    inner join counted on change.config_version = counted.config_version
    order by change.change_id desc
    limit 1
),

-- no shares: an exact one would undo the rounding of the counts
final as (
    select
        counted.week_start,
        counted.revision,
        counted.config_version,
        changed.difference as config_difference,
        counted.scored as students_scored,
        counted.attention as students_below_attention,
        counted.concern as students_below_concern,
        counted.insufficient_data as students_insufficient_data,
        counted.insufficient_peers as students_insufficient_peers,
        counted.degraded as students_degraded,
        counted.imputed as students_imputed,
        counted.no_variation as students_no_variation,
        late.sources as late_sources,
        coalesce(missing.sources, '{}') as missing_sources,
        (select count(*) from publications) as weeks_in_this_run,
        (select count(*) from used) as sources_used,
        coalesce(cardinality(missing.sources), 0) as sources_missing
    from counted
    cross join missing
    cross join late
    left join changed on true
)

select * from final
