"""The page of a copy as a student sees it: on a phone, at a desk, in the dark, on paper, whatever was held."""

import html
import json
import re
import shutil
import subprocess
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pypdf
import pytest

from engage.privacy.holdings import Document, Holdings, Table
from engage.privacy.periods import load_periods
from engage.privacy.places import Place
from engage.privacy.subject_access_page import NEWEST, AboutSource, Frame, page
from engage.settings import PROJECT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '<script>top.harm=1</script><img src=x onerror="top.harm=1"><b id=bold>'
VOID = {"meta", "link", "br", "img", "input", "hr"}
FRAME = Frame(
    1,
    date(2026, 6, 1),
    date(2026, 7, 1),
    datetime(2026, 6, 1, 9, tzinfo=UTC),
    f"Grace {EVIL}",
    "help@example.ac.uk",
    [AboutSource("vle", "Learning " + EVIL, "Moodle", "to see " + "w" * 200, "public task", "DPIA-1", 730)],
    load_periods(PROJECT / "config"),
)
MEASURE = """
<!doctype html><meta charset="utf-8"><body>
<iframe id="phone" style="width:360px;height:900px;border:0" srcdoc="{page}"></iframe>
<iframe id="desk" style="width:1200px;height:900px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const shade = said => {{
    const [r, g, b] = said.match(/[\\d.]+/g).map(one => one / 255).map(
      one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }};
  const ground = one => {{
    for (; one; one = one.parentElement) {{
      const said = getComputedStyle(one).backgroundColor;
      if (said !== "rgba(0, 0, 0, 0)") return shade(said);
    }}
    return 1;
  }};
  const found = ["phone", "desk"].map(id => {{
    const doc = document.getElementById(id).contentDocument, root = doc.documentElement;
    doc.querySelectorAll("details").forEach(one => one.open = true);
    const texts = [...doc.querySelectorAll("p, li, td, th, h1, h2, h3, a, summary, span")];
    return {{
      wide: root.scrollWidth > root.clientWidth,
      text: doc.body.innerText,
      fonts: texts.map(one => parseFloat(getComputedStyle(one).fontSize)),
      contrast: Math.min(...texts.map(one => {{
        const [low, high] = [shade(getComputedStyle(one).color), ground(one)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
      }})),
      summaries: Math.min(...[...doc.querySelectorAll("summary")].map(one => one.getBoundingClientRect().height)),
      foreign: doc.querySelectorAll("script, img, #bold").length,
      harm: window.harm || 0,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>
"""


def held(rows: int = NEWEST + 30) -> Holdings:
    person = Place("pii.student", "Your name and e-mail address", keep="people")
    notes = Place("raw.student_notes", "What you wrote", keep="source")
    scores = Place("marts.weekly_score", "Your weekly engagement score", keep="marts")
    links = Place("raw.staff_links", "Who supports you", keep="source")
    return Holdings(
        [
            Table(person, ["given_name"], [{"given_name": EVIL}]),
            Table(notes, ["source_id", "note"], [{"source_id": "vle", "note": EVIL + "w" * 300}]),
            Table(links, ["role", "staff_id"], [{"role": "personal_tutor", "staff_id": "[somebody else]"}]),
            Table(
                scores,
                ["week_start", "score", "marks", "nothing", *(f"long_heading_{n}" for n in range(12))],
                [
                    {"week_start": f"week {n}", "score": n, "marks": [EVIL, True], "nothing": None}
                    | {f"long_heading_{k}": 1.23456789 for k in range(12)}
                    for n in range(rows)
                ],
            ),
        ],
        [Document("landing/vle/000001-<b>.csv", "x\n", "vle", 1), Document("landing/vle/000002-x", "", "vle", 0, True)],
    )


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attributes:
            self.ids += [value or ""] if name == "id" else []
            self.links += [str(value)[1:]] if name == "href" and str(value).startswith("#") else []
            self.outside += [str(value)] if re.match("(https?:)?//", value or "") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_has_no_outside_resource_and_names_every_csv_file() -> None:
    outline = _Outline()
    text = page(held(), FRAME)
    outline.feed(text)
    assert outline.open == [] and outline.outside == []
    assert outline.headings[0] == 1 and all(
        b - a <= 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False)
    )
    assert len(outline.ids) == len(set(outline.ids)) and set(outline.links) <= set(outline.ids)
    for table in held().tables:
        assert f"csv/{table.place.table}.csv" in text
    assert f"here the newest {NEWEST}" in text and f"week {NEWEST - 1}" in text and f"week {NEWEST}<" not in text
    assert (
        "as personal tutor" in text
        and "2 years" in text
        and "6 years" in text
        and "1 file of\nvle cannot be read" in text
    )
    assert "<td>" in text and "url(" not in text and "@import" not in text


if BROWSER:  # on the machines that have one; the test above is everywhere
    QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    QUIET += [
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=3000",
        "--no-sandbox",
        "--headless",
    ]

    def browse(tmp_path: Path, content: str, *words: str) -> str:
        path = tmp_path / "page.html"
        path.write_text(content, encoding="utf-8")
        command = [str(BROWSER), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *words, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout

    @pytest.mark.parametrize("is_dark", [False, True])
    def test_it_fits_a_phone_can_be_read_and_nothing_in_it_does_harm(is_dark: bool, tmp_path: Path) -> None:
        text = page(held(), FRAME)
        if is_dark:
            assert "@media (prefers-color-scheme: dark)" in text
            text = text.replace("@media (prefers-color-scheme: dark)", "@media all")
        dumped = browse(tmp_path, MEASURE.format(page=html.escape(text, quote=True)), "--dump-dom")
        match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert match, "the browser did not come to the end of the page"
        for seen in json.loads(html.unescape(match[1])):
            assert not seen["wide"]
            assert "Grace <script>" in seen["text"]
            assert seen["foreign"] == 0 and seen["harm"] == 0
            assert 16 in seen["fonts"] and min(seen["fonts"]) >= 13
            # WCAG 2.2 AA: 1.4.3 and 2.5.8.
            assert seen["contrast"] >= 4.5 and seen["summaries"] >= 24

    def test_on_paper_every_table_is_open(tmp_path: Path) -> None:
        browse(tmp_path, page(held(), FRAME), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}")
        said = "".join(sheet.extract_text() for sheet in pypdf.PdfReader(tmp_path / "page.pdf").pages)
        assert f"week {NEWEST - 1}" in said and "Your rights" in said
