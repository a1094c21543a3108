"""Load: a landed delivery becomes rows of the source's working tables in schema `load`.

`load.text_<source>` holds the fields as they came, `load.rows_<source>` the typed rows that are audited and published,
`load.out_<source>` the numbers of those that are not, and for bad ones where they stand; the audit fills it. Rows go
through COPY and SQL only; Python looks at single lines only when a file has some that are not well formed.
"""

from dataclasses import dataclass
from io import TextIOWrapper
from typing import cast

import psycopg
from psycopg import sql

from engage import headings, text, typed_pass, typed_statement
from engage.headings import Layout
from engage.landing import Delivery
from engage.sources import Source
from engage.text import CareError, Opener, Quoting, UnreadableError
from engage.warehouse import Connection

_TRUNCATE_FROM = 5_000
"""Rows. Fewer are deleted, which takes less time than giving the tables new files."""
_TOO_MUCH = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex, psycopg.errors.TooManyColumns)
"""What Postgres says to more columns or deeper JSON than it can hold."""


@dataclass(frozen=True)
class Loaded:
    """What is in the working tables now."""

    rows_read: int
    dropped: dict[str, int]
    """Rows left out: declared reason -> how many."""
    headings: tuple[str, ...]
    """Of the text columns c1, c2, ...; empty for JSON Lines, whose only text column c1 is the item."""
    notes: tuple[str, ...]
    """What was unusual about the file and did not stop it."""
    drift: tuple[str, ...] = ()
    """Those of the notes that say how its columns are not what the source file says."""

    @property
    def rows_dropped(self) -> int:
        """All rows left out."""
        return sum(self.dropped.values())


def typed_columns(source: Source) -> dict[str, str]:
    """Return the columns of `load.rows_<source>` with their SQL types: what expectations can speak about."""
    columns = {"row_number": "bigint", "load_error": "text", "load_field": "text"}
    columns |= {name: typed_pass.SQL_TYPES[field.type] for name, field in source.kind.fields.items()}
    # Set by us: the local day; the day if the delivery does not name it; how far the row lies
    # after the end of the delivery's window or, of a file, after the file's own time.
    columns |= {"day": "date", "unnamed_day": "date", "seconds_ahead": "double precision"}
    if source.kind.names_student:
        # The reference when it is known to nobody; both null when the row has no day.
        columns |= {"student_id": "text", "unknown_student": "text"}
    return columns


class WorkingTables:
    """The working tables of one source. Only one batch of a source is in them at a time: the caller holds the lock.

    `name`: what they are called after, if not after the source.
    """

    def __init__(self, connection: Connection, source: Source, zone: str, name: str | None = None) -> None:
        self._connection = connection
        self._source = source
        self._zone = zone
        self._width = self._made = 0
        self._left_over = 0
        self._name = name or source.id
        self.text = sql.Identifier("load", f"text_{self._name}")
        self.rows = sql.Identifier("load", f"rows_{self._name}")
        self.out = sql.Identifier("load", f"out_{self._name}")
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in typed_columns(source).items()
        )
        with connection.transaction():
            self.drop()
            connection.execute(sql.SQL("create unlogged table {} ({})").format(self.rows, columns))
            connection.execute(sql.SQL("create unlogged table {} (row_number bigint, place tid)").format(self.out))

    def drop(self) -> None:
        """Remove the tables."""
        self._connection.execute(sql.SQL("drop table if exists {}, {}, {}").format(self.text, self.rows, self.out))

    def load(self, delivery: Delivery, open_bytes: Opener) -> Loaded:
        """Fill text and rows from one delivery, replacing what the tables held. Raises UnreadableError."""
        try:
            return self._attempt(delivery, open_bytes, carefully=False)
        except (CareError, UnicodeDecodeError, psycopg.DataError, *_TOO_MUCH):
            pass  # again, line by line
        try:
            return self._attempt(delivery, open_bytes, carefully=True)
        except psycopg.DataError as error:
            # The database quotes values in its message.
            raise UnreadableError(f"is refused by the database, SQLSTATE {error.sqlstate}") from None
        except _TOO_MUCH as error:
            raise UnreadableError(
                f"has more in a row ({self._width:,} columns) than the database can hold, SQLSTATE {error.sqlstate};"
                " have it sent without the columns that nobody needs"
            ) from None

    def _attempt(self, delivery: Delivery, open_bytes: Opener, carefully: bool) -> Loaded:
        with self._connection.transaction():
            loaded = self._load(delivery, open_bytes, carefully)
        # Not before: a text table made in a transaction that fails is gone with it.
        self._made = self._width
        return loaded

    def _load(self, delivery: Delivery, open_bytes: Opener, carefully: bool) -> Loaded:
        form = self._source.format
        with (
            text.readable(),
            text.open_text(open_bytes, form.encoding, "engage_mark" if carefully else "strict") as content,
        ):
            if form.kind == "csv":
                names, number = text.read_heading(content, form)
                layout = headings.match(self._source, names)
            else:
                names, number = [], 0
                layout = headings.paths(self._source)
            self._prepare(len(names) or 1, number)
            footer = text.Footer(form.footer)
            copy = self._copy_carefully if carefully else self._copy
            rows_read = copy(content, footer, number)
        if footer.is_missing:
            raise UnreadableError(
                "has no closing line, though its source declares one (format.footer): it was probably cut off;"
                " have it sent again whole"
            )
        self._left_over += rows_read
        kept = self._type(delivery, layout)
        dropped = self._dropped(layout, rows_read - kept) if kept < rows_read else {}
        return Loaded(rows_read, dropped, tuple(names), tuple(layout.notes), tuple(layout.notes))

    def _prepare(self, width: int, heading_at: int) -> None:
        """Empty the tables; numbers of rows start after the heading."""
        self._width = width
        if width != self._made:
            kind = sql.SQL("jsonb" if self._source.format.kind == "jsonl" else "text")
            columns = sql.SQL(", ").join(sql.SQL("{} {}").format(name, kind) for name in _text_columns(width))
            self._connection.execute(sql.SQL("drop table if exists {}").format(self.text))
            self._connection.execute(
                sql.SQL(
                    "create unlogged table {} (row_number bigint generated by default as identity,"
                    " problem text, line text, {})"
                ).format(self.text, columns)
            )
        if self._left_over > _TRUNCATE_FROM:
            self._connection.execute(sql.SQL("truncate {}, {}, {}").format(self.text, self.rows, self.out))
            self._left_over = 0
        else:
            for table in (self.text, self.rows, self.out):
                self._connection.execute(sql.SQL("delete from {}").format(table))
        self._connection.execute(
            "select setval(pg_get_serial_sequence(%s, 'row_number'), %s, false)",
            [f"load.text_{self._name}", heading_at + 1],
        )

    def _copy(self, content: TextIOWrapper, footer: text.Footer, _: int) -> int:
        """COPY the text as it is. Raises CareError when its rows may not be its lines."""
        form = self._source.format
        quoting = Quoting(form) if form.kind == "csv" else None
        # JSON holds no control characters: so a line is one field, and an empty one is not null but wrong.
        delimiter, quote, null = (form.delimiter, form.quote, "") if form.kind == "csv" else ("\x01", "\x02", "\x03")
        if self._width == 1 and form.kind == "csv":
            raise CareError  # a blank line would be a row
        statement = sql.SQL("copy {} ({}) from stdin (format csv, delimiter {}, quote {}, null {})").format(
            self.text, sql.SQL(", ").join(_text_columns(self._width)), *map(sql.Literal, (delimiter, quote, null))
        )
        count = 0
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in text.blocks(content, footer):
                    if quoting and not quoting.is_plain(block):
                        raise CareError
                    count += block.count("\n")
                    copy.write(block)
            if cursor.rowcount != count:
                raise CareError
        return count

    def _copy_carefully(self, content: TextIOWrapper, footer: text.Footer, number: int) -> int:
        names = [sql.Identifier(n) for n in ("row_number", "problem", "line")] + _text_columns(self._width)
        statement = sql.SQL("copy {} ({}) from stdin").format(self.text, sql.SQL(", ").join(names))
        nothing = [None] * self._width
        count = 0
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for line in text.lines(content, self._source.format, footer, self._width, number):
                count += 1
                copy.write_row([line.number, line.problem, line.text, *(line.fields or nothing)])
        return count

    def _type(self, delivery: Delivery, layout: Layout) -> int:
        """Run the typed pass; return how many rows were kept."""
        parameters = {
            "zone": self._zone,
            "ends_at": delivery.window_end or delivery.version_at,
            "first_day": delivery.first_day,
            "last_day": delivery.last_day,
            "kind": self._source.identified_by,
        }
        if quick := typed_statement.quick(self._source, layout):
            statement = psycopg.ClientCursor(self._connection).mogrify(self._statement(layout, quick), parameters)
            kept = self._connection.execute(
                "select load.attempt(%s, %s)", [statement, self._source.format.time_zone]
            ).fetchone()
            if kept and kept[0] is not None:
                return cast(int, kept[0])
        return self._connection.execute(self._statement(layout, {}), parameters).rowcount

    def _statement(self, layout: Layout, quick: typed_statement.Quick) -> sql.Composed:
        return typed_statement.statement(self._source, self._zone, layout, quick, self.text, self.rows)

    def _dropped(self, layout: Layout, count: int) -> dict[str, int]:
        """Count the rows left out by the first rule that says so; the others of them are repetitions."""
        found: dict[str, int] = {}
        if layout.drops:
            reasons = " ".join(
                f"when {condition} then {typed_pass.literal(drop.reason)}"
                for drop, (_, condition) in zip(self._source.drop, layout.drops, strict=True)
            )
            query = "select case {} end as reason, count(*) from {} where problem is null group by reason"
            rows = self._connection.execute(sql.SQL(query).format(sql.SQL(reasons), self.text), {}).fetchall()
            found = {cast(str, reason): cast(int, rows) for reason, rows in rows if reason is not None}
        if (repeated := count - sum(found.values())) and self._source.collapse:
            found[self._source.collapse.reason] = repeated
        return found


def _text_columns(width: int) -> list[sql.Identifier]:
    return [sql.Identifier(f"c{n}") for n in range(1, width + 1)]
