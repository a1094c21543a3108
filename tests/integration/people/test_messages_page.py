"""docs/messages.md: every command in it does what it says."""

import re
import shlex
import shutil
import sys

import pytest

from engage.cli import main
from engage.settings import PROJECT
from tests.integration.people.kit import Office

PAGE = (PROJECT / "docs" / "messages.md").read_text()


def test_what_the_page_tells_to_type_works(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(PROJECT / "config", office.settings.config, dirs_exist_ok=True)
    office.configure(delivery="preview")
    office.student("s1")
    office.tell("s1")
    office.deliver()
    monkeypatch.setenv("ENGAGE_DATABASE_URL", office.url)
    monkeypatch.setenv("ENGAGE_HOME", str(office.settings.home))
    monkeypatch.setenv("ENGAGE_CONFIG", str(office.settings.config))
    said = []
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    for words in map(shlex.split, lines):
        assert words[0] == ".venv/bin/engage"
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            main()
        out, error = capsys.readouterr()
        assert not left.value.code, (words, error)
        said.append(out)

    listed, previewed, *_, sent = said
    assert "digest" in listed and "previewed" in listed
    assert "Ada King" in previewed and "1 student to look at" in previewed
    assert "0 tried again" in sent and "nothing was due" in sent
