"""When a source's data counts as late, and how that is judged at any moment."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LIMITS = """
alter table ops.source
    add column warn_after_h double precision not null default 36,
    add column fail_after_h double precision not null default 48,
    add column quiet_weekdays text not null default '',
    add column quiet_in text not null default '';
comment on column ops.source.quiet_weekdays is 'Sat,Sun (a text, for dbt cannot test on lists).';
comment on column ops.source.quiet_in is 'Kinds of the term calendar in which nothing need arrive; closures never count.';

alter table ops.scoring_parameter add column as_of timestamptz not null default now();
comment on column ops.scoring_parameter.as_of is 'When the configuration was last read: the moment for which a run judges.';

create index on ops.delivery (source_id, landed_at);
create index on ops.batch_day (source_id, day);
"""

FRESHNESS = """
create function ops.freshness(
    of_source text, enabled_from date, disabled_from date, warn_after_h double precision,
    fail_after_h double precision, quiet_weekdays text, quiet_in text, moment timestamptz
)
returns table (
    freshness text, age_h double precision, data_until timestamptz, covered_until date,
    last_delivery_at timestamptz, last_event_at timestamptz
)
language sql stable
begin atomic
    -- materialized, so that what a year of deliveries says is asked once, and not anew for every use of it
    with known as materialized (
        select
            p.time_zone as zone,
            (moment at time zone p.time_zone)::date as today,
            (select min(landed_at) from ops.delivery where source_id = of_source) as first_delivery_at,
            (select max(landed_at) from ops.delivery where source_id = of_source and landed_at <= moment)
                as last_delivery_at,
            (
                select max(b.last_event_at) from ops.batch as b
                where b.source_id = of_source and b.state in ('published', 'superseded') and b.published_at <= moment
            ) as last_event_at,
            (
                select d.day from ops.batch_day as d inner join ops.batch as b using (batch_id)
                where
                    d.source_id = of_source and d.is_covered
                    and b.state in ('published', 'superseded') and b.published_at <= moment
                order by d.day desc
                limit 1
            ) as covered_until
        from ops.scoring_parameter as p
    ),

    -- a day that is covered may not be over yet
    reach as materialized (
        select
            known.*,
            case when coalesce(covered_until, last_event_at::date) is not null
                then least(moment, greatest((covered_until + 1)::timestamp at time zone zone, last_event_at))
            end as data_until
        from known
    ),

    calendar as materialized (
        select c.kind, c.starts_on, c.ends_on
        from raw.term_calendar as c
        inner join (
            select n.source_id, max(n.as_of_date) as as_of_date from raw.term_calendar as n group by n.source_id
        ) as newest on c.source_id = newest.source_id and c.as_of_date = newest.as_of_date
        where
            coalesce(c.programme_code, '') = '' and coalesce(c.cohort, '') = ''
            and (c.kind = 'closure' or c.kind = any(string_to_array(quiet_in, ',')))
    ),

    -- in hours of real time, so that a change of the clocks counts
    aged as materialized (
        select
            reach.*,
            extract(epoch from moment - data_until)::double precision / 3600 as all_h,
            (
                select
                    coalesce(sum(extract(
                        epoch from
                        least(moment, (day + interval '1 day') at time zone zone)
                        - greatest(data_until, day at time zone zone)
                    )), 0)::double precision / 3600
                from generate_series(
                    date_trunc('day', data_until at time zone zone), (moment at time zone zone), interval '1 day'
                ) as day
                where
                    not to_char(day, 'Dy') = any(string_to_array(quiet_weekdays, ','))
                    and not exists (select from calendar where day::date between starts_on and ends_on)
            ) as counted_h
        from reach
    )

    select
        case
            when today < enabled_from or today >= disabled_from or first_delivery_at > moment then 'disabled'
            when data_until is null or counted_h > fail_after_h then 'stale'
            when counted_h > warn_after_h then 'warning'
            when all_h > warn_after_h then 'quiet'
            else 'fresh'
        end,
        case when data_until is not null then counted_h end, data_until, covered_until, last_delivery_at, last_event_at
    from aged;
end;
comment on function ops.freshness is
    'How old a source''s newest published data was at a moment, hours of quiet days not counted, by what was known then.';
"""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    for script in (LIMITS, FRESHNESS):
        op.execute(script)
