"""A day that waits to be rebuilt and is touched once more: the rebuild waits for the publisher, and no row is lost."""

import threading
from datetime import date

import psycopg
import pytest

from engage.warehouse import connect
from tests.integration.gate.kit import ATTENDANCE, Gate
from tests.integration.gate.test_publish_days import register

CLAIM = "update ops.touched_day set is_claimed = true where not is_claimed"
"""As macros/rebuild.sql does."""


def test_a_claim_waits_for_a_publisher_in_flight(gate: Gate) -> None:
    gate.know("0012345")
    source = gate.source(ATTENDANCE)
    gate.deliver(source, register("e1,0012345,01/10/2026 10:00,lecture,Yes,Yes"))
    gate.execute("insert into ops.touched_day (source_id, day) values ('attendance', %s)", [date(2026, 10, 1)])
    gate.execute(
        "create function ops.stop() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(42); return null; end'"
    )
    gate.execute("create trigger stop after insert on ops.touched_day for each statement execute function ops.stop()")
    gate.execute("select pg_advisory_lock(42)")
    publisher = threading.Thread(target=gate.process, args=[source])
    publisher.start()
    try:
        while not gate.execute("select 1 from pg_locks where locktype = 'advisory' and objid = 42 and not granted"):
            assert publisher.is_alive()
        with connect(gate.url) as dbt:
            dbt.execute("set lock_timeout = '300ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                dbt.execute(CLAIM)
    finally:
        gate.execute("select pg_advisory_unlock(42)")
        publisher.join()
    with connect(gate.url) as dbt:
        assert dbt.execute(CLAIM).rowcount == 1
        assert dbt.execute("select count(*) from raw.attendance").fetchone() == (1,)
