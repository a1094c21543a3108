"""The archive that a student is given: a page to read, and the same for machines as JSON and CSV, in one ZIP.

The same holdings at the same moment are the same bytes. What is held is holdings', how the page reads its template's.
"""

import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engage.privacy.holdings import Holdings, Table
from engage.privacy.subject_access_page import Frame, page
from engage.spreadsheets import harmless


def write(path: Path, holdings: Holdings, frame: Frame) -> str:
    """Write the archive, readable for its owner alone, whole or not at all; return its SHA-256. Raises OSError."""
    # Made readable for us alone, also where a folder was there before.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, text in sorted(_files(holdings, frame)):
                archive.writestr(_member(name, frame.made_at), text.encode())
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    part.replace(path)
    return digest


def _files(holdings: Holdings, frame: Frame) -> Iterator[tuple[str, str]]:
    yield "index.html", page(holdings, frame)
    yield "data.json", f"{json.dumps(_data(holdings, frame), indent=1, ensure_ascii=False)}\n"
    for table in holdings.tables:
        yield f"csv/{table.place.table}.csv", csv_text(table)
    for document in holdings.documents:
        if document.lines:
            yield document.path, document.text


def _data(holdings: Holdings, frame: Frame) -> dict[str, object]:
    """Return everything for machines: where each row stands, where it came from and why it is held."""
    return {
        "request": {
            "request_id": frame.request_id,
            "received_on": frame.received_on.isoformat(),
            "due_on": frame.due_on.isoformat(),
            "made_at": frame.made_at.isoformat(),
        },
        "sources": [
            {
                "source_id": source.source_id,
                "title": source.title,
                "system": source.system,
                "purpose": source.purpose,
                "lawful_basis": source.lawful_basis,
                "dpia_reference": source.dpia_reference,
                "kept_days": source.retention_days,
            }
            for source in frame.sources
        ],
        "tables": [
            {
                "table": table.place.table,
                "holds": table.place.about,
                "purpose": frame.purpose,
                "kept": frame.kept(table.place),
                "sources": sorted({str(row["source_id"]) for row in table.rows if row.get("source_id")}),
                "rows": table.rows,
            }
            for table in holdings.tables
        ],
        "files": [
            {
                "file": document.path,
                "source": document.origin,
                "lines": document.lines,
                "is_unreadable": document.is_unreadable,
            }
            for document in holdings.documents
        ],
    }


def csv_text(table: Table) -> str:
    """Return the rows as CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_cell(value) for value in row.values()])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return harmless(value)


def _member(name: str, moment: datetime) -> zipfile.ZipInfo:
    moment = moment.astimezone(UTC)
    member = zipfile.ZipInfo(name, (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o600 << 16
    # Whatever the machine it is made on.
    member.create_system = 3
    return member
