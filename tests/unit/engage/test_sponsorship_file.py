"""config/sponsorship.yaml and config/student_view.yaml: what they may say; what may not be said names its key."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage import sponsorship, student_view
from engage.settings import PROJECT
from engage.sources import load_source
from engage.strict import ConfigurationError

FILES = PROJECT / "config"


def edited(folder: Path, name: str, **changes: Any) -> Path:
    content = yaml.safe_load((FILES / name).read_text())
    (folder / name).write_text(yaml.safe_dump(content | changes))
    return folder


def test_the_file_that_is_shipped_says_the_defaults() -> None:
    assert sponsorship.load_sponsorship(FILES) == sponsorship.Sponsorship()


def test_without_a_file_there_is_neither(tmp_path: Path) -> None:
    assert sponsorship.in_force(tmp_path, {}) is None
    assert student_view.in_force(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"warn_days": [45, 30]}, "warn_days: must be above 0 and rise"),
        ({"warn_days": [0, 30]}, "warn_days: must be above 0 and rise"),
        ({"warn_days": [30, 61]}, "warn_days: must not be above limit_days"),
        ({"warn_days": []}, "warn_days: "),
        ({"limit_days": 365}, "limit_days: "),
        ({"counted_in": ["summer"]}, "counted_in.0: "),
        ({"limit_day": 60}, "limit_day: there is no such key; did you mean limit_days?"),
    ],
)
def test_what_sponsorship_cannot_be_is_refused_with_file_and_key(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sponsorship.load_sponsorship(edited(tmp_path, "sponsorship.yaml", **changes))
    assert f"{tmp_path / 'sponsorship.yaml'}: " in str(refused.value) and said in str(refused.value)


def test_only_what_happens_to_a_student_is_a_contact_point(tmp_path: Path) -> None:
    source = load_source(FILES / "sources" / "crm_contacts.yaml")
    given = sponsorship.in_force(edited(tmp_path, "sponsorship.yaml"), {"crm_contacts": source})
    assert given is not None and given["contact_points"] == ["crm_contacts"] and given["limit_days"] == 60
    modules = load_source(FILES / "sources" / "modules.yaml").model_copy(update={"contact_point": True})
    with pytest.raises(ConfigurationError, match=r"modules\.yaml: contact_point: only for records of activity"):
        sponsorship.in_force(tmp_path, {"modules": modules})


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        (("standing", "below"), "Your score is {score}.", "standing.below: in braces may stand: group"),
        (("about",), "See {here}.", "about: in braces may stand: nothing"),
        (("not_for",), "A lone { brace", "not_for: braces stand around what is filled in"),
        (("rating",), {"Low": "Low"}, "rating: needs Active, High, Inactive"),
        (("direction", "steady"), "", "words.direction.steady: "),
    ],
)
def test_words_of_the_student_view_fill_in_only_what_is_known(
    tmp_path: Path, place: tuple[str, ...], text: Any, said: str
) -> None:
    shutil.copy(FILES / "student_view.yaml", tmp_path)
    content = yaml.safe_load((FILES / "student_view.yaml").read_text())
    words = content["words"]
    for key in place[:-1]:
        words = words[key]
    words[place[-1]] = text
    (tmp_path / "student_view.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as refused:
        student_view.load_student_view(tmp_path)
    assert "student_view.yaml: words" in str(refused.value) and said in str(refused.value)


def test_around_lies_between_below_and_above(tmp_path: Path) -> None:
    folder = edited(tmp_path, "student_view.yaml", standing={"below_under": 560, "above_from": 550})
    with pytest.raises(ConfigurationError, match="standing: below_under must not be above above_from"):
        student_view.load_student_view(folder)
