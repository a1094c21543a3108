"""How commands print lists: what is shown is what is there."""

import json

import pytest

from engage.commands.output import show


def test_data_that_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    values = ["Attended [yes]", "x[/b]", "[red]x", ":warning:", r"\[a]"]
    show([{"heading[s]": value} for value in values], False, "nothing")
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["heading[s]", *values]
    show([{"heading": value} for value in values], True, "nothing")
    assert [row["heading"] for row in json.loads(capsys.readouterr().out)] == values
