"""Staff, visitors and test accounts: left out by declared rules, counted by reason, never quarantined as unknown."""

import json
from pathlib import Path

import pytest
import yaml

from engage.sources import ConfigurationError, Source, load_source
from tests.integration.gate.kit import EVENTS, STUDENTS, Gate

RULES = """\
not_students:
  - {kind: username, matches: 'test\\..+', reason: a test account}
  - {kind: badge, matches: '9[0-9]{3}', reason: a staff badge}
"""


def written(folder: Path, *contents: dict[str, object], rules: str = RULES) -> list[Source]:
    (folder / "sources").mkdir(parents=True)
    (folder / "identity.yaml").write_text(rules)
    paths = [folder / "sources" / f"{content['id']}.yaml" for content in contents]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(yaml.safe_dump(content))
    return [load_source(path) for path in paths]


def event(number: int, username: str, acting: str | None = None) -> str:
    user = {"username": username}
    return json.dumps({"id": number, "user": user, "time": "2026-10-01T10:00:00Z", "real_user": acting})


def test_who_is_no_student_is_left_out_by_reason_and_not_quarantined(gate: Gate, tmp_path: Path) -> None:
    events, students = written(tmp_path / "config", EVENTS, STUDENTS)
    roster = "student_id,given_name,username,badge\n1,A,ada,1000\n2,T,Test.one,1001\n3,S,sam,9001\n"
    gate.deliver(students, roster.encode(), "students.csv")
    gate.process(students)
    assert gate.execute("select distinct student_id from pii.identity") == [("1",)]

    items = [event(1, "ada"), event(2, "TEST.one"), event(3, "test.two"), event(4, "nobody"), event(5, "ada", "root")]
    items += [event(number, "ada") for number in range(6, 16)]
    gate.deliver(events, "\n".join([*items, ""]).encode(), "events")
    gate.process(events)
    assert gate.execute("select student_id, count(*) from raw.activity group by 1") == [("1", 11)]
    assert gate.execute("select row_number, rule_id from quarantine.row") == [(4, "known_student")]
    acting = "somebody else was logged in as the student"
    assert gate.execute("select rows_dropped, dropped from ops.batch where source_id = 'vle'") == [
        (3, {"a test account": 2, acting: 1})
    ]


def test_a_wrong_rule_names_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"identity\.yaml: not_students\.0\.matches: is not a regular"):
        written(tmp_path, EVENTS, rules="not_students: [{kind: badge, matches: '(', reason: x}]")
