"""The page of the archive: what is held of a student, from where, why and for how long, in words for the student.

What is held is holdings'; the layout is templates/subject_access.html.j2.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from engage.privacy.holdings import Holdings, Table
from engage.privacy.periods import Periods
from engage.privacy.places import Place

NEWEST = 200
"""Rows of a table that the page shows; the rest is in its CSV file."""
PURPOSE = "to notice early when a student may need support, and to offer it; never for an academic decision"
_PLUMBING = ("student_id", "batch_id", "row_number")
"""Columns that say nothing to a reader: their own number, and where a row stood. The CSV files have them."""
_OPEN = ("0001-01-01", "9999-12-31")
"""Days that stand for no day."""
_GROUPS = {
    "pii": ("who", "Who you are", "Your name, and what systems call you."),
    "raw": (
        "recorded",
        "What systems recorded of you",
        "As it was delivered by the sources listed above, and accepted.",
    ),
    "marts": ("derived", "What was worked out about you", "Counts, ratings and scores made from what was recorded."),
    "ops": ("done", "What was done", "Notifications, messages, cases, authorised absences, requests."),
    "quarantine": ("kept-out", "What was kept out", "Rows in which something was wrong: they count for nothing."),
    "intermediate": (
        "steps",
        "Steps in between",
        "Made anew whenever something is worked out, and of no use by themselves.",
    ),
    "load": ("steps", "Steps in between", "Made anew whenever something is worked out, and of no use by themselves."),
}


@dataclass(frozen=True)
class AboutSource:
    """What the register says of a source that delivered something about the student."""

    source_id: str
    title: str
    system: str | None
    purpose: str | None
    lawful_basis: str
    dpia_reference: str
    retention_days: int | None


@dataclass(frozen=True)
class Frame:
    """What surrounds the holdings."""

    request_id: int
    received_on: date
    due_on: date
    made_at: datetime
    name: str
    """Of the student; empty where it is not known."""
    contact: str
    """E-mail address for questions."""
    sources: Sequence[AboutSource]
    periods: Periods
    """What config/retention.yaml says."""
    purpose: str = PURPOSE

    def kept(self, place: Place) -> str:
        """Return in words how long the rows of a place are kept."""
        if place.keep == "source":
            return "as long as its source says"
        if place.keep == "derived":
            return "made anew from the rest, and goes with it"
        days = self.periods.days(place.keep)
        return lasting(days) if days else "as long as the service runs"


def lasting(days: int) -> str:
    """Return a period in words."""
    years, rest = divmod(days, 365)
    return f"{days} days" if rest else "a year" if years == 1 else f"{years} years"


def page(holdings: Holdings, frame: Frame) -> str:
    """Return the page as HTML without any outside resource."""
    groups: dict[str, dict[str, Any]] = {}
    for table in holdings.tables:
        anchor, title, lead = _GROUPS[table.place.table.split(".")[0]]
        group = groups.setdefault(anchor, {"anchor": anchor, "title": title, "lead": lead, "tables": []})
        group["tables"].append(_shown(table, frame))
    order = list(dict.fromkeys(anchor for anchor, _, _ in _GROUPS.values()))
    received = [document for document in holdings.documents if document.path.startswith("landing/")]
    rendered: str = _template().render(
        frame=frame,
        groups=sorted(groups.values(), key=lambda group: order.index(group["anchor"])),
        rows=sum(len(table.rows) for table in holdings.tables),
        received=[document for document in received if not document.is_unreadable],
        unreadable=[document for document in received if document.is_unreadable],
        others=[document for document in holdings.documents if not document.path.startswith("landing/")],
        roles=_roles(holdings),
        has_cases=any(table.place.table in ("raw.cases", "ops.case_action") for table in holdings.tables),
        is_sponsored=any(
            row.get("is_sponsored") is True for table in holdings.tables for row in table.rows[:1] + table.rows[-1:]
        ),
        newest=NEWEST,
        lasting=lasting,
    )
    return rendered


def _shown(table: Table, frame: Frame) -> dict[str, Any]:
    newest = table.rows[:NEWEST]
    # A column without a value says nothing either.
    filled = [name for name in table.columns if any(row[name] not in (None, "", [], {}) for row in newest)]
    columns = [name for name in filled if name not in _PLUMBING] or filled
    titles = {source.source_id: source.title for source in frame.sources}
    shown = [{name: _text(row[name]) for name in columns} for row in newest]
    for row in shown:
        row.update({"source_id": titles.get(row["source_id"], row["source_id"])} if "source_id" in row else {})
    return {
        "name": table.place.table,
        "anchor": table.place.table.replace(".", "-"),
        "about": table.place.about,
        "kept": frame.kept(table.place),
        "count": len(table.rows),
        "columns": ["source" if name == "source_id" else name.replace("_", " ") for name in columns],
        "rows": [list(row.values()) for row in shown],
    }


def _text(value: object) -> str:
    if value is None or value in _OPEN:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    said = str(value)
    # 2026-11-10T08:31:00+00:00
    return f"{said[:10]} {said[11:16]}" if said[10:11] == "T" and said.endswith("+00:00") else said


def _roles(holdings: Holdings) -> list[str]:
    links = [row for table in holdings.tables if table.place.table == "raw.staff_links" for row in table.rows]
    return sorted({str(row["role"]).replace("_", " ") for row in links})


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("engage", "templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("subject_access.html.j2")
