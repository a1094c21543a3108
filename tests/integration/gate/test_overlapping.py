"""Sessions of several devices at one time are one that lasts as long as their union: the SQL against a reference."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from engage import collapse
from engage.sources import Source
from engage.warehouse import with_database
from tests.integration.gate.kit import EVENTS

BEGIN, MINUTE = datetime(2026, 10, 1, 8, tzinfo=UTC), timedelta(minutes=1)
COLUMNS = EVENTS["columns"] | {"duration_s": {"name": "seconds"}}
DROP = [{"column": "user.username", "matches": "guest.*", "reason": "a guest"}]
WIFI = Source.model_validate(EVENTS | {"columns": COLUMNS, "collapse": {"overlapping": True}, "drop": DROP})
Session = tuple[str, int, int | None, bool]
# User, begin and length in minutes, whether it can be read; no length: still open. A negative length is a fault.
SESSION = st.tuples(
    st.sampled_from("abA"), st.integers(0, 40), st.none() | st.integers(-2, 15), st.integers(0, 9).map(bool)
)


def united(sessions: list[Session]) -> list[tuple[str, datetime, float | None]]:
    """As one would by hand: in order of time, go on while the next begins before the last has ended."""
    found: list[tuple[str, datetime, float | None]] = []
    for user in "ab":
        mine = sorted((s[1:] for s in sessions if s[0].lower() == user), key=lambda session: session[0])
        waiting = [(begin, length) for begin, length, is_read in mine if is_read and (length is None or length >= 0)]
        found += [
            (user, BEGIN + b * MINUTE, None if n is None else 60.0 * n) for b, n, r in mine if not r or (n or 0) < 0
        ]
        while waiting:
            first = end = waiting[0][0]
            lengths = []
            while waiting and waiting[0][0] <= end:
                begin, length = waiting.pop(0)
                end = max(end, begin + (length or 0))
                lengths.append(length)
            is_open = all(length is None for length in lengths)
            found.append((user, BEGIN + first * MINUTE, None if is_open else 60.0 * (end - first)))
    return found


@pytest.fixture(scope="module")
def connection(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(
        with_database(postgres_url, "postgres"), autocommit=True, options="-c timezone=UTC"
    ) as connection:
        yield connection


@settings(max_examples=200, deadline=None)
@given(sessions=st.lists(SESSION, min_size=1, max_size=12))
def test_overlapping_sessions_are_their_union(
    connection: psycopg.Connection[tuple[object, ...]], sessions: list[Session]
) -> None:
    query = sql.SQL("""
        with given as (
            select * from unnest(%s::text[], %s::timestamptz[], %s::float8[], %s::boolean[])
            with ordinality as t (student_ref, occurred_at, duration_s, is_read, row_number)
        ),
        typed as (select *, case when not is_read then 'unreadable' end as load_error from given),
        {}
        select lower(student_ref), occurred_at, united_s from single where is_repeated is not true
    """).format(collapse.steps(WIFI, "lower(student_ref)"))
    users, begins, lengths, are_read = zip(*sessions, strict=True)
    seconds = [None if length is None else 60.0 * length for length in lengths]
    given = [list(users), [BEGIN + b * MINUTE for b in begins], seconds, list(are_read)]
    found = connection.execute(query, given).fetchall()
    assert sorted(found, key=str) == sorted(united(sessions), key=str)
