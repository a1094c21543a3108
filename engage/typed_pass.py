"""SQL that turns text into typed values without ever raising: every cast stands behind a check that makes it safe.

Expressions only: for one column, given the name of a text column. Tables, rules and batches are not known here.
Postgres 15 has no `pg_input_is_valid`, so shapes are checked by regular expressions and dates by arithmetic. `quick` is
the one exception: it raises where the others find a fault, or where only they can tell.
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
    "%d": (2, 1, 31),
    "%m": (2, 1, 12),
    "%Y": (4, 1900, 2199),
    "%y": (2, 0, 99),
    "%H": (2, 0, 23),
    "%M": (2, 0, 59),
    "%S": (2, 0, 59),
}
"""Digits, least, most."""
_ISO_DATE = r"(19|20|21)[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_ISO_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?"
_ISO_ZONE = r" ?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)"
_LAST_EPOCH = 4102444800
"""1 January 2100."""
_TEMPLATES = {"%d": "DD", "%m": "MM", "%Y": "YYYY", "%H": "HH24", "%M": "MI", "%S": "SS"}
_ISO_WRITTEN = {
    19: ("{at}", "YYYY-MM-DD HH24:MI:SS"),
    20: ("{at} at time zone 'UTC'", 'YYYY-MM-DD HH24:MI:SS"Z"'),
    24: ("{at} at time zone 'UTC'", 'YYYY-MM-DD HH24:MI:SS.MS"Z"'),
    25: ("{at}", "YYYY-MM-DD HH24:MI:SSTZH:TZM"),
}
"""How the usual forms of ISO 8601 are written, by their length, with a blank in place of the T."""
_SURE_YEARS = "'1900-01-02 00:00Z'::timestamptz and '2199-12-30 00:00Z'::timestamptz"
"""Years that are read, but for a day at either end, which may be another year elsewhere."""
_DIGITS = "0123456789"
_MAX_DIGITS = 18
"""What fits a bigint."""


@dataclass(frozen=True)
class Typed:
    """SQL of one field: its value (null when the text does not fit), and why that, as `<name>_value`, is missing."""

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
    widths = ", ".join(sorted({str(_length(f)) for f in column.formats if "%" in f}))
    return (
        f"case when length({trimmed(text)}) in ({widths}) then {trimmed(text)}"
        rf" else regexp_replace({trimmed(text)}, '(^|[^0-9])([0-9])(?=[^0-9]|$)', '\10\2', 'g') end"
    )


def shaped(name: str, field: Field, column: Column) -> list[tuple[str, str]]:
    """SQL of the digits of a text that has the shape of a format, as (column `<name>_<format>`, expression).

    LIKE says where the marks between the numbers stand, and the regular expression that there are no others: together
    they take a third of the time of one that says it all.
    """
    if field.type not in ("date", "timestamp"):
        return []
    text, found = f'"{name}"', []
    for position, form in enumerate(column.formats):
        if "%" in form:
            pieces = _pieces(form)
            like = "".join("_" * _DIRECTIVES[p][0] if p in _DIRECTIVES else f"\\{p}" for p in pieces)
            marks = "".join("0" if p in _DIRECTIVES or p in _DIGITS else p for p in pieces)
            runs = "".join("[0-9]+" if run[0] == "0" else re.escape(run) for run in re.findall("0+|[^0]+", marks))
            others = "".join(dict.fromkeys(marks.replace("0", "")))
            digits = f"translate({text}, {literal(others)}, '')" if others else text
            shape = f"{text} like {literal(like)} and {text} ~ {literal(f'^{runs}$')}"
            found.append((f"{name}_{position}", f"case when {shape} then ({digits})::bigint end"))
    return found


def parsed(name: str, field: Field, column: Column) -> list[tuple[str, str]]:
    """SQL of what a text may mean, as (column, expression): `<name>_local` is a time without zone, `<name>_at` with.

    Stands over the prepared text and what `shaped` adds.
    """
    if field.type not in ("date", "timestamp"):
        return []
    text = f'"{name}"'
    local, instant = ["null::timestamp"], ["null::timestamptz"]
    for position, form in enumerate(column.formats):
        if form == "epoch_s":
            shape = rf"{text} ~ '^[0-9]{{1,10}}(\.[0-9]{{1,6}})?$'"
            in_time = f"case when {text}::float8 < {_LAST_EPOCH} then to_timestamp({text}::float8) end"
            instant.append(f"case when {shape} then {in_time} end")
        elif form == "iso8601":
            day = " or ".join((f"substr({text}, 9, 2) <= '28'", _is_day(*_iso_date(text))))
            plain = f"replace({text}, ',', '.')"
            # What is quickly seen stands before each regular expression, which takes longer than all the rest.
            for kind, quick, shape, values in (
                ("timestamp", f"length({text}) = 10", _ISO_DATE, local),
                ("timestamp", f"substr({text}, 11) !~ '[Z+-]'", _ISO_DATE + _ISO_TIME, local),
                ("timestamptz", f"substr({text}, 11) ~ '[Z+-]'", _ISO_DATE + _ISO_TIME + _ISO_ZONE, instant),
            ):
                value = f"case when {day} then {plain}::{kind} end"
                values.append(f"case when {quick} and {text} ~ '^{shape}$' then {value} end")
        else:
            local.append(_moment(form, f'"{name}_{position}"'))
    return [(f"{name}_local", f"coalesce({', '.join(local)})"), (f"{name}_at", f"coalesce({', '.join(instant)})")]


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
        value = f"case when {text} ~ '^[+-]?[0-9]+$' and length(ltrim({text}, '+-')) <= 18 then {text}::bigint end"
        wrong = f"'{name}: not a whole number of at most 18 digits'"
    elif field.type == "number":
        point = f"replace({text}, ',', '.')" if column.decimal == "," else text
        shape = rf"^[+-]?[0-9]{{1,15}}({re.escape(column.decimal)}[0-9]{{1,15}})?([eE][+-]?[0-9]{{1,2}})?$"
        value = f"case when {text} ~ '{shape}' then ({point})::double precision end"
        wrong = f"'{name}: not a number'"
    else:
        value, wrong = text, "null"
    problem = _missing(name, field)
    if field.type != "text":
        problem = f'case when {text} is null then {problem} when "{name}_value" is null then {wrong} end'
    return Typed(_or_default(name, field, value), problem)


def quick(name: str, cell: str, field: Field, column: Column) -> tuple[str, Typed] | None:
    """SQL of a time or whole number over its text as it came, in a session whose time zone is that of local times.

    Returns the expression of `<name>_read` over the text `cell`, and what stands over that and the text, now `<name>`;
    None: there is nothing quicker. The value is written again and must come out as the text: so it has the first
    format, no blanks, and is a time that exists. Else a data exception is raised, as for all that Postgres cannot read.
    """
    text, read = f'"{name}"', f'"{name}_read"'
    form = column.formats[0] if column.formats else ""
    if field.type == "integer":
        reading, written = f"{cell}::bigint", f"{read}::text"
        within = f"{read} between -{10**_MAX_DIGITS - 1} and {10**_MAX_DIGITS - 1}"
    elif field.type != "timestamp" or not form or "%y" in form:
        return None
    elif form == "epoch_s":
        reading, written = f"to_timestamp({cell}::bigint)", f"extract(epoch from {read})::bigint::text"
        within = f"{read} >= to_timestamp(0) and {read} < to_timestamp({_LAST_EPOCH})"
    elif form == "iso8601":
        forms = (
            f"when {length} then to_char({moment.format(at=read)}, {literal(template)})"
            for length, (moment, template) in _ISO_WRITTEN.items()
        )
        reading, written = f"{cell}::timestamptz", f"case length({text}) {' '.join(forms)} end"
        text, within = f"replace({text}, 'T', ' ')", f"{read} between {_SURE_YEARS}"
    else:
        template = literal("".join(_TEMPLATES.get(p) or f'"{_escaped(p)}"' for p in _pieces(form)))
        reading, written = f"to_timestamp({cell}, {template})", f"to_char({read}, {template})"
        within = f"{read} between {_SURE_YEARS}"
    raised = f"(\"{name}\" || '?')::bigint"
    raised = f"to_timestamp({raised})" if field.type == "timestamp" else raised
    value = f'case when {written} = {text} and {within} then {read} when "{name}" is not null then {raised} end'
    return reading, Typed(_or_default(name, field, value), _missing(name, field))


def _missing(name: str, field: Field) -> str:
    return f"case when \"{name}\" is null then '{name}: is empty' end" if field.required else "null"


def _or_default(name: str, field: Field, value: str) -> str:
    if field.default is None:
        return value
    return f'case when "{name}" is null then {literal(field.default)}::{SQL_TYPES[field.type]} else {value} end'


def _escaped(character: str) -> str:
    return "\\" + character if character in '"\\' else character


def _pieces(form: str) -> list[str]:
    """Return the directives and single characters of a format."""
    pieces = re.findall(r"%.|[^%]", form)
    for piece in pieces:
        if piece.startswith("%") and piece not in _DIRECTIVES:
            raise ConfigurationError(f"the date format {form} has {piece}; known are {', '.join(_DIRECTIVES)}")
    return pieces


def _length(form: str) -> int:
    """Return how many characters a text of the format has."""
    return sum(_DIRECTIVES[p][0] if p in _DIRECTIVES else 1 for p in _pieces(form))


def _width(form: str) -> int:
    """Return how many digits a text of the format has."""
    width = sum(_DIRECTIVES[p][0] if p in _DIRECTIVES else p in _DIGITS for p in _pieces(form))
    if width > _MAX_DIGITS:
        raise ConfigurationError(f"the date format {form} has more than {_MAX_DIGITS} digits")
    return width


def _moment(form: str, digits: str) -> str:
    """SQL of the time that the digits of a text of the format name, null if there is no such time (30 February)."""
    numbers, place = dict.fromkeys(("%H", "%M", "%S"), "0"), _width(form)
    within = []
    for piece in _pieces(form):
        if piece in _DIRECTIVES:
            width, least, most = _DIRECTIVES[piece]
            place -= width
            numbers[piece] = f"({digits} / {10**place} %% {10**width})::int"
            within.append(f"{numbers[piece]} between {least} and {most}")
        elif piece in _DIGITS:
            place -= 1
    year = numbers.get("%Y", f"2000 + {numbers.get('%y')}")
    month, day = numbers["%m"], numbers["%d"]
    time = ", ".join(numbers[part] for part in ("%H", "%M", "%S"))
    value = f"make_timestamp({year}, {month}, {day}, {time})"
    exists = f"{day} <= 28 or {_is_day(year, month, day)}"
    return f"case when {' and '.join(within)} then case when {exists} then {value} end end"


def _is_day(year: str, month: str, day: str) -> str:
    return f"date_part('day', make_date({year}, {month}, 1) + ({day} - 1)) = {day}"


def _iso_date(text: str) -> tuple[str, str, str]:
    return f"substr({text}, 1, 4)::int", f"substr({text}, 6, 2)::int", f"substr({text}, 9, 2)::int"
