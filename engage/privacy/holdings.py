"""Everything held about one student, read out of the warehouse, the landing store and the home folder, others masked.

Reads only. How it is handed over is subject_access_archive's; where personal data lies is declared in places.py, whose
lines of a landed file are somebody's is landed's.
"""

import contextlib
import csv
import email
import email.policy
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from psycopg import sql
from psycopg.rows import dict_row

from engage.privacy import landed
from engage.privacy.places import Person, Place, places
from engage.privacy.references import Reference
from engage.privacy.third_parties import FIELDS, Others, masked
from engage.records import IDENTITY_KINDS
from engage.sources import Format, Source
from engage.warehouse import Connection

ABOUT_ONE = ("student", "case")
"""Kinds of messages that are about one student as a whole; of others only the parts that name the student are."""
# A student's rows are few, and indexes on students fewer: whole tables are read, by as many workers as there are.
_SESSION = """
select
    set_config('max_parallel_workers_per_gather', '8', true), set_config('datestyle', 'ISO', true),
    set_config('timezone', 'UTC', true), set_config('enable_partitionwise_aggregate', 'off', true)
"""


@dataclass(frozen=True)
class Table:
    """The rows of one place about the student, at least one, newest first, as JSON could hold them."""

    place: Place
    columns: list[str]
    rows: list[dict[str, object]]


@dataclass(frozen=True)
class Document:
    """What a file says of the student: the lines of one that was delivered, or a message."""

    path: str
    """Within the archive."""
    text: str
    origin: str
    """Source of a delivered file; else `outbox`, or a folder of ENGAGE_HOME."""
    lines: int
    is_unreadable: bool = False
    """Nobody can read the file, so nobody knows whether it is about the student."""


@dataclass(frozen=True)
class Holdings:
    """All of it."""

    tables: list[Table]
    documents: list[Document] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Nothing at all was found."""
        return not self.tables and not any(document.lines for document in self.documents)


def gather(
    connection: Connection,
    store_url: str,
    home: Path,
    sources: Mapping[str, Source],
    who: Person,
    refs: list[Reference],
) -> Holdings:
    """Return everything held of a student, the warehouse as of one moment. Commits.

    `sources`: drafts included; `refs`: as the landed files are searched for.
    """
    personal = [place for place in places(connection) if place.is_personal]
    connection.commit()
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        # Before there is a snapshot: a table that dbt makes anew after it has no rows in it.
        for place in personal:
            connection.execute(sql.SQL("lock table {} in access share mode").format(_table(place)))
        connection.execute(_SESSION)
        found = {place: _rows(connection, place, who) for place in personal}
        others = Others(connection, who)
        deliveries = landed.deliveries(connection)
    for place, rows in found.items():
        for row in rows:
            for column in place.third_parties:
                others.learn(row[column])
    tables = [
        Table(place, list(rows[0]), _masked(place, rows, sources, who, others)) for place, rows in found.items() if rows
    ]
    documents = [
        *(_landed(one, sources, others) for one in landed.find(store_url, deliveries, sources, refs)),
        *_previews(home / "outbox", who, others),
        *_dropped(home / "exemptions", who, others),
    ]
    return Holdings(tables, sorted(documents, key=lambda document: document.path))


def unknown_references(said: str) -> list[Reference]:
    """Return what somebody may be called in files whom no roster names."""
    return [Reference(kind, said) for kind in ("student_id", *IDENTITY_KINDS)]


def plain(value: object) -> object:
    """Return a value of the warehouse as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else str(value)


def _rows(connection: Connection, place: Place, who: Person) -> list[dict[str, object]]:
    query = sql.SQL('select t.* from {} as t where {} order by {}t::text collate "C"').format(
        _table(place),
        sql.SQL(place.find or "false"),
        sql.SQL(f"{place.dated} desc nulls last, " if place.dated else ""),
    )
    rows = connection.cursor(row_factory=dict_row).execute(query, who.parameters).fetchall()
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def _table(place: Place) -> sql.Identifier:
    return sql.Identifier(*place.table.split(".", 1))


def _masked(
    place: Place, rows: list[dict[str, object]], sources: Mapping[str, Source], who: Person, others: Others
) -> list[dict[str, object]]:
    if place.table == "ops.outbox":
        rows = [row if row["kind"] in ABOUT_ONE else _own_part_of(row, who) for row in rows]
    if place.table == "quarantine.row":
        rows = [
            row | {"record": others.value(row["record"], _keys(sources.get(str(row["source_id"]))))} for row in rows
        ]
    return list(masked(others, rows, place.third_parties))


def _own_part_of(row: dict[str, object], who: Person) -> dict[str, object]:
    return row | {"subject": None, "text": own_parts(str(row["text"]), who), "html": None, "payload": {}}


def own_parts(text: str, who: Person) -> str:
    """Return the parts of a message to staff, as its rules or blank lines divide it, in which the student is named."""
    ruled = re.split(r"\n\s*={10,}\s*\n", f"\n{text}\n")
    parts = ruled if len(ruled) > 1 else re.split(r"\n\s*\n", text)
    return "\n\n".join(part.strip() for part in parts if _names(part, who))


def _names(text: str, who: Person) -> bool:
    return re.search(rf"(?<![^\W_])({'|'.join(map(re.escape, who.refs))})(?![^\W_])", text, re.IGNORECASE) is not None


def _keys(source: Source | None) -> frozenset[str]:
    """Return what the columns of a source are called that name somebody else, of a path the last part, too."""
    if source is None:
        return frozenset(FIELDS)
    said = [source.columns[name].name for name in FIELDS if name in source.columns]
    return frozenset((*FIELDS, *said, *(name.rsplit(".", 1)[-1] for name in said)))


def _landed(found: landed.Found, sources: Mapping[str, Source], others: Others) -> Document:
    source = sources.get(found.source_id)
    name = re.sub(r"\.(gz|zip|bz2|xz)$", "", found.name.rsplit("/", 1)[-1])
    name = re.sub(r"[^A-Za-z0-9._-]", "_", others.text(name))[-80:].lstrip(".")
    text = "\n".join(_lines(found, source, others))
    if found.heading.strip() and found.lines:
        text = f"{found.heading.strip()}\n{text}"
    return Document(
        f"landing/{found.source_id}/{found.delivery_id:06d}-{name or 'file'}",
        f"{text}\n" if found.lines else "",
        found.source_id,
        len(found.lines),
        found.is_unreadable,
    )


def _lines(found: landed.Found, source: Source | None, others: Others) -> Iterator[str]:
    keys = _keys(source)
    if source is None or source.format.kind == "jsonl":
        for line in found.lines:
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                yield others.text(line)
                continue
            blanked = others.value(said, keys)
            yield line if blanked == said else json.dumps(blanked, ensure_ascii=False)
        return
    form = source.format
    heading = next(iter(_records([found.heading.strip()], form)), [])
    places = {n for n, name in enumerate(heading) if name.strip() in keys}
    # A row may have several lines; what is no row at all is looked at line by line.
    whole = _records(found.lines, form)
    for lines in [found.lines] if whole else [[line] for line in found.lines]:
        records = whole or _records(lines, form) or [lines]
        for n, record in enumerate(records):
            cells = [others.blank(cell) if place in places else cell for place, cell in enumerate(record)]
            is_as_it_came = cells == record and len(records) == len(lines)
            yield others.text(lines[n] if is_as_it_came else _joined(cells, form))


def _records(lines: Sequence[str], form: Format) -> list[list[str]]:
    """Return the rows that lines of a CSV file make; none, if they are not well formed."""
    file = io.StringIO("\n".join(lines), newline="")
    try:
        return list(csv.reader(file, delimiter=form.delimiter, quotechar=form.quote, strict=True))
    except csv.Error:
        return []


def _joined(cells: Sequence[object], form: Format) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=form.delimiter, quotechar=form.quote, lineterminator="").writerow(cells)
    return out.getvalue()


def _previews(folder: Path, who: Person, others: Others) -> Iterator[Document]:
    """Yield what the messages in the outbox folder say of the student."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            said = path.read_bytes()
            if _may_name(said, who) and (text := _preview(path.suffix, said, who, others)):
                suffix = ".txt" if path.suffix == ".eml" else path.suffix
                yield Document(f"outbox/{path.stem}{suffix}", f"{text}\n", "outbox", len(text.splitlines()))


def _preview(suffix: str, said: bytes, who: Person, others: Others) -> str:
    if suffix != ".eml":
        text = said.decode("utf-8", "replace")
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(others.value(json.loads(text)), indent=2, ensure_ascii=False)
        return others.text(text) if _names(text, who) else ""
    mail = email.message_from_bytes(said, policy=email.policy.default)
    body = mail.get_body(preferencelist=("plain", "html"))
    text = body.get_content().strip() if body else ""
    if str(mail["To"]).strip().lower() not in who.refs:
        return others.text(own_parts(text, who))
    heading = "\n".join(f"{name}: {mail[name]}" for name in ("Date", "From", "To", "Subject") if mail[name])
    return others.text(f"{heading}\n\n{text}")


def _may_name(said: bytes, who: Person) -> bool:
    # Quoted-printable breaks lines anywhere; base64 tells nothing.
    flat = said.replace(b"=\r\n", b"").replace(b"=\n", b"").lower()
    return b"base64" in flat or any(ref.encode() in flat for ref in who.refs)


def _dropped(folder: Path, who: Person, others: Others) -> Iterator[Document]:
    """Yield the lines about the student of files that people put into the home folder."""
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            lines = [line for line in path.read_text("utf-8", "replace").splitlines() if _names(line, who)]
            if lines:
                name = re.sub(r"[^A-Za-z0-9._-]", "_", others.text(path.name)).lstrip(".")
                text = "".join(f"{others.text(line)}\n" for line in lines)
                yield Document(f"{folder.name}/{name}", text, folder.name, len(lines))
