"""Which text column holds which field: by the heading of a file, or by the path into a JSON item.

What is missing, new or renamed is told here. Values are not looked at.
"""

from dataclasses import dataclass

from engage.sources import Drop, Source
from engage.text import FormatError
from engage.typed_pass import literal, trimmed


@dataclass(frozen=True)
class Layout:
    """SQL over the text columns c1, c2, ...: where each field is, and for each kind of row to drop, what tells it."""

    cells: dict[str, str]
    drops: list[tuple[str, str]]
    """The value that tells, and the condition on it; never null."""
    notes: list[str]


def match(source: Source, headings: list[str]) -> Layout:
    """Find every field's column by its heading. Raises FormatError when one is missing that must be there."""
    notes: list[str] = []
    place: dict[str, int] = {}
    known = [*source.headings, *(c.name for c in source.columns.values()), *(d.column for d in source.drop)]
    for name in dict.fromkeys(known):
        found = [n for n, heading in enumerate(headings, start=1) if heading == name]
        if not found and (found := [n for n, h in enumerate(headings, start=1) if h.casefold() == name.casefold()]):
            notes.append(f"column '{name}' is written in other letters")
        if len(found) > 1:
            raise FormatError(f"column '{name}' is there {len(found)} times")
        if found:
            place[name] = found[0]
    new = [heading for n, heading in enumerate(headings, start=1) if n not in place.values() and heading]
    needed = [source.columns[n].name for n, f in source.kind.fields.items() if f.required]
    needed += [source.columns["event_id"].name] if source.relation == "append" else []
    needed += [drop.column for drop in source.drop]
    if missing := [name for name in dict.fromkeys(needed) if name not in place]:
        said = f"column{'s' * (len(missing) > 1)} {_quoted(missing)} {'are' if len(missing) > 1 else 'is'} missing"
        # A file without a heading shows a row here: its values must not be repeated.
        if 2 * len(place) < len(source.headings):
            raise FormatError(f"{said}; the first line has {len(place)} of the {len(source.headings)} headings")
        if new:
            quoted = _if_headings(new, missing, place)
            many = f"{len(new)} new found: renamed, or no line end after the heading?"
            said += f"; new {quoted} found: renamed?" if quoted else f"; {many}"
        raise FormatError(said)
    absent = [name for name in source.headings if name not in place]
    if new:
        quoted = _if_headings(new, absent, place)
        notes.append(f"new column {quoted}" if quoted else f"new columns: {len(new)}")
    if absent:
        notes.append(f"column {_quoted(absent)} is missing")
    cells = {field: f"c{place[c.name]}" for field, c in source.columns.items() if c.name in place}
    return Layout(cells, [_drop(f"c{place[d.column]}", d) for d in source.drop], notes)


def paths(source: Source) -> Layout:
    """The same for JSON Lines, where a column is a dotted path into the item and may be absent from any of them."""
    cells = {field: _path(column.name) for field, column in source.columns.items()}
    return Layout(cells, [_drop(_path(d.column), d) for d in source.drop], [])


def _path(name: str) -> str:
    return f"(c1 #>> string_to_array({literal(name)}, '.'))"


def _drop(expression: str, drop: Drop) -> tuple[str, str]:
    value = trimmed(expression)
    conditions = [f"{value} is not null"] if drop.not_null else []
    if drop.is_null:
        conditions.append(f"{value} is null")
    if drop.equals:
        conditions.append(f"coalesce({value} in ({', '.join(map(literal, drop.equals))}), false)")
    if drop.matches is not None:
        conditions.append(f"coalesce({value} ~* {literal(f'^({drop.matches})$')}, false)")
    return value, " or ".join(conditions) or "false"


def _if_headings(new: list[str], missing: list[str], place: dict[str, int]) -> str:
    """Quote unknown headings; empty if they may be values: a heading joined to the first row has a row's worth more."""
    is_heading = len(new) <= len(missing) if missing else len(new) < len(place)
    has_digit = any(character.isdigit() for name in new for character in name)
    return _quoted(new) if is_heading and not has_digit else ""


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name[:60]}'" for name in names[:10])
