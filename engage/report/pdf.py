"""A summary as PDF: tagged, PDF/UA-1, the same bytes on every machine. The layout stands in templates/report.typ."""

import json
import tempfile
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, cast

import typst

from engage.report import colours
from engage.report.document import Block, Chart, Document, Points, Table, Value

FONT = "Libertinus Serif"
"""Comes with Typst: the fonts of a machine would change the bytes."""
WIDEST, NEWEST = 8, 6
"""Columns of a table on paper: of a wider one the last so many, and the CSV file has all."""
LONGEST = 60
"""Rows of a table on paper."""


FOLDED = 40
"""Rows of a table that the page folds."""


def pdf(document: Document, made_at: datetime) -> bytes:
    """Return the PDF. Raises typst.TypstError when it would not be accessible to everybody."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        template = (resources.files("engage") / "templates" / "report.typ").read_text(encoding="utf-8")
        (root / "report.typ").write_text(template, encoding="utf-8")
        content = _content(document, root)
        (root / "content.json").write_text(json.dumps(content), encoding="utf-8")
        compiler = typst.Compiler(str(root / "report.typ"), root=str(root), ignore_system_fonts=True)
        return cast(
            bytes, compiler.compile(format="pdf", pdf_standards="ua-1", timestamp=made_at.replace(microsecond=0))
        )


def _content(document: Document, root: Path) -> dict[str, Any]:
    style = f"<style>{colours.of_print(FONT)}</style>"

    def picture(svg: str) -> dict[str, str]:
        name = f"{len(list(root.glob('*.svg')))}.svg"
        head, _, rest = svg.partition("<title")
        (root / name).write_text(f"{head}{style}<title{rest}", encoding="utf-8")
        title, describes = (
            svg.partition(f"<{tag} ")[2].partition(">")[2].partition("<")[0] for tag in ("title", "desc")
        )
        return {"file": name, "alt": f"{title}. {describes}"}

    def block(one: Block) -> dict[str, Any]:
        if isinstance(one, Chart):
            return {
                "kind": "chart",
                "title": one.title,
                "says": one.says,
                "limits": one.limits,
                "columns": one.columns,
                "pictures": [picture(drawing.wide) for drawing in one.drawings],
                "csv": f"{one.table.name}.csv" if one.table else "",
            }
        if isinstance(one, Table) and one.folded and len(one.rows) > FOLDED:
            return {"kind": "words", "text": f"{one.caption}: {one.name}.csv."}
        if isinstance(one, Table):
            return {"kind": "table", **_printed(one)}
        if isinstance(one, Points):
            return {"kind": "points", "title": one.title, "items": list(one.items)}
        return {"kind": "words", "text": one.text}

    return {
        "title": document.title,
        "facts": [list(fact) for fact in document.facts],
        "tiles": [[tile.question, tile.number, tile.unit, tile.sentence] for tile in document.tiles],
        "sections": [
            {"title": one.title, "lead": one.lead, "blocks": [block(each) for each in one.blocks]}
            for one in document.sections
        ],
    }


def _printed(table: Table) -> dict[str, Any]:
    """Return what of a table fits on paper."""
    head, rows = list(table.head), [list(row) for row in table.rows]
    note = [table.note] if table.note else []
    if len(head) > WIDEST:
        firsts = sum(not isinstance(value, Value) for value in rows[0]) if rows else 1
        head = head[:firsts] + head[-NEWEST:]
        rows = [row[:firsts] + row[-NEWEST:] for row in rows]
        note.append(f"The newest {NEWEST} columns; {table.name}.csv has all.")
    if len(rows) > LONGEST:
        note.append(f"The first {LONGEST} of {len(rows)} rows; {table.name}.csv has all.")
        rows = rows[:LONGEST]
    numeric = [bool(rows) and isinstance(value, Value) for value in (rows[0] if rows else head)]
    texts = [[value.text if isinstance(value, Value) else value for value in row] for row in rows]
    return {
        "caption": table.caption,
        "head": head,
        "rows": texts,
        "numeric": numeric,
        # A column takes room by what stands in it.
        "weights": [min(max(len(row[n]) for row in [*texts, head]), 60) for n in range(len(head))],
        "note": " ".join(note),
    }
