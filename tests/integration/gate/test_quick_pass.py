"""The quick typed pass against the careful one: whatever a file holds, the working tables end with the same rows."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engage.landing import Delivery
from engage.load import WorkingTables
from engage.sources import Source
from engage.warehouse import connect
from tests.databases import cloned
from tests.integration.gate.kit import BASE

ZONE = "Europe/London"
FORMATS = {
    "british": ["%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S"],
    "database": ["%Y-%m-%d %H:%M:%S"],
    "compact": ["%Y%m%d%H%M%S"],
    "odd": ['"%d\\%Hh%m.%Y'],
    "short year": ["%d/%m/%y"],
    "iso": ["iso8601"],
    "epoch": ["epoch_s"],
}
USUAL = {
    "british": "01/10/2026 10:05",
    "database": "2026-10-01 10:05:00",
    "compact": "20261001100500",
    "odd": '"01\\10h10.2026',
    "short year": "01/10/26",
    "iso": "2026-10-01T10:05:00Z",
    "epoch": "1790849100",
}
numbers = st.integers(0, 99).map(lambda n: f"{n:02d}") | st.sampled_from(["1", "-1", "+1", " 1", "\u0661", "1e", ""])
days = st.sampled_from(["29", "30", "31", "25", "01", "00", "32", "1"])
months = st.sampled_from(["02", "03", "10", "12", "13", "00", "9"])
years = st.sampled_from(["2026", "2024", "1900", "1899", "2199", "2200", "0000", "9999", "99", "12026"])
hours = st.sampled_from(["00", "01", "02", "23", "24", "9"]) | numbers
ends = st.sampled_from(
    [
        "",
        " ",
        ":00",
        ":59",
        ":60",
        ":30.5",
        ":30.500",
        ":30.500Z",
        ":00Z",
        ":00 Z",
        ":00+01:00",
        ":00+00:00",
        ":00-0330",
        ":00 PST",
        ":00 AD",
    ]
)
times = (
    st.builds(lambda d, m, y, h, i, e: f"{d}/{m}/{y} {h}:{i}{e}", days, months, years, hours, numbers, ends)
    | st.builds(lambda y, m, d, t, h, i, e: f"{y}-{m}-{d}{t}{h}:{i}{e}", *(years, months, days), st.sampled_from(" T"),
                hours, numbers, ends)
    | st.builds(lambda y, m, d, h, i, s: f"{y}{m}{d}{h}{i}{s}", years, months, days, hours, numbers, numbers)
    | st.builds(lambda d, h, m, y: f'"{d}\\{h}h{m}.{y}', days, hours, months, years)
    | st.integers(-10, 4102444801).map(str)
    | st.sampled_from(["infinity", "-infinity", "now", "today", "epoch", "4102444799.5", "1e9", "00001", "2026-10-01",
                       "J2461315", "2026-W40-4", "20261001T100500Z", "2026-10-01T10:05:00,5"])
)  # fmt: skip
counts = (
    st.integers(-(10**20), 10**20).map(str)
    | st.sampled_from(
        ["+0", "-0", "007", "0x1F", "1_000", "0b1", " 5", "5\u00a0", "\t5", "1.0", "1e3", "NaN", "\u0665"]
    )
    | st.sampled_from(["9" * 18, "9" * 19, "-" + "9" * 18, "9223372036854775808", ""])
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8) | st.sampled_from(
    ["", " ", "\u00a0x ", 'a"b', "a,b", "\ufeff"]
)


@pytest.fixture(scope="module")
def connection(postgres_url: str, migrated_template: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """One database for all examples: hypothesis runs them within one test."""
    with cloned(postgres_url, migrated_template, "quick_pass") as url, connect(url, autocommit=True) as opened:
        opened.execute("insert into pii.identity values ('username', 'ann', 's-1', '0001-01-01', '9999-12-31')")
        yield opened


def source(form: str, kind: str = "csv", zone: str = ZONE) -> Source:
    names = {"event_id": "id", "student_ref": "user", "occurred_at": "time", "quantity": "n", "duration_s": "s"}
    columns: dict[str, Any] = {field: {"name": name} for field, name in names.items()}
    columns["occurred_at"]["formats"] = FORMATS[form]
    content: dict[str, Any] = {"id": "vle", "record": "activity", "relation": "replace_days", "category": "vle"}
    content |= {"identified_by": "username", "columns": columns}
    return Source.model_validate(BASE | content | {"format": {"kind": kind, "time_zone": zone}})


DELIVERY = Delivery(
    delivery_id=1, source_id="vle", content_hash="", name="f", size_bytes=0,
    version_at=datetime(2026, 11, 1, tzinfo=UTC), window_start=None, window_end=None,
    first_day=date(2026, 10, 1), last_day=date(2026, 10, 1), landed_path="",
    landed_at=datetime(2026, 11, 1, tzinfo=UTC), read_to=None,
)  # fmt: skip


class Careful(WorkingTables):
    """Never tries the quick pass."""

    def _statement(self, layout: Any, _quick: Any) -> Any:
        return super()._statement(layout, {})


class Watched(WorkingTables):
    """Notes which passes were run."""

    def __init__(self, *arguments: Any) -> None:
        self.passes: list[str] = []
        super().__init__(*arguments)

    def _statement(self, layout: Any, quick: Any) -> Any:
        self.passes.append("quick" if quick else "careful")
        return super()._statement(layout, quick)


def both(
    connection: psycopg.Connection[tuple[object, ...]], one: Source, content: bytes
) -> tuple[list[str], list[tuple[object, ...]]]:
    """Load by both ways; return the passes of the quick one, and the rows, which are the same."""
    found = []
    passes: list[str] = []
    for kind in (Watched, Careful):
        tables = kind(connection, one, ZONE)
        loaded = tables.load(DELIVERY, lambda: BytesIO(content))
        rows = connection.execute("select * from load.rows_vle order by row_number").fetchall()
        found.append((loaded, rows))
        passes = tables.passes if isinstance(tables, Watched) else passes
    assert found[0] == found[1]
    return passes, found[0][1]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize("form", list(FORMATS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_ways_read_any_file_alike(
    connection: psycopg.Connection[tuple[object, ...]], form: str, data: st.DataObject
) -> None:
    time = st.just(USUAL[form]) | times
    row = st.tuples(texts, st.just("ann") | texts, time, st.just("3") | counts, st.just("") | counts)
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    mark = data.draw(st.sampled_from(["", "\ufeff"]))
    bare = data.draw(st.booleans())
    lines = [",".join(c if bare and not set(c) & set('",') else quoted(c) for c in cells) for cells in rows]
    both(connection, source(form), (mark + end.join(["id,user,time,n,s", *lines, ""])).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(list(FORMATS)), time=times, count=st.just("3") | counts)
@example("british", "29/03/2026 01:30", "3")
@example("british", "25/10/2026 01:30", "3")
@example("database", "2026-03-29 01:00:00", "3")
@example("iso", "2026-10-25T01:30:00", "3")
@example("epoch", "4102444800", "3")
@example("british", "01/10/2026 10:05", "1000000000000000000")
def test_both_ways_read_one_value_alike(
    connection: psycopg.Connection[tuple[object, ...]], form: str, time: str, count: str
) -> None:
    both(connection, source(form), f"id,user,time,n,s\n1,ann,{quoted(time)},{quoted(count)},\n".encode())


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_regular_file_is_read_quickly_and_one_odd_value_carefully(
    connection: psycopg.Connection[tuple[object, ...]], form: str
) -> None:
    heading = "id,user,time,n,s\n"
    usual = f"1,ann,{quoted(USUAL[form])},3,1.5\n2,bob,{quoted(USUAL[form])},,\n3,,,4,\n"
    passes, rows = both(connection, source(form), (heading + usual).encode())
    assert passes == ["quick"]
    assert [row[1] for row in rows] == [None, None, "student_ref: is empty"]
    passes, rows = both(connection, source(form), (heading + usual + "4,ann,pecan pie,4.5,\n").encode())
    assert passes == ["quick", "careful"]
    assert [row[1] for row in rows][3] == "occurred_at: not a time in any declared format"


def test_json_lines_and_a_source_of_another_zone_are_read_alike(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    item = '{"id": "1", "user": "ann", "time": 1790893500, "n": 2}\n'
    passes, rows = both(connection, source("epoch", "jsonl"), item.encode())
    assert (passes, rows[0][5]) == (["quick"], datetime(2026, 10, 1, 22, 25, tzinfo=UTC))
    content = b"id,user,time,n,s\n1,ann,2026-10-01 20:30:00,1,\n"
    passes, rows = both(connection, source("database", zone="America/New_York"), content)
    assert (passes, rows[0][5]) == (["quick"], datetime(2026, 10, 2, 0, 30, tzinfo=UTC))


def test_what_the_quick_pass_could_not_read_is_in_no_log_of_the_server(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    content = b"id,user,time,n,s\n1,ann,01/10/2026 10:05,zb42,\n2,ann,31/09/2026 10:05,1,\n"
    passes, _ = both(connection, source("british"), content)
    assert passes == ["quick", "careful"]
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        connection.execute("select 'pecan'::bigint")
    ((folder,),) = connection.execute("show data_directory").fetchall()
    log = (Path(str(folder)).parent / "server.log").read_text()
    assert "ready to accept connections" in log
    assert "pecan" not in log, "the text of an error quotes a value, too"
    assert "zb42" not in log
    assert "31/09" not in log
