"""A summary as one page of HTML: self-contained, without a script, for a desk, a phone, a printer and a screen reader;
and the page that lists all editions. What it says is document.py's; the layout stands in templates/report*.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

from markupsafe import Markup

from engage.letters import templates
from engage.report import colours
from engage.report.document import Chart, Document, Points, Table, Value, Words
from engage.report.stored import Edition

KINDS = {"weekly": "Weekly", "monthly": "Monthly", "termly": "Per term", "on_request": "On request"}


def page(document: Document) -> str:
    """Return the HTML of a summary."""
    return templates().get_template("report.html.j2").render(
        document=document, css=_css(), kind_of=_kind_of, is_number=lambda value: isinstance(value, Value), svg=Markup
    )  # fmt: skip


def index(editions: Sequence[Edition]) -> str:
    """Return the HTML of the list of editions, the newest first."""
    return templates().get_template("report_index.html.j2").render(editions=editions, kinds=KINDS, css=_css())


def _kind_of(block: object) -> str:
    return {Chart: "chart", Table: "table", Words: "words", Points: "points"}[type(block)]


@cache
def _css() -> Markup:
    text = (resources.files("engage") / "templates" / "report.css").read_text(encoding="utf-8")
    text = text.replace("/*light*/", colours.variables(colours.LIGHT)).replace(
        "/*dark*/", colours.variables(colours.DARK)
    )
    return Markup(text + colours.of_page())  # noqa: S704 - files of ours
