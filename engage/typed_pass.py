"""SQL that turns text into typed values without ever raising: every cast stands behind a check that makes it safe.

Expressions only: for one column, given the name of a text column. Tables, rules and batches are not known here.
Postgres 15 has no `pg_input_is_valid`, so shapes are checked by regular expressions and dates by arithmetic.
"""

import re
from dataclasses import dataclass

from engage.records import Field
from engage.sources import Column, ConfigurationError

SQL_TYPES = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}
_DIRECTIVES = {
    "%d": (2, r"(0[1-9]|[12][0-9]|3[01])"),
    "%m": (2, r"(0[1-9]|1[0-2])"),
    "%Y": (4, r"(19|20|21)[0-9][0-9]"),
    "%y": (2, r"[0-9][0-9]"),
    "%H": (2, r"([01][0-9]|2[0-3])"),
    "%M": (2, r"[0-5][0-9]"),
    "%S": (2, r"[0-5][0-9]"),
}
_ISO_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?"
_ISO_ZONE = r" ?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)"
_LAST_EPOCH = 4102444800
"""1 January 2100."""


@dataclass(frozen=True)
class Typed:
    """SQL of one field: its value (null when the text does not fit) and why it does not fit (null when it does)."""

    value: str
    problem: str


def literal(value: str) -> str:
    """Quote text for SQL that is executed with parameters (so `%` is doubled)."""
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"


def trimmed(text: str) -> str:
    """SQL of a text without surrounding blanks (tabs and no-break spaces too); empty is null."""
    return rf"nullif(btrim({text}, E' \t\u00a0'), '')"


def prepared(text: str, field: Field, column: Column) -> str:
    """SQL of the trimmed text, in dates and times with one-digit numbers written with two."""
    if field.type not in ("date", "timestamp") or not any("%" in f for f in column.formats):
        return trimmed(text)
    widths = ", ".join(sorted({str(_layout(f)[0]) for f in column.formats if "%" in f}))
    return (
        f"case when length({trimmed(text)}) in ({widths}) then {trimmed(text)}"
        rf" else regexp_replace({trimmed(text)}, '(^|[^0-9])([0-9])(?=[^0-9]|$)', '\10\2', 'g') end"
    )


def parsed(name: str, field: Field, column: Column) -> list[tuple[str, str]]:
    """SQL of what a text may mean, as (column, expression): `<name>_local` is a time without zone, `<name>_at` with."""
    if field.type not in ("date", "timestamp"):
        return []
    text = f'"{name}"'
    local, instant = [], []
    for form in column.formats:
        if form == "epoch_s":
            shape = rf"{text} ~ '^[0-9]{{1,10}}(\.[0-9]{{1,6}})?$'"
            instant.append((shape, f"case when {text}::float8 < {_LAST_EPOCH} then to_timestamp({text}::float8) end"))
        elif form == "iso8601":
            date_shape = _shape("%Y-%m-%d")
            day, is_day = _date("%Y-%m-%d", text)
            plain = f"replace({text}, ',', '.')"
            local.append((f"{text} ~ '^{date_shape}$'", f"case when {is_day} then ({day})::timestamp end"))
            timed = f"case when {is_day} then {plain}::timestamp end"
            local.append((f"{text} ~ '^{date_shape}{_ISO_TIME}$'", timed))
            zoned = f"case when {is_day} then {plain}::timestamptz end"
            instant.append((f"{text} ~ '^{date_shape}{_ISO_TIME}{_ISO_ZONE}$'", zoned))
        else:
            day, is_day = _date(form, text)
            time = ", ".join(_number(form, part, text) for part in ("%H", "%M", "%S"))
            value = f"case when {is_day} then ({day}) + make_time({time}) end"
            local.append((f"{text} ~ '^{_shape(form)}$'", value))
    return [(f"{name}_local", _first(local, "timestamp")), (f"{name}_at", _first(instant, "timestamptz"))]


def typed(name: str, field: Field, column: Column, zone: str) -> Typed:
    """SQL of field `name` over its prepared text in column `name` and what `parsed` adds. `zone`: of local times."""
    text, local, zone = f'"{name}"', f'"{name}_local"', literal(zone)
    if field.type == "timestamp":
        # A local time that the change of clocks leaves out does not come back from its instant. Of one that exists
        # twice Postgres takes the later, which is standard time.
        exists = f"({local} at time zone {zone}) at time zone {zone} = {local}"
        value = f'coalesce("{name}_at", case when {exists} then {local} at time zone {zone} end)'
        wrong = f"case when {local} is null then '{name}: not a time in any declared format'"
        wrong += f" else '{name}: a local time that the change of the clocks leaves out' end"
    elif field.type == "date":
        value = f"{local}::date"
        wrong = f"'{name}: not a date in any declared format'"
    elif field.type == "boolean":
        yes, no = (", ".join(map(literal, words)) or "null" for words in (column.true, column.false))
        value = f"case when {text} in ({yes}) then true when {text} in ({no}) then false end"
        wrong = f"'{name}: not one of the known true or false words'"
    elif field.type == "integer":
        value = rf"case when {text} ~ '^[+-]?[0-9]{{1,18}}$' then {text}::bigint end"
        wrong = f"'{name}: not a whole number of at most 18 digits'"
    elif field.type == "number":
        point = f"replace({text}, ',', '.')" if column.decimal == "," else text
        shape = rf"^[+-]?[0-9]{{1,15}}({re.escape(column.decimal)}[0-9]{{1,15}})?([eE][+-]?[0-9]{{1,2}})?$"
        value = f"case when {text} ~ '{shape}' then ({point})::double precision end"
        wrong = f"'{name}: not a number'"
    else:
        value, wrong = text, "null"
    missing = f"'{name}: is empty'" if field.required else "null"
    problem = f"case when {text} is null then {missing} when ({value}) is null then {wrong} end"
    if field.default is not None:
        value = f"case when {text} is null then {literal(field.default)}::{SQL_TYPES[field.type]} else {value} end"
    return Typed(value, problem)


def _layout(form: str) -> tuple[int, list[tuple[str, int]]]:
    """Return the width of a format and its parts with the position (from 1) of each."""
    position, parts = 1, []
    for part in re.findall(r"%.|[^%]", form):
        if part.startswith("%") and part not in _DIRECTIVES:
            raise ConfigurationError(f"the date format {form} has {part}; known are {', '.join(_DIRECTIVES)}")
        parts.append((part, position))
        position += _DIRECTIVES[part][0] if part in _DIRECTIVES else 1
    return position - 1, parts


def _shape(form: str) -> str:
    shape = "".join(_DIRECTIVES[p][1] if p in _DIRECTIVES else re.escape(p) for p, _ in _layout(form)[1])
    return shape.replace("'", "''")


def _number(form: str, part: str, text: str) -> str:
    for found, position in _layout(form)[1]:
        if found == part:
            return f"substr({text}, {position}, {_DIRECTIVES[part][0]})::int"
    return "0"


def _date(form: str, text: str) -> tuple[str, str]:
    """Return SQL of the date of a text of the right shape, and SQL of whether there is such a day (30 February)."""
    year = _number(form, "%Y", text)
    if year == "0":
        year = f"2000 + {_number(form, '%y', text)}"
    month, day = _number(form, "%m", text), _number(form, "%d", text)
    date = f"make_date({year}, {month}, 1) + ({day} - 1)"
    return date, f"extract(day from {date}) = {day}"


def _first(branches: list[tuple[str, str]], sql_type: str) -> str:
    whens = " ".join(f"when {shape} then {value}" for shape, value in branches)
    return f"case {whens} end" if whens else f"null::{sql_type}"
