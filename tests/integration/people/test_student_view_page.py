"""A student's own page: their own data only, in words, readable on a phone and by whoever cannot see it."""

import html
import itertools
import json
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg.types.json import Jsonb

from engage import letters, sponsored_evidence, student_view, student_view_page
from engage.cli import main
from engage.decisions import DecisionError
from engage.settings import PROJECT
from engage.student_view_page import View
from tests.integration.people.kit import MODELS, Office

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '<script>top.harm=1</script><img src=x onerror="top.harm=1">'
WEEK = date(2026, 3, 2)
AS_OF = datetime(2026, 3, 10, 8, tzinfo=UTC)
# A frame is as wide as a window would be; what surrounds it measures, for the page has no script.
PAGE = """
<!doctype html><meta charset="utf-8"><body>
<iframe style="width:390px;height:2000px;border:0" srcdoc="{page}"></iframe>
<iframe style="width:1280px;height:2000px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    return {{
      wide: root.scrollWidth > root.clientWidth,
      text: page.body.innerText,
      fonts: [...page.querySelectorAll("p, dt, dd, td, th, h1, h2, h3")].map(
        e => parseFloat(getComputedStyle(e).fontSize)),
      svg: [...page.querySelectorAll("svg text")].map(e => 14 * e.getScreenCTM().a),
      narrowest: Math.min(...[...page.querySelectorAll("dd")].map(e => e.getBoundingClientRect().width)),
      headings: [...page.querySelectorAll("h1, h2, h3")].map(e => e.tagName),
      lang: root.lang,
      named: [...page.querySelectorAll("section")].every(e => page.getElementById(e.getAttribute("aria-labelledby"))),
      foreign: page.querySelectorAll("script, img, link, iframe").length,
      harm: window.harm || 0,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>
"""


def setting(**changes: Any) -> dict[str, Any]:
    given = student_view.in_force(PROJECT / "config")
    assert given is not None
    return given | changes


def shown(**changes: Any) -> View:
    """Return what a student is shown who was above, fell, and left a note."""
    words = setting()["words"]
    row = {
        "student_id": "20261234",
        "week_start": WEEK,
        "as_of": AS_OF,
        "status": "compared",
        "standing": "below",
        "direction": "falling",
        "standing_words": words["standing"]["below"].replace("{group}", words["groups"]["programme"]),
        "direction_words": words["direction"]["falling"],
        "score": None,
        "rating_label": "Low",
        "rating_words": words["rating"]["Low"].replace("{days}", "7"),
        "attendance_words": words["attendance"]["some"],
        "last_activity": {"Library": "yesterday", "Teaching sessions": "12 days ago"},
        "missing_words": words["missing"].replace("{sources}", "Library gates (since 3 March)" + EVIL),
        "about_words": words["about"],
        "not_for_words": words["not_for"],
    } | changes
    standings = ["above", "above", None, "around", "below"]
    weeks: list[tuple[date, str | None, int | None]] = [
        (WEEK - timedelta(7 * (4 - n)), standing, None) for n, standing in enumerate(standings)
    ]
    return View(row, weeks, [("My mother is ill.\n" + EVIL + "w" * 200, AS_OF)], setting())


def evidence() -> list[dict[str, Any]]:
    """Return two days of a sponsored student, the second of them not whole."""
    one = {
        "student_id": "20261234" + EVIL,
        "contact_date": WEEK,
        "contact_points": 3,
        "kinds": "Attendance register, Canvas submissions, Contacts with students" + EVIL,
        "last_contact_date": WEEK,
        "days_since_last_contact_point": 0,
        "counted_days": 0,
        "certain_days": 0,
        "is_complete": True,
        "incomplete_days": 0,
        "limit_days": 60,
        "days_left": 60,
        "status": "within",
        "not_counted_because": "exempt: Authorised Absence",
    }
    two = {"contact_date": WEEK + timedelta(1), "contact_points": 0, "is_complete": False, "incomplete_days": 1}
    return [one, one | two | {"status": "undetermined"}]


def test_what_is_filled_in_is_text_and_the_chart_is_told_in_words() -> None:
    page = student_view_page.page(shown())
    assert not re.search(r"<(script|img|link|iframe|b)\b", page) and "&lt;script&gt;" in page
    assert '<html lang="en-GB">' in page and "http://" not in page and "https://" not in page
    said = re.findall(r"<desc[^>]*>(.*?)</desc>", page)
    assert said == [
        "week of 2 February: above; week of 9 February: above; week of 16 February: not compared;"
        " week of 23 February: around; week of 2 March: below"
    ]
    assert len(re.findall("<circle", page)) == 4 and len(re.findall("<polyline", page)) == 2, "a gap is no line"
    assert page.index("Teaching sessions") < page.index("Library</dt>")
    assert re.findall(r"<td>(\d+ \w+)</td><td>([\w ]+)</td>", page)[:2] == [
        ("2 March", "below average"),
        ("23 February", "around average"),
    ]


def test_there_is_no_number_unless_it_is_configured() -> None:
    hidden = shown()
    assert "score" not in student_view_page.page(hidden).lower() and "score" not in json.dumps(
        hidden.as_json, default=str
    )
    row = hidden.row | {"score": 412}
    weeks = [(week, standing, 412 if standing else None) for week, standing, _ in hidden.weeks]
    told = View(row, weeks, [], setting(show_number=True))
    page = student_view_page.page(told)
    assert "Your score is 412." in page and '<th scope="col" class="n">Score</th>' in page
    assert told.as_json["score"] == 412 and told.as_json["weeks"][0]["score"] == 412


def test_a_score_beside_others_is_told_as_a_comparison_in_every_direction() -> None:
    said = setting()["words"]["direction"]
    for way in ("rising", "falling"):  # the score falls, too, where the others do more
        assert said[way].startswith("Compared with other students, ")
    assert said["falling"] in student_view_page.page(shown())


def test_who_is_left_alone_gets_a_kind_sentence_and_nothing_else_of_the_sort() -> None:
    words = setting()["words"]
    nothing = dict.fromkeys(
        ("standing", "direction", "direction_words", "rating_words", "attendance_words", "week_start")
    )
    row = (
        shown().row
        | nothing
        | {"status": "exempt", "standing_words": words["standing"]["exempt"], "last_activity": None}
    )
    page = student_view_page.page(View(row, [], [], setting()))
    assert "You have agreed time away" in page and "<svg" not in page and "What we saw" not in page
    assert "You have not left a note" in page and words["not_for"] in page


def test_colours_can_be_told_apart_in_both_schemes() -> None:
    css = letters.templates().get_template("_page.css.j2").render()
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in re.findall(r":root \{[^}]*\}", css)[:2]]
    assert [set(one) for one in schemes] == [{"paper", "ground", "ink", "faint", "line", "blue", "wash"}] * 2
    pairs = [*itertools.product(("ink", "faint", "blue"), ("paper", "ground")), ("ink", "wash"), ("faint", "wash")]
    for scheme, (text, back) in itertools.product(schemes, pairs):
        light, dark = sorted((_luminance(scheme[text]), _luminance(scheme[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, back)


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.fixture
def known(office: Office) -> Office:
    (model,) = yaml.safe_load((MODELS / "marts" / "student_view.yml").read_text())["models"]
    office.execute(
        "create table marts.student_view (" + ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"]) + ")"
    )
    office.execute("insert into ops.setting values ('student_view', %s)", [Jsonb(setting())])
    for student in ("s1", "s2"):
        row = shown().row | {"student_id": student, "standing_words": f"These are the words of {student}."}
        names, values = ", ".join(row), ", ".join(["%s"] * len(row))
        given = [Jsonb(value) if isinstance(value, dict) else value for value in row.values()]
        office.execute(f"insert into marts.student_view ({names}) values ({values})", given)
        office.execute(
            "insert into marts.score_trend (student_id, week_start, score) values (%s, %s, 600), (%s, %s, 449)",
            [student, WEEK - timedelta(7), student, WEEK],
        )
        office.execute(
            "insert into raw.student_notes values ('student_notes', '2026-03-09', 1, 1, %s, %s, %s, %s)",
            [f"n{student}", student, f"A note of {student}.", "2026-03-09 23:30+00"],
        )
    return office


def test_a_student_sees_nobody_else(known: Office) -> None:
    found = student_view_page.view(known.connection, "s1")
    assert found.weeks == [(WEEK - timedelta(7), "above", None), (WEEK, "below", None)]
    page = student_view_page.page(found)
    assert "These are the words of s1." in page and "A note of s1." in page and "s2" not in page
    with pytest.raises(DecisionError, match="there is no student of this number") as refused:
        student_view_page.view(known.connection, "s3")
    assert "s3" not in str(refused.value)


def test_the_command_shows_writes_and_refuses(
    known: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(PROJECT / "config", known.settings.config, dirs_exist_ok=True)
    for name, value in {
        "DATABASE_URL": known.url,
        "HOME": known.settings.home,
        "CONFIG": known.settings.config,
    }.items():
        monkeypatch.setenv(f"ENGAGE_{name}", str(value))

    def engage(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["engage", "student-view", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code or 0, *capsys.readouterr()

    code, out, _ = engage("s1")
    assert code == 0 and "These are the words of s1." in out and "Library: yesterday" in out
    code, out, _ = engage("s1", "--json")
    assert code == 0 and json.loads(out)["notes"] == [
        {"written_at": "2026-03-09T23:30:00+00:00", "note": "A note of s1."}
    ]
    code, out, _ = engage("s1", "--output", str(tmp_path / "view.html"))
    assert code == 0 and "These are the words of s1." in (tmp_path / "view.html").read_text()
    assert engage("s1", "--json", "--output", str(tmp_path / "view.html"))[0] == 2
    code, out, error = engage("nobody")
    assert (code, out) == (1, "") and "there is no student of this number" in error
    known.execute("""update ops.setting set content = content || '{"enabled": false}'""")
    code, out, error = engage("s1", "--output", str(tmp_path / "off.html"))
    assert (code, out) == (1, "") and "switched off" in error and not (tmp_path / "off.html").exists()


if BROWSER:  # on the machines that have one; the tests above are everywhere

    @pytest.mark.parametrize(
        ("page", "said"),
        [
            (student_view_page.page(shown()), "You have been taking part less than most students on your programme."),
            (sponsored_evidence.page(evidence(), EVIL, AS_OF), "Not determined: data of some days has not come yet"),
        ],
        ids=["student_view", "sponsored_evidence"],
    )
    def test_a_page_fits_a_phone_and_a_desk_and_nothing_in_it_does_harm(page: str, said: str, tmp_path: Path) -> None:
        file = tmp_path / "page.html"
        file.write_text(PAGE.format(page=html.escape(page, quote=True)), encoding="utf-8")
        quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        quiet += ["--disable-component-update", "--disable-sync", "--virtual-time-budget=3000"]
        command = [str(BROWSER), "--headless", "--no-sandbox", *quiet, f"--user-data-dir={tmp_path / 'profile'}"]
        dumped = subprocess.run(
            [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=90, check=True
        ).stdout
        match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert match, "the browser did not come to the end of the page"
        seen = json.loads(html.unescape(match[1]))
        assert len(seen) == 2
        for one in seen:
            assert not one["wide"] and one["lang"] == "en-GB" and one["named"]
            assert said in one["text"] and one["narrowest"] >= 100
            assert one["foreign"] == 0 and one["harm"] == 0
            assert min(one["fonts"]) >= 15 and min(one["svg"], default=12) >= 12
            assert one["headings"].count("H1") == 1 and one["headings"][0] == "H1"
            assert all(
                after <= before[:1] + str(int(before[1]) + 1) for before, after in itertools.pairwise(one["headings"])
            )
