"""What the visa team exports of one student: dated, whole, of nobody else, and recorded before it is written."""

import csv
import re
import shutil
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage import sponsored_evidence
from engage.cli import main
from engage.decisions import DecisionError
from engage.settings import PROJECT
from tests.integration.people.kit import MODELS, NOW, Office

FIRST, LAST = date(2025, 12, 20), date(2026, 3, 9)


def mart(office: Office, name: str) -> None:
    (model,) = yaml.safe_load((MODELS / "marts" / f"{name}.yml").read_text())["models"]
    columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
    office.execute(f"create table marts.{name} ({columns})")


@pytest.fixture
def visa(office: Office) -> Office:
    """Two students: S1 came on the first three days and on 5 January, was ill in February, a feed broke in March."""
    mart(office, "sponsored_contact_point")
    for student in ("S1", "S2"):
        last: date | None = None
        counted = incomplete = 0
        for n in range((LAST - FIRST).days + 1):
            day = FIRST + timedelta(n)
            came = n < 3 or day == date(2026, 1, 5)
            because = "exempt: Authorised Absence" if day.month == 2 and day.day < 11 else None
            is_complete = day not in (date(2026, 3, 2), date(2026, 3, 3))
            last = day if came else last
            counted, incomplete = (0, 0) if came else (counted + (because is None), incomplete + (not is_complete))
            row: dict[str, Any] = {
                "student_id": student,
                "contact_date": day,
                "contact_points": 2 * came,
                "kinds": f"Register of {student} <b>" if came else None,
                "last_contact_date": last,
                "days_since_last_contact_point": (day - last).days if last else n,
                "counted_days": counted,
                "certain_days": min(counted, 6),
                "is_complete": is_complete,
                "incomplete_days": incomplete,
                "limit_days": 60,
                "days_left": 60 - counted,
                "status": "not_counted" if because else "undetermined" if counted > 29 else "within",
                "not_counted_because": because,
            }
            names = ", ".join(row)
            values = ", ".join(["%s"] * len(row))
            office.execute(
                f"insert into marts.sponsored_contact_point ({names}) values ({values})",
                list(row.values()),
            )
    return office


class Page(HTMLParser):
    """The text of a page, and its tables as rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1:] in (["td"], ["th"]):
            self.tables[-1][-1][-1] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")


def test_the_evidence_is_dated_and_of_nobody_else(visa: Office, tmp_path: Path) -> None:
    done = sponsored_evidence.export(visa.connection, "S1", tmp_path / "out", "Vera", NOW)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sponsored_S1.csv", "sponsored_S1.html"]
    page = Page(done.page.read_text(encoding="utf-8"))
    gaps, away, contacts = page.tables
    assert gaps[1:] == [["6 January 2026", "9 March 2026", "53"], ["23 December 2025", "4 January 2026", "13"]]
    assert away[1:] == [["1 to 10 February 2026, ten days", "Exempt: Authorised Absence"]]
    days = ["5 January 2026", "22 December 2025", "21 December 2025", "20 December 2025"]
    assert contacts[1:] == [[day, "Register of S1 <b>", "2"] for day in days]
    assert "2 to 3 March 2026, two days" in page.text and "Not determined" in page.text and "by Vera" in page.text
    assert "S2" not in page.text and not {"script", "img", "link", "b"} & set(page.tags)

    with done.table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == done.days == (LAST - FIRST).days + 1
    assert {row["student_id"] for row in rows} == {"S1"}
    assert rows[-1]["counted_days"] == "53" and rows[-1]["last_contact_date"] == "2026-01-05"


def test_who_exports_is_recorded_first_and_nothing_is_written_of_others(visa: Office, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        sponsored_evidence.export(visa.connection, "S1", blocked, "Vera", NOW)
    said = visa.execute("select person, action, rows, happened_at from ops.audit")
    assert said == [("Vera", "exported the evidence of sponsored student S1", (LAST - FIRST).days + 1, NOW)]
    with pytest.raises(DecisionError, match="no sponsored student has this number") as refused:
        sponsored_evidence.export(visa.connection, "20267777", tmp_path / "out", "Vera", NOW)
    assert "20267777" not in str(refused.value) and not (tmp_path / "out").exists()
    assert len(visa.execute("select 1 from ops.audit")) == 1


def test_a_number_leads_out_of_no_folder(visa: Office, tmp_path: Path) -> None:
    visa.execute("update marts.sponsored_contact_point set student_id = '../../etc/S1' where student_id = 'S1'")
    done = sponsored_evidence.export(visa.connection, "../../etc/S1", tmp_path / "out", "Vera", NOW)
    assert done.page.parent == tmp_path / "out" and done.page.name == "sponsored_______etc_S1.html"


def test_the_commands_list_export_and_refuse(
    visa: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(PROJECT / "config", visa.settings.config, dirs_exist_ok=True)
    for name, value in {"DATABASE_URL": visa.url, "HOME": visa.settings.home, "CONFIG": visa.settings.config}.items():
        monkeypatch.setenv(f"ENGAGE_{name}", str(value))

    def engage(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["engage", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code or 0, *capsys.readouterr()

    code, out, _ = engage("sponsored", "list", "--json")
    assert code == 0 and re.findall(r'"student_id": "(\w+)"', out) == ["S1", "S2"] and '"days_left": 7' in out
    code, out, _ = engage("sponsored", "evidence", "S2", "--output", str(tmp_path / "out"), "--by", "Vera")
    assert code == 0 and "80 days" in out
    code, out, error = engage("sponsored", "evidence", "S9", "--output", str(tmp_path / "out"))
    assert code == 1 and "no sponsored student" in error and not out
    assert engage("sponsored", "evidence", "S2")[0] == 2
    visa.execute("drop table marts.sponsored_contact_point")
    code, _, error = engage("sponsored", "list")
    assert code == 1 and "has not been made yet" in error
