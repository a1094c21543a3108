"""Letters as a reader sees them: opened in a browser as wide as a phone and as a desk, whatever notes hold."""

import html
import json
import re
import shutil
import subprocess
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.contact import people_letters
from engage.contact.people import Student
from engage.contact.people_letters import Frame, PersonalLetter
from engage.contact.recipients import Waiting
from engage.messaging import Messaging

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '<script>top.harm=1</script><img src=x onerror="top.harm=1"><b id=bold>'
NAME = "Grace Hopper-Montgomery-Featherstonehaugh" + EVIL
NOTE = "My mother is ill.\nBack on Monday. " + EVIL + "w" * 200
NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
EVIDENCE = {"from": "2026-03-03", "to": "2026-03-09", "days": 7, "silent_days": 7, "interactions": {"vle": 0}}
# The letter stands in a frame; what surrounds it measures, for a letter has no script.
PAGE = """
<!doctype html><meta charset="utf-8"><body>
<iframe id="phone" style="width:360px;height:900px;border:0" srcdoc="{letter}"></iframe>
<iframe id="desk" style="width:1200px;height:900px;border:0" srcdoc="{letter}"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const found = ["phone", "desk"].map(id => {{
    const page = document.getElementById(id).contentDocument, root = page.documentElement;
    const text = [...page.querySelectorAll("p, div, h1, h2, li")];
    return {{
      wide: root.scrollWidth > root.clientWidth,
      text: page.body.innerText,
      fonts: text.map(one => parseFloat(getComputedStyle(one).fontSize)),
      foreign: page.querySelectorAll("script, img, #bold").length,
      harm: window.harm || 0,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>
"""


def person(**known: Any) -> Student:
    nothing = dict.fromkeys(Student.__dataclass_fields__)
    return Student(**{**nothing, "student_id": "20261234", "name": NAME, "given_name": NAME, **known})


def told(kind: str = "notify", **more: Any) -> Waiting:
    given: dict[str, Any] = {
        "action_id": 1,
        "kind": kind,
        "student_id": "20261234",
        "target": "tutor",
        "notification_id": 1,
        "rule_id": "r",
        "is_immediate": False,
        "step_number": None,
        "content": {},
        "about": "no_digital_activity",
        "trigger_date": date(2026, 3, 10),
        "week_start": None,
        "raised_at": NOW,
        "reason": EVIL,
        "evidence": EVIDENCE,
        "rule_title": "Below " + EVIL,
        "told_at": NOW,
        "address": "tutor@example.ac.uk",
        "why": "",
    }
    return Waiting(**given | more)


def frame(student: Student) -> Frame:
    messaging = Messaging(student_url="https://records.example.ac.uk/s/{student_id}")
    return Frame(messaging, NOW, {student.student_id: student})


def letters() -> dict[str, PersonalLetter]:
    student = person(
        programme="History" + EVIL,
        year_of_study="2",
        note=NOTE,
        note_at=NOW,
        score=212,
        week_start=date(2026, 3, 2),
        attendance_4w=41.0,
    )
    step = {"title": "The tutor calls " + EVIL, "channel": "phone", "due_date": "2026-03-10", "policy": EVIL}
    return {
        "digest": people_letters.to_staff(
            [told(), told("contact_step", content=step), told(about="score")], frame(student)
        ),
        "correction": people_letters.to_staff([told("correction")], frame(student)),
        "student": people_letters.to_student(told("email_student", target="student"), frame(student)),
    }


class Reading(HTMLParser):
    """What of a letter can be told without a browser."""

    def __init__(self, letter: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(letter)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("which", ["digest", "correction", "student"])
def test_nothing_in_a_letter_is_wider_than_a_phone_or_more_than_text(which: str) -> None:
    letter = letters()[which].html
    reading = Reading(letter)
    assert not reading.tags & {"script", "img", "iframe", "object", "style", "link"}
    assert "Grace Hopper-Montgomery-Featherstonehaugh<script>" in reading.text
    assert "overflow-wrap:anywhere" in letter and 'name="viewport"' in letter
    assert [width for width in re.findall(r"(?<!max-)width:(\d+)px", letter) if int(width) > 300] == []


if BROWSER:  # on the machines that have one; the test above is everywhere

    @pytest.mark.parametrize("which", ["digest", "correction", "student"])
    def test_a_letter_fits_a_phone_and_nothing_in_it_does_harm(which: str, tmp_path: Path) -> None:
        page = tmp_path / "page.html"
        page.write_text(PAGE.format(letter=html.escape(letters()[which].html, quote=True)), encoding="utf-8")
        quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        quiet += ["--disable-component-update", "--disable-sync", "--virtual-time-budget=3000"]
        command = [str(BROWSER), "--headless", "--no-sandbox", *quiet, f"--user-data-dir={tmp_path / 'profile'}"]
        dumped = subprocess.run(
            [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=90, check=True
        ).stdout
        match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert match, "the browser did not come to the end of the page"

        for seen in json.loads(html.unescape(match[1])):
            assert not seen["wide"]
            assert "Grace Hopper-Montgomery-Featherstonehaugh<script>" in seen["text"]
            assert seen["foreign"] == 0 and seen["harm"] == 0
            # Body text is as large as a phone needs; nothing is smaller than a label.
            assert max(seen["fonts"]) >= 16 and min(seen["fonts"]) >= 13 and 16 in seen["fonts"]


@settings(max_examples=100)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30).filter(str.strip),
    st.from_regex(r"[A-Z]{1,3}[0-9]{5,8}", fullmatch=True),
    st.sampled_from(["notify", "contact_step", "correction"]),
)
def test_no_subject_says_who_it_is_about(name: str, number: str, kind: str) -> None:
    student = person(student_id=number, name=name, given_name=name, programme=f"{name} studies")
    one = told(kind, student_id=number, content={"title": name})

    subjects = [people_letters.to_staff([one], frame(student)).subject]
    subjects += [people_letters.to_student(told("email_student", student_id=number), frame(student)).subject]

    same = person(student_id="X", name="Y", given_name="Z")
    assert subjects[0] == people_letters.to_staff([told(kind, student_id="X")], frame(same)).subject
    assert all(number not in subject for subject in subjects)
    assert subjects[1] == "How are your studies going?"
