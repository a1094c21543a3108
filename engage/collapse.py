"""SQL of rows that are one event: swipes within seconds of one another, sessions of several devices at one time.

Works on the typed rows, one student (and direction) at a time; which source does so is in its YAML.
"""

from psycopg import sql

from engage.sources import Source

UNITED = '"united_s"'
"""Column with the seconds of overlapping intervals together, in place of `duration_s`."""

_NONE = sql.SQL("single as (select *, false as is_repeated from typed)")
# Chains of swipes count once.
_WITHIN = sql.SQL("""
single as (
    select
        *, {is_sound} and lag({time}) over (partition by {key} order by {time}, row_number)
            >= {time} - interval {within} as is_repeated
    from typed offset 0
)""")
# An interval without an end yet is its beginning.
_OVERLAPPING = sql.SQL("""
ends as (select *, {time} + coalesce(duration_s, 0) * interval '1 second' as ends_at from typed offset 0),
marked as (
    select
        *, {is_sound} and {time} <= max(ends_at) over (
            partition by {key} order by {time}, row_number rows between unbounded preceding and 1 preceding
        ) as is_repeated
    from ends offset 0
),
chained as (
    select *, count(*) filter (where is_repeated is not true) over (partition by {key} order by {time}, row_number) as n
    from marked offset 0
),
single as (
    select
        *, case
            when {is_sound} and count(duration_s) over chain > 0
                then extract(epoch from max(ends_at) over chain - {time})::double precision
            else duration_s
        end as {united}
    from chained window chain as (partition by {key}, n) offset 0
)""")


def steps(source: Source, ref: str) -> sql.Composable:
    """Return the CTEs from `typed` to `single`, which has `is_repeated` and, for overlapping intervals, `united_s`.

    `ref`: SQL of the student reference as it is compared. Only rows alike in what others are left out by (`told_<n>`,
    the direction of a swipe) are one event. An unreadable row neither repeats nor hides another, nor does an interval
    of less than no time.
    """
    if source.collapse is None or source.kind.day_of is None:
        return _NONE
    is_sound = "load_error is null" + " and coalesce(duration_s, 0) >= 0" * source.collapse.overlapping
    told = [f"told_{n}" for n, drop in enumerate(source.drop) if drop.column != source.columns["student_ref"].name]
    return (_OVERLAPPING if source.collapse.overlapping else _WITHIN).format(
        is_sound=sql.SQL(is_sound),
        time=sql.Identifier(source.kind.day_of),
        key=sql.SQL(", ".join([f"({is_sound})", ref, *told])),
        within=sql.Literal(f"{source.collapse.within_s} seconds"),
        united=sql.SQL(UNITED),
    )
