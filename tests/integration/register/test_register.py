"""The register names what nobody said, the notice says no less than is collected, and a reader can use it."""

import dataclasses
import html
import json
import re
import shutil
import subprocess
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import psycopg
import pytest
import yaml
from click.testing import CliRunner

from engage import configuration, privacy_notice, register
from engage.cli import cli
from engage.privacy.periods import Periods
from engage.records import RECORDS
from engage.settings import PROJECT
from engage.sources import Source, load_source, load_sources

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONFIG, TODAY, ZONE = PROJECT / "config", date(2026, 11, 16), "Europe/London"
NOW = datetime(2026, 11, 16, 14, tzinfo=UTC)
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return load_sources(CONFIG, drafts=True)


@pytest.fixture
def entries(warehouse: Connection, sources: dict[str, Source]) -> list[register.Entry]:
    return register.entries(warehouse, sources, ZONE, TODAY)


def test_every_source_of_ours_says_all_that_the_register_asks(sources: dict[str, Source]) -> None:
    oulad = load_sources(CONFIG / "profiles" / "oulad")
    assert {name: lacks for name, one in (sources | oulad).items() if (lacks := register.missing(one))} == {}


def test_one_assessment_has_one_date(sources: dict[str, Source]) -> None:
    dates = {(one.privacy.dpia_reference, one.privacy.dpia_date) for one in sources.values()}
    assert len(dates) == len({reference for reference, _ in dates})


def test_a_draft_is_listed_with_what_nobody_has_said(warehouse: Connection, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    said = yaml.safe_load((CONFIG / "sources" / "wifi.yaml").read_text())
    del said["privacy"], said["owner"], said["enabled_from"]
    (tmp_path / "sources" / "wifi.yaml").write_text(yaml.safe_dump(said | {"enabled": False}))
    draft = load_source(tmp_path / "sources" / "wifi.yaml")
    (entry,) = register.entries(warehouse, {"wifi": draft}, ZONE, TODAY)
    assert (entry.state, entry.missing) == (
        "draft",
        ["purpose", "lawful_basis", "dpia_reference", "dpia_date", "owner", "retention_days"],
    )


def delivered(warehouse: Connection, sources: dict[str, Source]) -> dict[str, Source]:
    """Return the sources in force, one of which, wifi, has delivered."""
    enabled = {name: one for name, one in sources.items() if one.enabled}
    configuration.sync(warehouse, CONFIG, enabled, NOW)
    warehouse.execute(
        "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)"
        " values ('wifi', 'x', 'a', 1, now(), 'p', '2026-10-09 23:30+00')"
    )
    delivery = warehouse.execute("select delivery_id from ops.delivery").fetchone()
    warehouse.execute(
        "insert into ops.batch (delivery_id, source_id, state, started_at) values (%s, 'wifi', 'held', now())", delivery
    )
    return enabled


def test_a_source_without_a_file_stays_while_its_rows_are_held(
    warehouse: Connection, sources: dict[str, Source]
) -> None:
    enabled = delivered(warehouse, sources)
    less = {name: one for name, one in enabled.items() if name != "wifi"}
    configuration.sync(warehouse, CONFIG, less, NOW)
    found = {one.source_id: one for one in register.entries(warehouse, less, ZONE, TODAY)}
    gone = found["wifi"]
    assert (gone.state, gone.in_use_from, gone.in_use_to) == ("taken out", date(2026, 10, 10), date(2026, 11, 15))
    assert gone.purpose == sources["wifi"].privacy.purpose
    page = privacy_notice.render(list(found.values()), privacy_notice.Notice(), Periods(), TODAY, "html")
    assert "no longer collected" in page and "the last time on 15 November 2026" in page


@pytest.mark.parametrize("is_known", [True, False], ids=["after a run", "before the next run"])
def test_a_source_that_was_in_use_is_no_draft_again(
    warehouse: Connection, sources: dict[str, Source], is_known: bool
) -> None:
    enabled = delivered(warehouse, sources)
    if is_known:
        configuration.sync(warehouse, CONFIG, {name: one for name, one in enabled.items() if name != "wifi"}, NOW)
    unsaid = sources["wifi"].privacy.model_copy(update={"lawful_basis": "not known yet", "retention_days": 1})
    drafts = {name: sources[name].model_copy(update={"enabled": False, "privacy": unsaid}) for name in ("wifi", "vle")}
    warehouse.execute("delete from ops.source where source_id = 'vle'")
    found = {one.source_id: one for one in register.entries(warehouse, sources | drafts, ZONE, TODAY)}
    wifi, said = found["wifi"], sources["wifi"].privacy
    assert (wifi.state, wifi.in_use_from, wifi.in_use_to) == ("disabled", date(2026, 10, 10), date(2026, 11, 15))
    assert (wifi.lawful_basis, wifi.retention_days) == (said.lawful_basis, said.retention_days)
    assert (found["vle"].state, found["vle"].missing) == ("draft", ["lawful_basis", "retention_days"])
    page = privacy_notice.render(list(found.values()), privacy_notice.Notice(), Periods(), TODAY, "html")
    assert wifi.title in page and "the last time on 15 November 2026" in page and found["vle"].title not in page


def test_what_a_file_that_was_disabled_says_now_fills_what_was_never_said(
    warehouse: Connection, sources: dict[str, Source]
) -> None:
    delivered(warehouse, sources)
    warehouse.execute("update ops.source set purpose = null where source_id = 'wifi'")
    draft = sources["wifi"].model_copy(update={"enabled": False})
    found = {one.source_id: one for one in register.entries(warehouse, sources | {"wifi": draft}, ZONE, TODAY)}
    wifi = found["wifi"]
    assert (wifi.state, wifi.purpose, wifi.missing) == ("disabled", draft.privacy.purpose, [])


def test_there_are_words_for_every_field_that_may_be_collected() -> None:
    of_nobody = {"modules", "term_calendar"}
    assert privacy_notice.FIELDS.keys() == RECORDS.keys() - of_nobody
    for record, words in privacy_notice.FIELDS.items():
        assert words.keys() == RECORDS[record].fields.keys(), record


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_notice_tells_of_every_source_about_students(entries: list[register.Entry], form: str) -> None:
    notice = privacy_notice.load_notice(CONFIG)
    text = html.unescape(privacy_notice.render(entries, notice, Periods(), TODAY, form))  # type: ignore[arg-type]
    for one in entries:
        is_told = one.record in privacy_notice.FIELDS and one.state == "enabled"
        assert (f"{one.purpose}" in text and str(one.lawful_basis) in text) or not is_told, one.source_id
        assert bool(re.search(rf"(<strong>|\*\*){re.escape(one.title)}(</strong>|\*\*)", text)) == is_told
    for words in (notice.contact, notice.data_protection_officer, *notice.who_sees, "Never for academic decisions"):
        assert words in text
    assert privacy_notice.gaps(entries, notice) == [] and "not recorded yet" not in text


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_notice_says_what_sponsorship_is_counted_for(
    entries: list[register.Entry], form: privacy_notice.Form
) -> None:
    notice = privacy_notice.load_notice(CONFIG)
    basis = "legal obligation (UK GDPR Art. 6(1)(c))"
    known = notice.model_copy(update={"sponsorship_basis": basis})
    text = html.unescape(privacy_notice.render(entries, known, Periods(), TODAY, form, sponsors=True))
    section = re.split(r"If the university sponsors your visa(?:</h2>|\n)", text)[1].partition("How long we keep")[0]
    points = [one for one in entries if one.source and one.source.contact_point]
    for words in (*(one.title for one in points), "its duties as a sponsor", "visa team alone", "no score", basis):
        assert words in section, words
    assert all(one.title not in section for one in entries if one not in points)
    assert "a duty that the law lays on the university" in text
    assert re.search(r"also counts your contact points\.( This page says|\n\n\*\*Never)", text)

    without = html.unescape(privacy_notice.render(entries, known, Periods(), TODAY, form))
    assert "duties as a sponsor" not in without and basis not in without


def test_it_is_a_gap_when_nobody_says_on_which_ground_contact_points_are_counted(
    entries: list[register.Entry],
) -> None:
    notice = privacy_notice.load_notice(CONFIG).model_copy(update={"sponsorship_basis": register.NOT_RECORDED})
    assert privacy_notice.gaps(entries, notice, sponsors=True) == ["config/privacy_notice.yaml: sponsorship_basis"]
    assert privacy_notice.gaps(entries, notice) == []


def test_what_sponsorship_needs_says_so_in_its_purpose(sources: dict[str, Source]) -> None:
    points = {name for name, one in sources.items() if one.contact_point}
    told = {name for name, one in sources.items() if "contact points of sponsored students" in str(one.privacy.purpose)}
    assert told == points and len(points) == 5
    knows = [one for one in sources.values() if "is_sponsored" in one.columns]
    assert knows and all("sponsors" in str(one.privacy.purpose) for one in knows)


def test_what_is_collected_is_what_the_source_file_reads(entries: list[register.Entry]) -> None:
    (wifi,) = (one for one in entries if one.source_id == "wifi")
    assert wifi.source
    columns = {name: column for name, column in wifi.source.columns.items() if name != "resource_type"}
    less = dataclasses.replace(wifi, source=wifi.source.model_copy(update={"columns": columns}))
    what = [
        privacy_notice.render([one], privacy_notice.Notice(), Periods(), TODAY, "md").count(
            "what kind of thing or place"
        )
        for one in (wifi, less)
    ]
    assert what == [1, 0]


@pytest.mark.parametrize("form", ["html", "md"])
def test_it_says_how_long_what_is_made_of_it_is_kept(form: privacy_notice.Form) -> None:
    periods = Periods(marts=400, notifications=365, messages=730, rights="forever")
    text = privacy_notice.render([], privacy_notice.Notice(), periods, TODAY, form)
    assert "weekly scores: 400 days from the day or week it is about" in text
    assert "when and why: 1 year from that day" in text
    assert "to others about you: 2 years from when it was written" in text
    assert "what we answered: as long as the service runs" in text


def test_without_consent_nothing_can_be_withdrawn(entries: list[register.Entry]) -> None:
    some = [one for one in entries if one.source_id == "library_gates"]
    text = privacy_notice.render(some, privacy_notice.Notice(), Periods(), TODAY, "md")
    assert "Object." in text and "Withdraw consent" not in text and "Art. 9" not in text


class Outline(HTMLParser):
    """Headings of a page in order, and what it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.loads: list[str] = []
        self.language = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.loads += [tag] if said.get("src") or tag in ("script", "link", "iframe") else []
        self.language = str(said["lang"]) if tag == "html" else self.language


def test_the_page_stands_alone_and_a_screen_reader_finds_its_way(entries: list[register.Entry]) -> None:
    odd = [dataclasses.replace(one, title=one.title + "<script>harm()</script>") for one in entries]
    outline = Outline(privacy_notice.render(odd, privacy_notice.load_notice(CONFIG), Periods(), TODAY, "html"))
    assert (outline.language, outline.loads) == ("en-GB", [])
    assert outline.headings[0] == 1 and outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))


def test_the_commands_say_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[str, Source]
) -> None:
    monkeypatch.setenv("ENGAGE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENGAGE_NOW", NOW.isoformat())
    monkeypatch.setenv("ENGAGE_HOME", str(tmp_path / "home"))
    shutil.copytree(CONFIG, tmp_path / "config")
    monkeypatch.setenv("ENGAGE_CONFIG", str(tmp_path / "config"))
    path = tmp_path / "config" / "sources" / "wifi.yaml"
    path.write_text(re.sub(r"  (purpose|dpia_date):.*\n", "", path.read_text()))

    done = CliRunner().invoke(cli, ["register", "--json"])
    rows = {row["source_id"]: row for row in json.loads(done.output)}
    assert done.exit_code == 0 and rows.keys() == sources.keys()
    assert rows["wifi"]["missing"] == ["purpose", "dpia_date"] and rows["vle"]["missing"] == []
    assert "Not complete: wifi;" in CliRunner().invoke(cli, ["register"]).output
    checked = CliRunner().invoke(cli, ["source", "check", "wifi"])
    assert checked.exit_code == 0 and "the register of processing lacks purpose, dpia_date" in checked.output

    done = CliRunner().invoke(cli, ["register", "notice", "--output", str(tmp_path / "notice.html")])
    assert done.exit_code == 0 and "config/sources/wifi.yaml: purpose, dpia_date" in done.stderr
    page = (tmp_path / "notice.html").read_text()
    assert "not recorded yet" in page and "its duties as a sponsor" in page

    sponsorship = tmp_path / "config" / "sponsorship.yaml"
    sponsorship.write_text(sponsorship.read_text().replace("enabled: true", "enabled: false"))
    assert "its duties as a sponsor" not in CliRunner().invoke(cli, ["register", "notice"]).output


if BROWSER:  # on the machines that have one

    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_the_page_fits_and_can_be_read(
        entries: list[register.Entry], tmp_path: Path, width: int, scheme: str
    ) -> None:
        page = privacy_notice.render(entries, privacy_notice.load_notice(CONFIG), Periods(), TODAY, "html")
        page = page.replace("<details>", "<details open>")
        if scheme == "dark":
            page = page.replace("@media (prefers-color-scheme: dark)", "@media all")
        framed = html.escape(page, quote=True)
        (tmp_path / "page.html").write_text(PROBE.format(width=width, page=framed), encoding="utf-8")
        quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--virtual-time-budget=3000"]
        command = [str(BROWSER), "--headless", "--no-sandbox", *quiet, f"--user-data-dir={tmp_path / 'profile'}"]
        dumped = subprocess.run(
            [*command, "--dump-dom", (tmp_path / "page.html").as_uri()],
            capture_output=True, text=True, timeout=90, check=True,
        ).stdout  # fmt: skip
        match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert match
        seen = json.loads(html.unescape(match[1]))
        assert not seen["wide"] and min(seen["sizes"]) >= 15
        assert seen["contrast"] >= 4.5


PROBE = """
<!doctype html><meta charset="utf-8"><body>
<iframe id="frame" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
const light = c => {{
  const line = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const [r, g, b] = c.match(/[0-9.]+/g).map(v => line(v / 255));
  return .2126 * r + .7152 * g + .0722 * b;
}};
addEventListener("load", () => {{
  const page = document.getElementById("frame").contentDocument, root = page.documentElement;
  const text = [...page.querySelectorAll("h1, h2, h3, p, li, summary, small, dt, dd, a, .soft")];
  const behind = one => {{
    for (let at = one; at; at = at.parentElement) {{
      const found = getComputedStyle(at).backgroundColor;
      if (found !== "rgba(0, 0, 0, 0)") return found;
    }}
  }};
  const contrasts = text.map(one => {{
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  }});
  document.getElementById("found").textContent = JSON.stringify({{
    wide: root.scrollWidth > root.clientWidth,
    sizes: text.map(one => parseFloat(getComputedStyle(one).fontSize)),
    contrast: Math.min(...contrasts),
  }});
}});
</script>
"""
