"""What `config/rules.yaml` may say, and how a mistake in it is told."""

from pathlib import Path

import pytest

from engage.contact import rule_conditions
from engage.contact.rules_file import Rule, load_rules, read_rules
from engage.settings import PROJECT
from engage.strict import ConfigurationError

CONFIG, EXPECTATIONS = PROJECT / "config", PROJECT / "expectations"


def rule(text: str, actions: str = "[{notify: tutor}]", more: str = "") -> str:
    return f"rules: [{{id: a, title: A, when: {text}, actions: {actions}{more}}}]"


def test_the_file_we_ship_has_the_examples_and_a_folder_without_one_has_none() -> None:
    shipped = load_rules(CONFIG, EXPECTATIONS)

    assert len(shipped) == 8 and {one.kind for one in shipped} == {None, "no_digital_activity", "low_activity"}
    assert load_rules(CONFIG / "nowhere", EXPECTATIONS) == []
    for one in shipped:
        assert Rule.model_validate(one.content).version == one.version


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (rule("{score_belw: 3}"), "rules.0.when.score_belw: there is no such key; did you mean score_below?"),
        (
            rule("{not: {score_belw: 3}}"),
            "rules.0.when.not.score_belw: there is no such key; did you mean score_below?",
        ),
        (rule("{}"), "rules.0.when: one condition needs one thing that it asks"),
        (rule("{score_below: 3, mode: [FT]}"), "rules.0.when: one condition needs one thing that it asks, not score_b"),
        (rule("{mode: [FT], first_time: true}"), "rules.0.when: first_time and weeks say more of score_below"),
        (rule("{score_below: 3, weeks: 3, first_time: true}"), "rules.0.when: first_time or weeks, not both"),
        (rule("{score_below: 3, weeks: 13}"), "rules.0.when.weeks: Input should be less than or equal to 12"),
        (rule("{all: []}"), "rules.0.when.all: List should have at least 1 item"),
        (rule("{exempt: [Ill]}"), "rules.0.when.exempt: must be true, false, or a list of Authorised Absence, Break"),
        (rule("{mode: FT}"), "rules.0.when.mode: Input should be a valid list"),
        (rule("{notification: silence}"), "rules.0.when.notification: Input should be 'no_digital_activity' or 'low_a"),
        (rule("{any: [{notification: low_activity}]}"), "rules.0: when: notification may only stand at the top"),
        (rule("{not: {notification: low_activity}}"), "rules.0: when: notification may only stand at the top"),
        (
            rule("{all: [{notification: low_activity}, {notification: no_digital_activity}]}"),
            "rules.0: when: one kind of notification only",
        ),
        (rule("{notification: low_activity}", more=", repeat_weeks: 2"), "rules.0: repeat_weeks: a notification comes"),
        (rule("{declining: true}", "[]"), "rules.0.actions: List should have at least 1 item"),
        (rule("{declining: true}", "[{notify: tutor, case: x}]"), "rules.0.actions.0: an action is one of"),
        (rule("{declining: true}", "[{case: x, immediate: true}]"), "rules.0.actions.0: immediate: only of notify"),
        (
            rule("{declining: true}", "[{case: x, text: support_offer}]"),
            "rules.0.actions.0: text: only of email_student",
        ),
        (rule("{declining: true}", "[{notify: tutor}, {notify: tutor, immediate: true}]"), "rules.0: actions: two are"),
        (
            rule("{declining: true}", "[{notify: porter}]"),
            "rules.0.actions.0.notify: nobody has the role porter; there",
        ),
        (rule("{declining: true}", "[{start: up}]"), "rules.0.actions.0.start: ladders.yaml has no ladder up"),
        (
            rule("{declining: true}").replace("id: a", "id: low_activity"),
            "rules.0: id: is the name of what the rule is",
        ),
        (rule("{declining: true}").replace("]", "]}, {id: a, title: B", 1), "rules.1.when: Field required"),
        ("rules: 3", "rules: Input should be a valid list"),
        ("- a", "must be keys with their values"),
    ],
)
def test_a_mistake_is_told_by_file_and_key(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(content)

    with pytest.raises(ConfigurationError) as error:
        read_rules(path, CONFIG, EXPECTATIONS)

    assert f"{path}: {said}" in str(error.value)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rule("{declining: true}")[:-1] + rule("{declining: false}").replace("rules: [", ", "))

    with pytest.raises(ConfigurationError, match="rules: two have the id a"):
        read_rules(path, CONFIG, EXPECTATIONS)


def test_roles_are_those_of_the_staff_links_and_of_messaging(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rule("{declining: true}", "[{notify: director_of_studies}, {notify: student_support}]"))
    for file in ("ladders.yaml", "identity.yaml"):
        (tmp_path / file).write_text((CONFIG / file).read_text())
    (tmp_path / "messaging.yaml").write_text("roles: {student_support: support@example.ac.uk}")
    (tmp_path / "sources").symlink_to(CONFIG / "sources")

    assert [action.notify for action in read_rules(path, tmp_path, EXPECTATIONS)[0].actions] == [
        "director_of_studies",
        "student_support",
    ]


def test_a_version_is_what_a_rule_says_and_not_how_it_is_written(tmp_path: Path) -> None:
    path, versions = tmp_path / "rules.yaml", []
    for text in (
        rule("{year_of_study: [1]}"),
        rule("{'year_of_study': ['1']}", "[{notify: tutor, immediate: false}]", ", repeat_weeks: null"),
        rule("{year_of_study: [2]}"),
    ):
        path.write_text(text)
        versions.append(read_rules(path, CONFIG, EXPECTATIONS)[0].version)
    assert versions[0] == versions[1] != versions[2] and len(versions[0]) == 12


def test_a_condition_is_said_in_words() -> None:
    said = {one.id: rule_conditions.words(one.when) for one in load_rules(CONFIG, EXPECTATIONS)}

    assert said["below_350_for_3_weeks"] == "score below 350 for 3 weeks in a row and not contacted in the last 14 days"
    assert said["low_score_low_attendance"] == "score below 300 and attendance below 75 %"
    assert said["hardly_active"] == "low activity and not an open case"
