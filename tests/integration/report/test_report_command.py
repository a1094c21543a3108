"""`engage report` as a user types it: what is there is listed and written again, what cannot be is said in a line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engage.cli import cli
from engage.settings import PROJECT
from tests.integration.report.conftest import NEWEST
from tests.integration.report.plausible import University


@pytest.fixture(autouse=True)
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGAGE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENGAGE_CONFIG", str(PROJECT / "config" / "profiles" / "oulad"))
    monkeypatch.setenv("ENGAGE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", database_url)
    monkeypatch.setenv("ENGAGE_NOW", "2026-11-23T14:00:00+00:00")
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["report", *arguments])


def test_editions_are_listed_and_written_where_it_is_said(university: University, home: Path, tmp_path: Path) -> None:
    listed = json.loads(run("list", "--json").output)
    assert (listed[0]["edition"], listed[0]["files"]) == (NEWEST, "no")

    written = run("--edition", NEWEST)
    assert written.exit_code == 0, written.output
    assert written.output.startswith(f"{NEWEST}: {home}/reports/{NEWEST}/summary.html\n")
    assert json.loads(run("list", "--json").output)[0]["files"] == "yes"

    (made,) = json.loads(run("--edition", NEWEST, "--output", str(tmp_path / "here"), "--json").output)
    assert (tmp_path / "here" / NEWEST / "summary.pdf").is_file()
    assert made["edition_id"] == NEWEST and made["small"] > 0


def test_what_cannot_be_is_said_in_a_line(home: Path) -> None:
    assert "no edition has been made yet" in run("list").output
    nothing = run()
    assert nothing.exit_code == 1 and "nothing to sum up" in str(nothing.exception)
    unknown = run("--edition", "weekly-1999-01-03")
    assert unknown.exit_code == 1 and "weekly-1999-01-03" in str(unknown.exception)
    assert not (home / "reports").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "2026-09-21"],
        ["--from", "2026-11-15", "--to", "2026-09-21"],
        ["--from", "2026-09-21", "--to", "2026-11-15", "--kind", "weekly"],
        ["--edition", NEWEST, "--kind", "weekly"],
        ["--kind", "daily"],
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
