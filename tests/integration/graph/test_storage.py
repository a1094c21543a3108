"""Dagster's storage as runs use it: connections kept open, and what does not change asked for once."""

import psycopg
import sqlalchemy

from engage.warehouse import sqlalchemy_url
from orchestration.storage import PooledPostgresStorage


def test_a_table_is_looked_for_until_it_is_there_and_then_no_more(
    dagster_url: str, dagster_storage: psycopg.Connection[tuple[object, ...]]
) -> None:
    address = sqlalchemy_url(dagster_url, "-csynchronous_commit=off")
    storage = PooledPostgresStorage.from_config_value(None, {"postgres_url": address})
    events = storage.event_log_storage
    with events.index_connection() as connection:
        first = connection.execute(sqlalchemy.text("select pg_backend_pid(), current_setting('synchronous_commit')"))
        pid, commit = first.one()
    assert commit == "off"
    assert not events.has_table("later")
    assert not events.has_asset_key_col("later")
    dagster_storage.execute("create table later (); alter table asset_keys add later text")
    assert events.has_table("later")
    assert events.has_asset_key_col("later")
    dagster_storage.execute("drop table later; alter table asset_keys drop later")
    assert events.has_table("later")
    assert events.has_asset_key_col("later")
    with events.index_connection() as connection:
        assert connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one() == pid
