"""A sample tried out: what it says is what the gate would do, and nothing of it stays in the warehouse."""

import json
from datetime import UTC, datetime
from os import utime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from engage import sample
from engage.batches import process_pending
from engage.cli import cli
from tests.integration.gate.kit import ATTENDANCE, EVENTS, NOW, Gate

HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\n"
GOOD = "".join(f"e{n},s{n % 3},01/10/2026 10:{n:02},Lecture,Yes,Yes\n" for n in range(40))
PATTERN = {"kind": "file_drop", "folder": "drop", "pattern": r"register_(?P<day>\d{8})\.csv"}
DRAFT = ATTENDANCE | {"enabled": False, "owner": None, "privacy": None, "transport": PATTERN}


def everything(gate: Gate) -> dict[str, Any]:
    """What there is in the warehouse: every table with its rows."""
    tables = gate.execute(
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
    )
    return {name: sorted(gate.execute(f"select * from {name}"), key=repr) for (name,) in tables}


def write(gate: Gate, text: str, name: str = "register_20261001.csv") -> Path:
    path = gate.store.parent / name
    path.write_text(text)
    stamp = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    utime(path, (stamp, stamp))
    return path


def test_what_it_says_is_what_the_gate_does(gate: Gate) -> None:
    """The same file, tried out by a draft and then delivered."""
    gate.know("s0", "s1")
    draft = gate.source(DRAFT | {"drop": [{"column": "Session Type", "equals": ["Exam"], "reason": "not a session"}]})
    content = HEADING + GOOD + "x1,s0,01/10/2026 12:00,Exam,Yes,Yes\n" * 3 + "x2,s1,01/10/2026 99:00,Lecture,Yes,Yes\n"
    content += "e0,s0,01/10/2026 11:00,Lecture,Yes,Yes\n"
    # A batch of the source may be in its working tables meanwhile.
    gate.execute("create table load.rows_attendance (a int)")
    path, suite, before = write(gate, content), gate.suite(draft), everything(gate)
    tried = sample.try_out(gate.url, draft, suite, path)
    assert everything(gate) == before
    gate.deliver(draft, content.encode(), path.name)
    (outcome,) = process_pending(gate.url, draft, suite, str(gate.store), NOW)
    said = tried.summary
    assert said["dropped"] == {"not a session": 3, "the same event id once more": 1}
    assert said["unknown_students"] == 1
    assert said["first_day"] == said["last_day"] == outcome.first_day
    assert (said["rows_read"], said["rows_bad"]) == (outcome.rows_read, outcome.rows_quarantined)
    assert (said["quality_score"], said["why"]) == (round(outcome.quality_score, 1), outcome.problem)
    assert [(r["rule"], r["rows_failed"]) for r in tried.rules] == [
        (r.rule_id, r.rows_failed) for r in sorted(outcome.rules, key=lambda r: (r.share_met, r.rule_id))
    ]
    # A third of the rows is of a student whom nobody knows.
    assert not tried.is_publishable and "rows meet every rule" in str(said["why"])


def test_a_good_file_would_be_published_and_stays_out_of_sight(gate: Gate) -> None:
    gate.know("s0", "s1", "s2")
    source = gate.source(DRAFT)
    tried = sample.try_out(gate.url, source, gate.suite(source), write(gate, HEADING + GOOD))
    assert tried.is_publishable and tried.summary["rows_good"] == 40 and tried.summary["days_covered"] == 1
    assert gate.tables()["batches"] == [] and gate.execute("select from pg_tables where schemaname = 'load'") == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("register_20261001.csv", "a;b\n1;2\n", "are missing"),
        ("register_20270101.csv", HEADING + GOOD, "names a day that had not come"),
        ("register_20261001.csv", "", "is empty"),
    ],
    ids=["other columns", "a day to come", "nothing"],
)
def test_a_file_that_cannot_be_read_says_why(gate: Gate, name: str, content: str, why: str) -> None:
    source = gate.source(DRAFT)
    tried = sample.try_out(gate.url, source, gate.suite(source), write(gate, content, name))
    assert not tried.is_publishable and why in str(tried.summary["why"]) and tried.rules == []
    assert gate.execute("select from pg_tables where schemaname = 'load'") == []


def test_what_a_killed_check_left_is_gone_with_the_next_and_a_name_that_does_not_fit_is_told(gate: Gate) -> None:
    gate.execute('create table load."rows_$sample" (a int); create table load."text_$sample" (a int)')
    gate.know("ann", kind="username")
    line = '{{"id": {0}, "user": {{"username": "ann"}}, "time": "2026-10-01T10:00:{0:02}Z", "component": "quiz"}}\n'
    content = "".join(line.format(n) for n in range(20))
    source = gate.source(EVENTS | {"transport": PATTERN})
    tried = sample.try_out(gate.url, source, gate.suite(source), write(gate, content, "events.jsonl"))
    assert tried.is_publishable
    assert tried.summary["notes"] == [
        "its name does not match transport.pattern: it would never be collected under this name"
    ]
    assert gate.execute("select from pg_tables where schemaname = 'load'") == []


def test_the_command_answers_with_its_exit_code(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = gate.store.parent
    (folder / "config" / "sources").mkdir(parents=True)
    (folder / "config" / "sources" / "attendance.yaml").write_text(yaml.safe_dump(DRAFT))
    # The configuration of an installation is never only drafts.
    other = ATTENDANCE | {"id": "other"}
    (folder / "config" / "sources" / "other.yaml").write_text(yaml.safe_dump(other))
    gate.suite(gate.source(DRAFT))
    monkeypatch.setenv("ENGAGE_CONFIG", str(folder / "config"))
    monkeypatch.setenv("ENGAGE_EXPECTATIONS", str(folder / "expectations"))
    monkeypatch.setenv("ENGAGE_HOME", str(folder / "home"))
    monkeypatch.setenv("ENGAGE_DATABASE_URL", gate.url)
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", gate.url)
    path = write(gate, HEADING + GOOD)

    def check(*words: str) -> Result:
        return CliRunner().invoke(cli, ["source", "check", *words, "--sample", str(path)])

    held = check("attendance", "--json")
    (said,) = json.loads(held.output)
    assert (held.exit_code, said["outcome"], said["unknown_students"]) == (1, "would be held", 3)
    assert "s0" not in held.output and [r["rows_failed"] for r in said["rules"] if r["rule"] == "known_student"] == [40]
    gate.know("s0", "s1", "s2")
    published = check("attendance")
    assert published.exit_code == 0 and "would be published" in published.output
    assert check().exit_code == check("attendance", "other").exit_code == check("nobody").exit_code == 2
