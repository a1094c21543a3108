"""The summary as a governance lead sees it: in a browser as wide as a desk and as a phone, light and dark; what can be
told of it without one, everywhere."""

import html
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pypdf import PdfReader

from engage.report import colours

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The page stands in a frame; what surrounds it measures, for the page has no script.
FRAME = """
<!doctype html><meta charset="utf-8"><body>
<iframe id="desk" style="width:1440px;height:1200px;border:0" srcdoc="{page}"></iframe>
<iframe id="phone" style="width:390px;height:1200px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
addEventListener("load", () => {{
  const found = ["desk", "phone"].map(id => {{
    const view = document.getElementById(id).contentWindow, page = view.document, root = page.documentElement;
    page.querySelectorAll("details").forEach(one => one.open = true);
    const pictures = [...page.querySelectorAll("svg")].filter(one => one.getBoundingClientRect().width > 0);
    const covered = [], outside = [], small = [];
    for (const picture of pictures) {{
      const words = [...picture.querySelectorAll("text")], frame = picture.getBoundingClientRect();
      const boxes = words.map(one => one.getBoundingClientRect());
      boxes.forEach((box, n) => {{
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2
            || box.bottom > frame.bottom + 3) outside.push(words[n].textContent);
        if (box.height < 9) small.push(words[n].textContent);
        for (let k = 0; k < n; k++) if (meets(box, boxes[k]))
          covered.push(words[n].textContent + "|" + words[k].textContent);
      }});
    }}
    const blocks = [...page.querySelectorAll("h1,h2,h3,p,li,dt,dd,summary,figure,.tiles li,.scroll")];
    return {{
      width: root.clientWidth, scrolls: root.scrollWidth, covered, outside, small, pictures: pictures.length,
      wide: blocks.filter(one => one.getBoundingClientRect().right > root.clientWidth + 1)
        .map(one => one.textContent.slice(0, 40)),
      fetched: view.performance.getEntriesByType("resource").map(one => one.name),
      fonts: blocks.filter(one => one.textContent.trim()).map(one => parseFloat(view.getComputedStyle(one).fontSize)),
      ground: view.getComputedStyle(page.body).backgroundColor,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>
"""


class Reading(HTMLParser):
    """What of a page can be told without a browser."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.titled: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.fixture
def page(folder: Path) -> str:
    return (folder / "summary.html").read_text("utf-8")


def test_it_needs_nothing_from_elsewhere_and_no_script(page: str) -> None:
    reading = Reading(page)
    assert not {tag for tag, _ in reading.tags} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "audio",
        "video",
        "base",
    }
    assert [one["href"] for one in reading.all("link")] == ["data:,"]
    assert not re.search(r"url\(|@import|src=| on\w+=\"", page)
    links = [str(one["href"]) for one in reading.all("a")]
    ids = {one["id"] for _, one in reading.tags if "id" in one}
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all(re.fullmatch(r"(\.\./index\.html|[\w]+\.(csv|pdf))", link) for link in links if not link.startswith("#"))


def test_every_file_that_it_links_is_there(page: str, folder: Path) -> None:
    for one in Reading(page).all("a"):
        link = str(one["href"])
        assert link.startswith("#") or (folder / link).is_file()


def test_who_reads_with_the_ears_finds_the_way(page: str) -> None:
    reading = Reading(page)
    assert reading.all("html")[0]["lang"] == "en-GB"
    first = next(attrs for tag, attrs in reading.tags if tag == "a")
    assert (first["class"], first["href"]) == ("skip", "#report")
    levels = [int(tag[1]) for tag, _ in reading.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    pictures = reading.all("svg")
    assert pictures and all(one["role"] == "img" for one in pictures)
    ids = [one["id"] for _, one in reading.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert all(set(str(one["aria-labelledby"]).split()) <= set(ids) for one in pictures)
    assert re.findall(r"<title id=\"[^\"]+\"></title>|<desc id=\"[^\"]+\"></desc>", page) == []
    assert len(reading.all("caption")) == len(reading.all("table")) > 10
    assert all(one.get("scope") in ("col", "row") for one in reading.all("th"))
    assert {tag for tag, _ in reading.tags} >= {"header", "main", "nav", "footer"}


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [colours.LIGHT, colours.DARK], ids=["light", "dark"])
def test_words_and_shapes_stand_out_from_what_is_behind_them(scheme: dict[str, str]) -> None:
    """WCAG 2.2: 4.5 for words (1.4.3), 3 for shapes that carry meaning (1.4.11)."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    words = [(ink.strip(), ground) for ink, grounds in colours.READ_ON.items() for ground in grounds]
    assert {
        pair: contrast(scheme[pair[0]], scheme[pair[1]])
        for pair in words
        if contrast(scheme[pair[0]], scheme[pair[1]]) < 4.5
    } == {}
    shapes = [(shape, ground) for shape, grounds in colours.SEEN_ON.items() for ground in grounds]
    assert {
        pair: contrast(scheme[pair[0]], scheme[pair[1]])
        for pair in shapes
        if contrast(scheme[pair[0]], scheme[pair[1]]) < 3
    } == {}
    assert scheme.keys() == colours.LIGHT.keys()


if BROWSER:  # on the machines that have one; the tests above are everywhere

    def chromium(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run it where nothing of ours is known to it, and nothing of its own leaves the machine."""
        quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        quiet += ["--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
        command = [str(BROWSER), "--headless", "--no-sandbox", *quiet, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_fits_a_desk_and_a_phone(page: str, tmp_path: Path, scheme: str) -> None:
        frame = tmp_path / "frame.html"
        frame.write_text(FRAME.format(page=html.escape(page, quote=True)), encoding="utf-8")
        options = ["--hide-scrollbars", "--virtual-time-budget=5000", "--enable-logging=stderr"]
        options += ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
        ran = chromium(tmp_path, *options, "--dump-dom", frame.as_uri())
        match = re.search(r'<pre id="found">(.*?)</pre>', ran.stdout, re.DOTALL)
        assert match and match[1], "the browser did not come to the end of the page"
        assert "CONSOLE" not in ran.stderr

        desk, phone = json.loads(html.unescape(match[1]))
        assert (desk["width"], phone["width"]) == (1440, 390)
        light = desk["ground"] == "rgb(255, 255, 255)"
        assert light is (scheme == "light")
        for seen in (desk, phone):
            assert seen["scrolls"] <= seen["width"]
            assert seen["wide"] == [] and seen["fetched"] == []
            assert seen["covered"] == [] and seen["outside"] == [] and seen["small"] == []
            assert seen["pictures"] > 20
            assert min(seen["fonts"]) >= 14

    def test_printed_a_heading_stands_with_what_is_under_it(folder: Path, tmp_path: Path) -> None:
        paper = tmp_path / "paper.pdf"
        page = (folder / "summary.html").as_uri()
        chromium(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page)
        text = (folder / "summary.html").read_text("utf-8")
        above = re.findall(r'<h[23][^>]*>(.*?)</h[23]>|<p class="(?:says|lead)">(.*?)</p>', text, re.DOTALL)
        alone = {" ".join(html.unescape(first or second).split())[-40:] for first, second in above}
        pages = [" ".join((one.extract_text() or "").split()) for one in PdfReader(paper).pages]
        assert len(pages) > 5 and len(alone) > 20
        assert [n for n, said in enumerate(pages) if any(said.endswith(one) for one in alone)] == []
