"""The files of editions: a folder per edition with page, PDF and tables, and a page that lists all. An edition is there
whole or not at all, and made again it is the same to the byte. What they say is decided elsewhere in this room.
"""

import csv
import io
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from engage.report import page
from engage.report.document import Document, Table, Value
from engage.report.pdf import pdf
from engage.report.stored import Edition, editions, read
from engage.report.summary import summary
from engage.spreadsheets import harmless
from engage.warehouse import Connection

FOLDER = "reports"
"""Below ENGAGE_HOME."""
PAGE = "summary.html"


def write(connection: Connection, edition_id: str, folder: Path) -> Path:
    """Write the files of an edition into `folder/<edition_id>/`, and the list of all; return that folder.

    Raises DecisionError (no such edition), OSError.
    """
    stored = read(connection, edition_id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / edition_id
    _place(files_of(summary(stored), stored.edition), path)
    listed = [one for one in editions(connection) if (folder / one.edition_id / PAGE).exists()]
    unfinished = folder / ".index.html"
    unfinished.write_text(page.index(listed), encoding="utf-8")
    unfinished.replace(folder / "index.html")
    return path


def files_of(document: Document, edition: Edition) -> dict[str, bytes]:
    """Return the bytes of every file of an edition by name."""
    tables = {f"{table.name}.csv": _csv(table) for table in document.tables()}
    return {
        PAGE: page.page(document).encode(),
        "summary.pdf": pdf(document, edition.made_at),
        **tables,
    }


def _csv(table: Table) -> bytes:
    """Return a table as CSV: numbers as numbers, what is left out as on the page."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(map(harmless, table.head))
    for row in table.rows:
        writer.writerow(
            [(one.raw if one.raw is not None else one.text) if isinstance(one, Value) else harmless(one) for one in row]
        )
    return text.getvalue().encode("utf-8-sig")  # spreadsheets take it for another encoding without the mark


def _place(files: Mapping[str, bytes], path: Path) -> None:
    """Put files into a folder that is there with all of them or not at all; one with the same bytes stays."""
    if path.is_dir() and {one.name: one.read_bytes() for one in path.iterdir() if one.is_file()} == dict(files):
        return
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        made.chmod(0o755)
        for name, content in files.items():
            (made / name).write_bytes(content)
        before = path.with_name(f".{path.name}.before")
        shutil.rmtree(before, ignore_errors=True)
        if path.exists():
            path.rename(before)
        made.rename(path)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
