"""A draft from a sample: it loads again, says what the file is, agrees with the sources that people wrote, and tells no
value of a row."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from campus.systems import vle
from campus.systems.registry import FEEDS
from campus.world import World
from engage.cli import cli
from engage.settings import PROJECT
from engage.sources import Source, load_source
from engage.suites import Suite, load_suite

WORLD, DAY = World(date(2026, 8, 24), students=300), 3
Scaffold = Callable[..., tuple[Result, Path]]


@pytest.fixture
def scaffold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scaffold:
    """Return a function that scaffolds a file of that name and content, in a configuration of its own."""
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    (tmp_path / "config" / "scoring.yaml").write_bytes((PROJECT / "config" / "scoring.yaml").read_bytes())
    monkeypatch.setenv("ENGAGE_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("ENGAGE_EXPECTATIONS", str(tmp_path / "expectations"))

    def run(name: str, content: bytes, *words: str) -> tuple[Result, Path]:
        (tmp_path / name).write_bytes(content)
        return CliRunner().invoke(cli, ["source", "scaffold", str(tmp_path / name), *words]), tmp_path

    return run


def drafted(done: tuple[Result, Path]) -> tuple[Source, Suite]:
    """What was written, read again."""
    result, folder = done
    assert result.exit_code == 0, result.output
    (path,) = (folder / "config" / "sources").iterdir()
    source = load_source(path)
    return source, load_suite(folder / "expectations", source)


def of_campus(source_id: str) -> tuple[str, bytes]:
    if source_id == "vle":
        return "vle.jsonl", "\n".join(vle.items_of(WORLD, DAY, vle.events(WORLD, DAY))).encode()
    files = next(feed.files for feed in FEEDS if feed.source_id == source_id)
    assert files is not None
    delivery = next(delivery for day in range(DAY, -100, -1) for delivery in files(WORLD, day))
    return Path(delivery.path).name, delivery.content()


@pytest.mark.parametrize("source_id", ["attendance", "enrolments", "library_gates", "students", "term_calendar", "vle"])
def test_a_sample_of_the_campus_gives_the_source_that_a_person_wrote(scaffold: Scaffold, source_id: str) -> None:
    name, content = of_campus(source_id)
    found, suite = drafted(scaffold(name, content, "--id", source_id))
    wanted = load_source(PROJECT / "config" / "sources" / f"{source_id}.yaml")
    assert not found.enabled
    for key in ("record", "relation", "columns", "identified_by", "category", "digital"):
        assert getattr(found, key) == getattr(wanted, key), key
    # With or without byte order mark, utf-8-sig reads both.
    plain = [s.format.model_copy(update={"encoding": s.format.encoding.removesuffix("-sig")}) for s in (found, wanted)]
    assert plain[0] == plain[1]
    assert sorted(found.headings) == sorted(wanted.headings)
    if source_id != "vle":
        transports = [source.model_dump()["transport"] for source in (found, wanted)]
        days = [re.fullmatch(transport["pattern"], name) for transport in transports]
        assert days[0] and days[1] and days[0]["day"] == days[1]["day"]
        assert transports[0]["day_format"] == transports[1]["day_format"]
    theirs = load_suite(PROJECT / "expectations", wanted)
    assert {r.type for r in suite.rules if r.severity == "critical"} >= {
        r.type for r in theirs.rules if r.severity == "critical"
    } - {"expect_column_values_to_not_be_null"}


def rows(template: str, count: int = 40) -> str:
    return "".join(template.format(n, ref=1000 + n % 9, d=n % 28 + 1, m=n % 60) for n in range(count))


def zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("any.csv", content)
    return packed.getvalue()


CANVAS = rows(
    '{{"id":"v{0}","created_at":"2026-10-{d:02}T10:{m:02}:07Z","user":{{"login_id":"ann{ref}"}},"url":"x"}}\n'
)
MOODLE = "id,component,eventname,userid,timecreated,realuserid\n" + rows("{0},mod_quiz,viewed,{ref},17900{0:05},\n")
LOANS = "USERNAME;ITEM_ID;ITEM_SUBTYPE;TIMESTAMP\n" + rows('ann{ref};"i;{0}";book;{d:02}/10/26 10:{m:02}\n')
RADIUS = "User-Name\tAcct-Session-Id\tAcct-Start-Time\tAcct-Session-Time\tAP-Name\n" + rows(
    "ann{ref}@northbank.example\ts{0}\t2026-10-{d:02}T10:{m:02}:00+01:00\t{0}\tb{0}\n"
)
REGISTER = (
    "Réf,Student No,Start Time,Attendance\n"
    + rows("{0},{ref}00,{d:02}.10.2026 9:{m:02},Present\n")
    + (rows("{0},{ref}00,{d:02}.10.2026 9:{m:02},Absent\n"))
)
AMERICAN = "email,viewed_at,seconds\n" + rows("ann{ref}@northbank.example,10/{d:02}/2026 10:{m:02}:00,1.5\n")
TALLY = "Card No|Swipe Time|Door\n" + rows("40{ref}77|20261001 10:{m:02}|West\n") + "End of file: 40 rows\n"
SAMPLES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "Canvas, nested": (
        "views.jsonl",
        CANVAS.encode(),
        {
            "relation": "append",
            "identified_by": "username",
            "columns": {"event_id": "id", "student_ref": "user.login_id", "occurred_at": "created_at"},
            "formats": ["iso8601"],
        },
    ),
    "Moodle, epoch": (
        "moodle_log.csv",
        MOODLE.encode(),
        {"relation": "append", "category": "vle", "formats": ["epoch_s"], "columns": {"resource_type": "component"}},
    ),
    "loans, UTF-16, packed, delimiter in quotes, two-digit years": (
        "loans_20261001_20261028.csv.gz",
        gzip.compress(LOANS.encode("utf-16")),
        {"encoding": "utf-16", "delimiter": ";", "formats": ["%d/%m/%y %H:%M"], "columns": {"student_ref": "USERNAME"}},
    ),
    "RADIUS, tabs, offsets": (
        "wifi.txt",
        RADIUS.encode(),
        {
            "delimiter": "\t",
            "identified_by": "email",
            "relation": "append",
            "digital": True,
            "columns": {"duration_s": "Acct-Session-Time", "occurred_at": "Acct-Start-Time"},
        },
    ),
    "register, Latin-1, zipped, marks": (
        "register.zip",
        zipped(REGISTER.encode("latin-1")),
        {
            "record": "attendance",
            "encoding": "latin-1",
            "formats": ["%d.%m.%Y %H:%M"],
            "marks": (["Present"], ["Absent"]),
            "identified_by": "student_id",
        },
    ),
    "American order": (
        "sessions_2026-10-01.csv",
        AMERICAN.encode("utf-8-sig"),
        # The name's date is not the day of the rows, so it is not taken for it.
        {"encoding": "utf-8-sig", "formats": ["%m/%d/%Y %H:%M:%S"], "identified_by": "email", "day": False},
    ),
    "a person's name beside the login": (
        "views.jsonl",
        b"".join(
            b'{"id": %d, "user": {"name": "Ada Lovelace", "login": "al%d"}, "time": 179220000%d}\n' % (n, n, n)
            for n in range(9)
        ),
        {"columns": {"student_ref": "user.login"}, "identified_by": "username"},
    ),
    "bars, eight digits, closing line": (
        "doors_01102026.csv",
        TALLY.encode(),
        {
            "delimiter": "|",
            "formats": ["%Y%m%d %H:%M"],
            "footer": "^End",
            "day": True,
            "relation": "replace_days",
            "identified_by": "badge",
        },
    ),
}


@pytest.mark.parametrize("case", list(SAMPLES))
def test_a_sample_is_read_as_what_it_is(scaffold: Scaffold, case: str) -> None:
    name, content, wanted = SAMPLES[case]
    source, _ = drafted(scaffold(name, content))
    time = source.columns[source.kind.day_of or ""]
    transport = source.model_dump()["transport"]
    found = {
        **source.model_dump(include={"record", "relation", "identified_by", "category", "digital"}),
        **source.format.model_dump(),
        "formats": time.formats,
        "day": "(?P<day>" in transport["pattern"],
        "columns": {f: source.columns[f].name for f in wanted.get("columns", {}) if f in source.columns},
    }
    if "marks" in wanted:
        found["marks"] = (source.columns["attended"].true, source.columns["attended"].false)
    assert {key: found[key] for key in wanted} == wanted


PLANTED = ["0042042", "Zaphod", "zb42@northbank.example", "pecan pie"]


def test_no_value_of_a_row_is_told_or_written(scaffold: Scaffold) -> None:
    heading = "Student Number,Tutor,E-mail,Session Start,Session Type,Attended,Remark\n"
    lines = [
        f"{PLANTED[0]},{PLANTED[1]},{PLANTED[2]},01/10/2026 10:{n:02},Lecture,Yes,{PLANTED[3]}\n" for n in range(50)
    ]
    result, folder = scaffold("register_20261001.csv", (heading + "".join(lines)).encode(), "--json")
    said = result.output + "".join(path.read_text() for path in folder.rglob("*.yaml"))
    assert json.loads(result.output)[0]["source"] == "register"
    assert "Lecture" in said and not [value for value in PLANTED if value in said]


@pytest.mark.parametrize(
    "content",
    [
        f"{PLANTED[0]},Zaphod,01/10/2026 10:00,pecan pie,Yes\n" * 9,
        f"username,timestamp,{PLANTED[2]}\n" + "ann1,2026-10-01 10:00,x\n" * 9,
        "a,b\nZaphod,1\n",
        "",
        "{",
        "[]",
    ],
    ids=["no heading", "an address as heading", "no record fits", "empty", "half a JSON object", "a JSON list"],
)
def test_what_is_no_sample_is_refused_without_quoting_it(scaffold: Scaffold, content: str) -> None:
    result, folder = scaffold("sample.csv", content.encode())
    assert result.exit_code and "sample.csv: " in str(result.exception)
    assert not [value for value in PLANTED if value in f"{result.output}{result.exception!r}"]
    assert list((folder / "config" / "sources").iterdir()) == []


def test_nothing_is_overwritten_unless_told_to(scaffold: Scaffold) -> None:
    name, content = of_campus("attendance")
    scaffold(name, content)
    result, folder = scaffold(name, content)
    assert result.exit_code == 2 and "there already" in result.output
    path = folder / "config" / "sources" / "attendance.yaml"
    path.write_text("mine")
    assert scaffold(name, content, "--force")[0].exit_code == 0
    assert yaml.safe_load(path.read_text())["enabled"] is False
    result, _ = scaffold(name, content, "--id", "../elsewhere")
    assert result.exit_code and not list(folder.rglob("elsewhere*"))
