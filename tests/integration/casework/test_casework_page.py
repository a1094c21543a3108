"""docs/casework.md: its snippet verifies what we send, its payload is the one we send, its commands do what it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engage.cli import cli
from engage.settings import PROJECT
from tests.integration.casework.kit import SECRET, Crm, Office

PAGE = (PROJECT / "docs" / "casework.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def shape(value: Any) -> Any:
    return {key: shape(inner) for key, inner in value.items() if key != "evidence"} if isinstance(value, dict) else None


def test_the_snippet_verifies_what_we_send_and_the_payload_is_as_described(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    office.send()
    known: dict[str, Any] = {}
    exec(block("python"), known)
    headers, body = crm.last

    assert known["is_from_engage"](headers, body, SECRET)
    assert not known["is_from_engage"](headers, body + b" ", SECRET)
    assert not known["is_from_engage"]({**headers, "webhook-timestamp": "1614265330"}, body, SECRET)
    assert headers["Idempotency-Key"] == headers["webhook-id"]
    assert shape(json.loads(body)) == shape(json.loads(block("json")))


def test_what_was_given_up_is_listed_and_tried_again(
    office: Office, crm: Crm, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "DAGSTER_URL": database_url,
    }.items():
        monkeypatch.setenv(f"ENGAGE_{name}", value)
    monkeypatch.setenv("ENGAGE_NOW", office.now.isoformat())

    def run(command: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, shlex.split(command))
        assert result.exit_code == code, result.output
        return result.output

    assert "asked for nothing yet" in run("case list")
    office.enrol("s1", "s2")
    office.ask("s1")
    office.ask("s2")
    office.decide()
    crm.refuses = lambda data: 400
    assert office.send() == {"failed": 2}

    commands = re.findall(r"^\.venv/bin/engage (.+)$", PAGE, re.MULTILINE)
    said = {command: run(command) for command in commands}
    assert "the CRM says HTTP 400" in said["case list --state failed"]
    assert said["case retry --all"] == "2 in the queue again\n"
    listed = json.loads(run("case list --json"))
    assert [(one["student_id"], one["action"], one["state"]) for one in listed] == [
        ("s2", "open", "pending"),
        ("s1", "open", "pending"),
    ]
    assert office.send() == {"failed": 2}
    first = int(listed[-1]["case_action_id"])
    assert "1 in the queue again" in run(f"case retry {first} 999999", code=1)
    run("case retry", code=2)
    run(f"case retry --all {first}", code=2)
    crm.refuses = lambda data: None
    assert office.send() == {"sent": 1}
    assert [case.student_id for case in crm.cases] == ["s1"]
