"""docs/rules.md: every command in it does what it says; and `engage rules` answers with the right code."""

import json
import re
import shlex
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from engage.cli import cli
from engage.contact import rules
from engage.contact.rules_file import Rules
from engage.settings import PROJECT
from tests.integration.dbt import universe
from tests.integration.dbt.test_rule_conditions import PARAMETERS, put
from tests.integration.dbt.test_rules_at_work import WEEKS, Connection, found_by_dbt, monday_after, silence
from tests.reference.alerts import Fact

PAGE = (PROJECT / "docs" / "rules.md").read_text()


@pytest.fixture
def fed(connection: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A warehouse with two weeks and a notification of silence, and a configuration of its own."""
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    now = monday_after(WEEKS[1])
    given = {"DATABASE_URL": url, "HOME": str(tmp_path), "CONFIG": str(tmp_path / "config"), "NOW": now.isoformat()}
    for name, value in given.items():
        monkeypatch.setenv(f"ENGAGE_{name}", value)
    universe.configure(connection, PARAMETERS)
    rows = [
        Fact("S1", WEEKS[0], score=400, recent_scores=(400,), programme_code="P1"),
        Fact("S1", WEEKS[1], score=300, recent_scores=(300, 400), lowest_before=400, programme_code="P1"),
        Fact("S2", WEEKS[1], score=200, recent_scores=(200,), open_case=True),
        Fact("S3", WEEKS[1], score=100, recent_scores=(100,), exemption_types=("Withdrawn",)),
    ]
    put(connection, rows)
    found_by_dbt(connection, [Fact("S1", WEEKS[1], programme_code="P1")], now.date())
    silence(connection, "no_digital_activity", "S1", now.date(), now)
    connection.commit()
    return connection


def run(*words: str) -> str:
    answer = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert answer.exit_code == 0, (words, answer.output)
    return answer.output


def refused(*words: str, code: int = 1) -> str:
    answer = CliRunner().invoke(cli, words)
    assert answer.exit_code == code, (words, answer.output, answer.exception)
    return answer.output


def test_what_the_page_tells_to_type_works(fed: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    previewed, as_json, activated, listed, shown, ended = (run(*shlex.split(line)[1:]) for line in lines)
    assert "first_below_350: Well below the peer group for the first time" in previewed
    assert "Nothing was saved." in previewed
    assert "2 students, 1 of them in contact already; 1 more are exempt" in previewed
    (told,) = json.loads(as_json)
    assert [row["student_id"] for row in told["students"]] == ["S1", "S2"]
    assert [row["fired"] for row in told["weeks"]] == [0, 2] and told["weeks"][1]["in_contact"] == 1
    assert told["now"]["programmes"] == [
        {"programme": "P1", "students": 1, "in_contact": 0},
        {"programme": "not known", "students": 1, "in_contact": 1},
    ]
    assert "is in force from 2026-09-21" in activated
    assert "active" in listed and "not activated" in listed
    assert "agreed by the board in October" in shown and "score_below: 350" in shown
    assert "is out of force" in ended
    assert fed.execute("select action, decided_by from ops.rule_activation order by activation_id").fetchall() == [
        ("activate", "Head of Student Support"),
        ("deactivate", "Head of Student Support"),
    ]


def test_the_example_of_the_page_is_a_rule() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert Rules.model_validate(yaml.safe_load(example)).rules[0].repeat_weeks == 4
    asked = re.findall(r"^\| (`\{.*?) \|", PAGE, re.MULTILINE)
    for cell in asked:
        for one in re.findall(r"`(\{.*?\})`", cell):
            content: Any = yaml.safe_load(one.replace("[..]", "[x]"))
            act = content if content.keys() & {"notify", "email_student", "case", "start"} else {"notify": "tutor"}
            when = {"declining": True} if act is content else content
            Rules.model_validate({"rules": [{"id": "r", "title": "R", "when": when, "actions": [act]}]})


def test_a_change_of_the_file_does_nothing_until_it_is_activated(fed: Connection, tmp_path: Path) -> None:
    run("rules", "activate", "first_below_350", "--by", "me", "--reason", "so", "--from", "2026-09-01")
    path = tmp_path / "config" / "rules.yaml"
    path.write_text(path.read_text().replace("{score_below: 350, first_time: true}", "{score_below: 250}"))
    (row,) = [one for one in json.loads(run("rules", "list", "--json")) if one["rule"] == "first_below_350"]
    assert row["state"] == "changed in the file, not activated" and row["effective_from"] == "2026-09-01"
    shown = run("rules", "show", "first_below_350")
    assert "first_time: true" in shown and "score_below: 250" in shown
    assert "instead of" in run("rules", "activate", "first_below_350", "--by", "me", "--reason", "so")
    path.write_text("rules: []")
    (row,) = json.loads(run("rules", "list", "--json"))
    assert row["state"] == "active, not in the file"
    assert json.loads(run("rules", "show", "first_below_350", "--json"))["in_the_file"] is None


def test_a_preview_of_a_rule_about_silence(fed: Connection) -> None:
    rules.evaluate(fed, monday_after(WEEKS[1]))
    fed.commit()
    path = str(PROJECT / "config" / "rules.yaml")
    (told,) = json.loads(run("rules", "preview", path, "--rule", "silent_tell_tutor", "--json"))
    assert told["now"]["students"] == 1 and "students" not in told
    assert [(row["week_start"], row["fired"]) for row in told["weeks"]] == [
        (str(WEEKS[0] + timedelta(7 * k)), int(k == 2)) for k in range(3)
    ]


def test_what_cannot_be_is_said_with_the_right_code(fed: Connection, tmp_path: Path) -> None:
    signed = ("--by", "me", "--reason", "so")
    path = tmp_path / "config" / "rules.yaml"
    assert "there is no rule x" in refused("rules", "show", "x")
    assert "has no rule x" in refused("rules", "activate", "x", *signed)
    assert "is not active" in refused("rules", "deactivate", "declining", *signed)
    assert "--by and --reason" in refused("rules", "activate", "declining", "--by", " ", "--reason", "so")
    run("rules", "activate", "declining", *signed)
    assert "is active like this already" in refused("rules", "activate", "declining", *signed)
    assert "has no rule x" in refused("rules", "preview", str(path), "--rule", "x")
    assert "is no Monday" in refused("rules", "preview", str(path), "--since", "2026-09-08", code=2)
    assert "no week has been published since then" in run("rules", "preview", str(path), "--since", "2027-01-04")
    assert "nobody is told" in run("rules", "activate", "drop_over_100", *signed, "--from", "2026-08-01")
    path.write_text("rules: []")
    assert "has no rule" in run("rules", "preview", str(path))


def test_weeks_of_which_what_was_known_has_been_deleted_are_refused(fed: Connection) -> None:
    file = str(PROJECT / "config" / "rules.yaml")
    asked = ("rules", "preview", file, "--since", str(WEEKS[0]))
    run(*asked)
    fed.execute(
        "with run as (insert into ops.deletion_run (kind, begun_at, asked_by) values ('retention', now(), 'ada')"
        " returning run_id)"
        " insert into ops.deletion (run_id, place, older_than, rows, way, deleted_at)"
        " select run_id, place, %s, 1, 'deleted', now()"
        " from run cross join unnest(array['intermediate.int_rule_fact', 'ops.notification']) as place",
        [WEEKS[1]],
    )
    fed.commit()
    said = refused(*asked)
    assert f"week from {WEEKS[0]} has been deleted, as all before {WEEKS[1]}" in said
    run("rules", "preview", file, "--since", str(WEEKS[1]))
    run("rules", "preview", file)
