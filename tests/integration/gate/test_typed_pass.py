"""The typed pass against plain Python: of any text both read the same value or both refuse it; nothing is raised."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.records import Field
from engage.sources import Column
from engage.typed_pass import parsed, prepared, shaped, typed
from engage.warehouse import connect

LONDON = ZoneInfo("Europe/London")
COLUMN: dict[str, Column] = {
    "british": Column(name="c", formats=["%d/%m/%Y %H:%M", "%d/%m/%y %H:%M:%S"]),
    "compact": Column(name="c", formats=["%Y%m%d%H%M%S"]),
    "date": Column(name="c", formats=["%d/%m/%Y"]),
    "iso": Column(name="c", formats=["iso8601"]),
    "epoch": Column(name="c", formats=["epoch_s"]),
    "decimal_comma": Column(name="c", decimal=","),
    "plain": Column(name="c"),
}


def local(moment: datetime) -> datetime | None:
    """The instant of a London time; the second of two, none if the clocks leave it out."""
    instant = moment.replace(tzinfo=LONDON, fold=1).astimezone(UTC)
    return instant if instant.astimezone(LONDON).replace(tzinfo=None) == moment else None


def by_strptime(*formats: str) -> Callable[[str], datetime | None]:
    def read(text: str) -> datetime | None:
        for form in formats:
            try:
                found = datetime.strptime(text, form)
            except ValueError:
                continue
            # Two-digit years are of this century here; years of a typing error are refused.
            found = found.replace(year=found.year if found.year >= 2000 or "%y" not in form else found.year + 100)
            return local(found) if 1900 <= found.year < 2200 else None
        return None

    return read


def by_iso(text: str) -> datetime | None:
    shape = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?))?)?"
    if not re.fullmatch(shape, text, re.ASCII) or not 1900 <= int(text[:4]) < 2200:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else local(found)


def by_epoch(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{1,10}(\.\d{1,6})?", text, re.ASCII) or float(text) >= 4102444800:
        return None
    return datetime.fromtimestamp(float(text), UTC)


def by_number(point: str) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        shape = rf"[+-]?\d{{1,15}}({re.escape(point)}\d{{1,15}})?([eE][+-]?\d{{1,2}})?"
        return float(text.replace(point, ".")) if re.fullmatch(shape, text, re.ASCII) else None

    return read


def by_words(text: str) -> bool | None:
    plain = COLUMN["plain"]
    return True if text in plain.true else False if text in plain.false else None


def by_date(text: str) -> date | None:
    found = by_strptime("%d/%m/%Y")(text)
    return found.astimezone(LONDON).date() if found else None


numbers = st.integers(0, 99).map(lambda n: f"{n:02d}") | st.integers(0, 9).map(str)
years = st.sampled_from(["2026", "2024", "2100", "1900", "0000", "9999", "26", "99"])
seps = st.sampled_from(["/", "-", ".", " ", ""])
british = st.builds(
    lambda d, m, y, h, i, s, a: f"{d}/{m}/{y} {h}:{i}{s}{a}",
    numbers, numbers, years, numbers, numbers,
    st.sampled_from(["", ":30", ":61", ":5"]),
    st.sampled_from(["", " ", "x"]),
)  # fmt: skip
clock_changes = st.builds(
    lambda day, minute: f"{day} {minute // 60:02d}:{minute % 60:02d}",
    st.sampled_from(["29/03/2026", "25/10/2026", "31/03/2024", "27/10/2024"]),
    st.integers(0, 239),
)
seconds = st.sampled_from(["", ":00", ":59", ":60"])
isos = st.builds(
    lambda y, m, d, t, f, z: f"{y}-{m}-{d}{t}{f if len(t) == 9 else ''}{z if t else ''}",
    years,
    numbers,
    numbers,
    st.just("") | st.builds("{}{}:{}{}".format, st.sampled_from("T "), numbers, numbers, seconds),
    st.sampled_from(["", ".5", ",123456", ".1234567890"]),
    st.sampled_from(["", "Z", "+01", "+0100", "-05:30", " +01:00", "+15:00", "z", "+1"]),
)  # fmt: skip
digits = st.text("0123456789.,+-eE ", max_size=22)
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
valid_british = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)).map(
    lambda d: f"{d:%d/%m/}{d.year:04d} {d:%H:%M}"
)
valid_iso = st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.sampled_from([UTC, LONDON])).map(
    lambda d: d.isoformat()
)
whole = re.compile(r"[+-]?\d{1,18}", re.ASCII)

CASES: dict[str, tuple[Field, Column, st.SearchStrategy[str], Callable[[str], Any]]] = {
    "british": (
        Field("timestamp"), COLUMN["british"], british | clock_changes | valid_british | anything,
        by_strptime("%d/%m/%Y %H:%M", "%d/%m/%y %H:%M:%S"),
    ),
    "compact": (
        Field("timestamp"), COLUMN["compact"], st.from_regex(r"\A2026[0-9]{10}\Z") | digits,
        by_strptime("%Y%m%d%H%M%S"),
    ),
    "iso": (Field("timestamp"), COLUMN["iso"], isos | valid_iso | anything, by_iso),
    "epoch": (Field("timestamp"), COLUMN["epoch"], digits | st.integers(0, 10**11).map(str), by_epoch),
    "date": (Field("date"), COLUMN["date"], st.builds("{}/{}/{}".format, numbers, numbers, years), by_date),
    "integer": (Field("integer"), COLUMN["plain"], digits | anything, lambda t: int(t) if whole.fullmatch(t) else None),
    "number": (Field("number"), COLUMN["plain"], digits | anything, by_number(".")),
    "decimal_comma": (Field("number"), COLUMN["decimal_comma"], digits | anything, by_number(",")),
    "boolean": (Field("boolean"), COLUMN["plain"], st.sampled_from(["Yes", "0", "TRUE", "tRUE"]) | anything, by_words),
    "text": (Field("text"), COLUMN["plain"], anything, lambda t: t),
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with connect(
        postgres_url + "/postgres" if postgres_url.count("/") == 2 else postgres_url, autocommit=True
    ) as opened:
        yield opened


def statement(field: Field, column: Column) -> str:
    """SQL of value and problem of every element of the parameter, in order."""
    made = typed("x", field, column, "Europe/London")
    steps = [shaped("x", field, column), parsed("x", field, column), [("x_value", made.value)]]
    texts = "unnest(%(texts)s::text[]) with ordinality as t (raw, n)"
    rows = f"select raw, n, {prepared('raw', field, column)} as x from {texts}"
    for step in steps:
        rows = f"select *{''.join(f', {e} as {name}' for name, e in step)} from ({rows} offset 0) as step"
    return f"select raw, x, x_value, {made.problem} from ({rows}) as step order by n"


@pytest.mark.parametrize("name", list(CASES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_is_read_as_python_reads_it(
    connection: psycopg.Connection[tuple[object, ...]], name: str, data: st.DataObject
) -> None:
    field, column, texts, read = CASES[name]
    given_texts = data.draw(st.lists(texts, min_size=1, max_size=40))
    rows = connection.execute(statement(field, column), {"texts": given_texts}).fetchall()
    for raw, cell, value, problem in rows:
        trimmed = str(raw).strip(" \t\u00a0")
        expected = read(str(cell)) if trimmed else None
        if field.type == "number" and expected is not None:
            assert value == pytest.approx(expected, rel=1e-15), raw
        else:
            assert value == expected, raw
        assert (problem is None) == (expected is not None or not trimmed), raw


EXAMPLES = [
    ("british", "29/03/2026 01:30", None, "x: a local time that the change of the clocks leaves out"),
    ("british", "25/10/2026 01:30", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), None),
    ("british", "25/10/2026 00:30", datetime(2026, 10, 24, 23, 30, tzinfo=UTC), None),
    ("british", " 1/7/2026 9:05 ", datetime(2026, 7, 1, 8, 5, tzinfo=UTC), None),
    ("british", "29/02/2026 10:00", None, "x: not a time in any declared format"),
    ("british", "29/02/2028 10:00", datetime(2028, 2, 29, 10, tzinfo=UTC), None),
    ("iso", "2026-10-01T10:00:00.5+01:00", datetime(2026, 10, 1, 9, 0, 0, 500000, tzinfo=UTC), None),
    ("iso", "2026-10-01", datetime(2026, 9, 30, 23, tzinfo=UTC), None),
    ("epoch", "1790845200", datetime(2026, 10, 1, 9, tzinfo=UTC), None),
    ("integer", "9" * 19, None, "x: not a whole number of at most 18 digits"),
    ("decimal_comma", "1,5", 1.5, None),
    ("decimal_comma", "1.5", None, "x: not a number"),
    ("boolean", "maybe", None, "x: not one of the known true or false words"),
]


@pytest.mark.parametrize(("name", "raw", "value", "problem"), EXAMPLES)
def test_examples(
    connection: psycopg.Connection[tuple[object, ...]], name: str, raw: str, value: object, problem: str | None
) -> None:
    field, column, _, _ = CASES[name]
    ((_, _, *found),) = connection.execute(statement(field, column), {"texts": [raw]}).fetchall()
    assert found == [value, problem]


def test_a_required_field_that_is_empty_and_a_default() -> None:
    assert "'x: is empty'" in typed("x", Field("text", required=True), COLUMN["plain"], "UTC").problem
    assert "'1'::bigint" in typed("x", Field("integer", default="1"), COLUMN["plain"], "UTC").value
