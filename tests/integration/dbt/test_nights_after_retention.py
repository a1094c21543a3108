"""Nights after retention: nothing that remains is made anew from rows that are gone, and none of it comes back."""

from datetime import timedelta

from tests.integration.dbt.test_daily_marts import DAYS, Build, Connection, made_up, put
from tests.integration.dbt.test_daily_marts import build as build
from tests.integration.dbt.test_warehouse_protocol import everything

TABLES = {"marts.activity_windows": "activity_date", "marts.daily_rating": "rating_date"}


def test_what_remains_is_as_it_was_also_when_lists_and_configuration_change(
    connection: Connection, build: Build
) -> None:
    put(connection, made_up(5)[0])
    build()
    gone, settled = DAYS[10], DAYS[20]
    kept = {
        table: everything(connection, table, f"{day} between '{gone}' and '{settled - timedelta(1)}'")
        for table, day in TABLES.items()
    }
    connection.execute("insert into ops.kept_from (kind, day) values ('settled', %s)", [settled])
    for table, day in {
        **TABLES,
        "marts.daily_activity": "activity_date",
        "intermediate.int_day_engagement": "day",
    }.items():
        connection.execute(f"delete from {table} where {day} < '{gone}'".encode())
    connection.execute("delete from raw.enrolments where as_of_date < %s", [DAYS[15]])
    connection.execute("update ops.scoring_parameter set rating_cuts = '{0.5,0.9,1.1,1.5}'")
    after = everything(connection, "marts.daily_rating", f"rating_date >= '{settled}'")
    build()
    for table, day in TABLES.items():
        assert everything(connection, table, f"{day} < '{settled}'") == kept[table]
    assert everything(connection, "marts.daily_rating", f"rating_date >= '{settled}'") != after, "the days since are"
