"""What `config/ladders.yaml` may say, and how a mistake in it is told."""

import re
from pathlib import Path

import pytest
import yaml

from engage.contact.ladders_file import Ladders, load_ladders
from engage.settings import PROJECT
from engage.strict import ConfigurationError

STEP = {"id": "call", "title": "A call", "who": "tutor", "channel": "phone"}


def load(folder: Path, **ladder: object) -> Ladders:
    content = {"ladders": [{"id": "one", "title": "One", "steps": [STEP]} | ladder]}
    (folder / "ladders.yaml").write_text(yaml.safe_dump(content))
    return load_ladders(folder)


def test_the_ladder_we_ship_branches_by_residence_and_ends_with_the_emergency_policy() -> None:
    ladder = next(one for one in load_ladders(PROJECT / "config").ladders if one.id == "nottingham")

    on_campus, off_campus = ladder.steps_for("on_campus"), ladder.steps_for("off_campus")

    assert [step.id for step in on_campus] == [
        "institutional_email",
        "personal_contact",
        "dashboard_manager",
        "resx",
        "emergency_contact",
    ]
    assert [a.id for a in off_campus if a not in on_campus] == ["faculty_support"]
    assert "emergency contact policy" in str(on_campus[-1].policy)


def test_the_example_of_the_page_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / "ladder.md").read_text(), re.DOTALL)
    (tmp_path / "ladders.yaml").write_text(example)

    (found,) = load_ladders(tmp_path).ladders

    assert found.steps_for("off_campus")[-1].policy


def test_without_the_file_there_is_no_ladder(tmp_path: Path) -> None:
    assert load_ladders(tmp_path) == Ladders()
    (tmp_path / "ladders.yaml").write_text("# nothing yet\n")
    assert load_ladders(tmp_path).ladders == []


@pytest.mark.parametrize(
    ("ladder", "said"),
    [
        ({"steps": []}, "ladders.0.steps: List should have at least 1 item"),
        ({"steps": [STEP, STEP]}, "ladders.0: steps: two have the id call"),
        ({"steps": [STEP | {"where": "on_campus"}]}, "ladders.0: steps: none for students off campus"),
        ({"steps": [STEP | {"policy": "p"}, STEP | {"id": "b"}]}, "steps: the one with the emergency policy must be"),
        (
            {"steps": [STEP | {"policy": "p", "where": "on_campus"}, STEP | {"id": "b"}]},
            "steps: the one with the emergency policy must be the last",
        ),
        ({"steps": [STEP | {"wait_days": 0}]}, "ladders.0.steps.0.wait_days: Input should be greater than or equal"),
        ({"steps": [STEP | {"who": "student"}]}, "ladders.0.steps.0: channel: what we send to the student"),
        ({"steps": [STEP | {"were": "on_campus"}]}, "ladders.0.steps.0.were: there is no such key; did you mean where"),
        ({"stop_when": ["answer"]}, "ladders.0.stop_when.0: Input should be 'answered' or 'active_again'"),
    ],
)
def test_a_ladder_that_leads_nowhere_is_refused(tmp_path: Path, ladder: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, **ladder)

    assert f"{tmp_path / 'ladders.yaml'}: " in str(error.value) and said in str(error.value)


def test_two_ladders_need_two_names(tmp_path: Path) -> None:
    ladder = {"id": "one", "title": "One", "steps": [STEP]}
    (tmp_path / "ladders.yaml").write_text(yaml.safe_dump({"ladders": [ladder, ladder]}))

    with pytest.raises(ConfigurationError, match="ladders: two have the id one"):
        load_ladders(tmp_path)


def test_the_emergency_step_may_differ_by_residence(tmp_path: Path) -> None:
    steps = [STEP | {"id": where, "where": where, "policy": "p"} for where in ("on_campus", "off_campus")]

    (found,) = load(tmp_path, steps=steps).ladders

    assert [step.id for step in found.steps_for("off_campus")] == ["off_campus"]
