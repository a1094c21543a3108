"""What `config/messaging.yaml` may say, and how a mistake in it is told."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from engage.impact import spans
from engage.messaging import Messaging, load_messaging
from engage.settings import PROJECT
from engage.strict import ConfigurationError


def test_the_file_we_ship_sends_nothing_and_none_is_the_same() -> None:
    shipped = load_messaging(PROJECT / "config")

    assert shipped.delivery == "preview" == load_messaging(PROJECT / "config" / "nowhere").delivery
    assert shipped.limits == Messaging().limits


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("delivery: send", "smtp: required when delivery is send"),
        ("smtp: {host: a, username: '${A}', password: hunter2}", "smtp.password: must be written as ${ENV_NAME}"),
        ("smtp: {host: a, username: '${A}'}", "smtp: username and password: both or neither"),
        ("webhooks: [{name: a, kind: irc, url: '${A}'}]", "webhooks.0.kind: Input should be 'teams' or 'slack'"),
        ("escalation: nobody", "escalation: String should match pattern"),
        ("deliver: send", "deliver: there is no such key; did you mean delivery?"),
        ("a: b: c", "line 1: not YAML"),
        ("smtp: {host: 2026-02-30}", "line 1: not YAML: a date, time or number that cannot be"),
    ],
)
def test_a_mistake_is_told_by_file_and_key_and_never_by_value(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "messaging.yaml").write_text(content)

    with pytest.raises(ConfigurationError) as error:
        load_messaging(tmp_path)

    assert f"{tmp_path / 'messaging.yaml'}: {said}" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_days_are_said_as_spans() -> None:
    first = date(2026, 10, 30)
    days = [first + timedelta(days=n) for n in (0, 1, 2, 10, 12, 13, 62, 63, 64)]

    assert spans(days) == (
        "30 October to 1 November 2026, 9 November 2026, 11 to 12 November 2026, 31 December 2026 to 2 January 2027"
    )
