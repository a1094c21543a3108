"""An export is as of one moment, whatever dbt puts in the place of a table meanwhile."""

import contextlib
from pathlib import Path

import psycopg

from engage.export import export
from engage.warehouse import Connection, connect

SWAPPED = """
set lock_timeout = '200ms';
begin;
create table marts.other as select * from marts.student;
drop table marts.student;
alter table marts.other rename to student;
commit
"""


def test_a_table_that_is_made_anew_meanwhile_is_exported_as_it_was(
    tmp_path: Path, warehouse: Connection, database_url: str
) -> None:
    warehouse.execute("create table marts.a_mart as select 1 as n; create table marts.student as select 's1' as id")
    warehouse.commit()
    files = export(warehouse, tmp_path, ["a_mart", "student"])
    next(files)
    with connect(database_url, autocommit=True) as dbt, contextlib.suppress(psycopg.errors.LockNotAvailable):
        dbt.execute(SWAPPED)
    assert [(one.mart, one.rows) for one in files] == [("student", 1)]
    assert (tmp_path / "student.csv").read_text() == "id\ns1\n"
