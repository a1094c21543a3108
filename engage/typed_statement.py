"""The statement of the typed pass: rows of fields as they came become the typed rows of a record, in one pass of SQL.

What becomes of a single field is said in typed_pass.py; what stands for what in the file, by its layout.
"""

from collections.abc import Iterable
from dataclasses import replace

from psycopg import sql

from engage import collapse, typed_pass
from engage.headings import Layout
from engage.records import Field
from engage.sources import Column, Source

Quick = dict[str, tuple[str, typed_pass.Typed]]
"""Fields that are read quickly: SQL of the reading, and what stands over it."""


def normalised(kind: str, ref: str) -> str:
    """SQL of a student reference as it is compared: user names and e-mail addresses whatever their case."""
    return f"lower({ref})" if kind in ("username", "email") else ref


def _fields(source: Source, layout: Layout) -> dict[str, tuple[Field, Column]]:
    """Return the fields of the record, each with what the source says of its column: nothing, if it has none."""
    absent = Column(name="")
    return {
        name: (
            replace(field, required=field.required or (name == "event_id" and source.relation == "append")),
            source.columns.get(name, absent) if name in layout.cells else absent,
        )
        for name, field in source.kind.fields.items()
    }


def quick(source: Source, layout: Layout) -> Quick:
    """Return the fields that may be read quickly, with SQL of their reading and of what stands over it."""
    fields, cells = _fields(source, layout), layout.cells
    found = {n: typed_pass.quick(n, cells[n], f, c) for n, (f, c) in fields.items() if n in cells}
    return {name: how for name, how in found.items() if how}


def statement(
    source: Source, zone: str, layout: Layout, quick: Quick, text: sql.Identifier, rows: sql.Identifier
) -> sql.Composed:
    """SQL that fills the typed table from the text table; raises unless all of the `quick` fields are regular.

    Its parameters: `zone`, `ends_at`, `first_day`, `last_day`, `kind`.
    """
    record, drops, fields = source.kind, layout.drops, _fields(source, layout)
    careful = {n: fields[n] for n in fields if n not in quick}
    typed = {n: typed_pass.typed(n, f, c, source.format.time_zone) for n, (f, c) in careful.items()}
    typed |= {n: over for n, (_, over) in quick.items()}
    prepared = [
        f'{cell if n in quick else typed_pass.prepared(cell, f, c)} as "{n}"'
        for n, (f, c) in fields.items()
        for cell in [layout.cells.get(n, "null")]
    ]
    prepared += [f'{reading} as "{n}_read"' for n, (reading, _) in quick.items()]
    told = [f"({expression}) as told_{n}" for n, (expression, _) in enumerate(drops)]
    time = f'"{record.day_of}"' if record.day_of else None
    united = "duration_s" if source.collapse and source.collapse.overlapping else None
    day = f"({time} at time zone %(zone)s)::date" if time else "%(first_day)s::date"
    if time and quick and zone == source.format.time_zone:
        day = f"{time}::date"
    ahead = f"date_part('epoch', {time} - %(ends_at)s)" if time else "null"
    student = "i.student_id, case when i.student_id is null and day is not null then student_ref end"
    return sql.SQL(
        # `offset 0` keeps Postgres from working out the same expression again wherever it is used.
        """
        insert into {rows} (
            row_number, load_error, load_field, {fields}, day, unnamed_day, seconds_ahead{student_columns}
        )
        with cells as (
            select row_number, problem, {prepared} from {text} where problem is not null or not ({dropped}) offset 0
        ),
        shaped as (select *{shaped} from cells offset 0),
        parsed as (select *{parsed} from shaped offset 0),
        valued as (select *, {values} from parsed offset 0),
        typed as (
            select
                row_number, coalesce(problem, {problems}) as load_error, problem is null as is_line, {typed}{told}
            from valued
        ),
        {single},
        dated as (select *, {day} as day from single where is_repeated is not true offset 0)
        select
            row_number, load_error, case when is_line then split_part(load_error, ':', 1) end, {united}, day,
            case when day not between %(first_day)s::date and %(last_day)s::date then day end, {ahead}{students}
        from dated {identity}
        """
    ).format(
        rows=rows,
        text=text,
        fields=sql.SQL(", ").join(map(sql.Identifier, fields)),
        student_columns=sql.SQL(", student_id, unknown_student" if record.names_student else ""),
        prepared=_list([*prepared, *told]),
        dropped=sql.SQL(" or ".join(condition for _, condition in drops) or "false"),
        shaped=_added(e for n, (f, c) in careful.items() for e in typed_pass.shaped(n, f, c)),
        parsed=_added(e for n, (f, c) in careful.items() for e in typed_pass.parsed(n, f, c)),
        problems=_list([typed[n].problem for n in fields]),
        values=_list([f'{typed[n].value} as "{n}_value"' for n in fields]),
        typed=_list([f'"{n}_value" as "{n}"' for n in fields]),
        told=sql.SQL("".join(f", told_{n}" for n in range(len(drops)))),
        single=collapse.steps(source, normalised(source.identified_by, "student_ref")),
        united=_list([collapse.UNITED if n == united else f'"{n}"' for n in fields]),
        day=sql.SQL(day),
        ahead=sql.SQL(ahead),
        students=sql.SQL(f", {student}" if record.names_student else ""),
        identity=sql.SQL(
            "left join pii.identity as i on i.ref_kind = %(kind)s and i.valid_from <= day and day < i.valid_to"
            f" and i.ref = {normalised(source.identified_by, 'student_ref')}"
            if record.names_student
            else ""
        ),
    )


def _list(expressions: list[str]) -> sql.SQL:
    return sql.SQL(", ".join(expressions))


def _added(columns: Iterable[tuple[str, str]]) -> sql.SQL:
    """SQL of further columns, given as name and expression."""
    return sql.SQL("".join(f', {expression} as "{name}"' for name, expression in columns))
