"""What a user gets wrong is said in a line that names it: no traceback, no password, the exit code of contracts.md."""

import os
import sys
from pathlib import Path

import pytest

from engage import clock
from engage.cli import main
from engage.settings import Settings
from engage.sources import ConfigurationError

WORD = "geheim"
NOWHERE = f"postgresql://nobody:{WORD}@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("ENGAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENGAGE_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Return a function that runs `engage WORDS` in this process and returns exit code and what was said."""

    def engage(words: str, **settings: str) -> tuple[object, str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["engage", *words.split()])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert not said.out
        return left.value.code, said.err

    return engage


@pytest.mark.parametrize("limit", ["-1", "0", "9223372036854775808"])
def test_a_limit_that_no_list_can_have(run, limit: str) -> None:  # type: ignore[no-untyped-def]
    code, said = run(f"batch list --limit {limit}")
    assert code == 2 and "--limit" in said


@pytest.mark.parametrize("now", ["rubbish", "2026-11-21T08:00:00", "2026-11-21", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_or_has_no_offset(run, now: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = run("batch list", ENGAGE_NOW=now)
    assert code == 2 and said.startswith("ENGAGE_NOW: must be ISO 8601 with offset") and said.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_time_with_offset_is_lived_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_NOW", "2026-11-21T08:00:00+01:00")
    assert clock.now().isoformat() == "2026-11-21T07:00:00+00:00"


@pytest.mark.parametrize("variable", ["ENGAGE_DATABASE_URL", "ENGAGE_DAGSTER_URL"])
@pytest.mark.parametrize(
    "url",
    [
        WORD,
        f"mysql://u:{WORD}@h/d",
        f"postgresql://u:{WORD}@h",
        f"postgresql://u:{WORD}@h/",
        f"postgresql://u:{WORD}@h/?sslmode=require",
        f"postgresql://u:{WORD}/d",
        f"postgresql://u:{WORD}@{WORD}@h/d",
        f"postgresql://u:{WORD}/{WORD}@h/d",
        f"postgresql://u:1/{WORD}@h/d",
        f"postgresql://u:{WORD}#{WORD}@h/d",
        f"postgresql://u:{WORD}%zz@h/d",
        f"postgresql://u:{WORD}%00@h/d",
        f"postgresql://u:{WORD}@h:99999/d",
        f"postgresql://u:{WORD}@[h/d",
    ],
)
def test_an_address_that_is_none_is_not_quoted(run, variable: str, url: str) -> None:  # type: ignore[no-untyped-def]
    code, said = run("batch list", **{"ENGAGE_DATABASE_URL": NOWHERE, variable: url})
    assert code == 2 and said.startswith(f"{variable}: must read postgresql://user:password@host:port/database")
    assert WORD not in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgres://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p%40w@[::1]:5433/d", "postgresql://u:p%40w@[::1]:5433/d"),
        ("postgresql:///d", "postgresql:///d"),
    ],
)
def test_an_address_in_use(monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    monkeypatch.setenv("ENGAGE_DATABASE_URL", given)
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", given)
    settings = Settings.from_environment()
    assert (settings.database_url, settings.dagster_url) == (kept, kept)


def test_an_option_that_dbt_would_lose_is_refused_before_anybody_connects(run) -> None:  # type: ignore[no-untyped-def]
    code, said = run("batch list", ENGAGE_DATABASE_URL=f"{NOWHERE}?password={WORD}%zz")
    assert code == 2 and said == "ENGAGE_DATABASE_URL: password: only sslmode, sslrootcert may follow the ?\n"
    code, said = run("batch list", ENGAGE_DATABASE_URL=f"{NOWHERE}?sslmode=nope")
    assert code == 2 and said.startswith("ENGAGE_DATABASE_URL: sslmode: one of disable")


@pytest.mark.parametrize("beside", [{}, {"ENGAGE_DAGSTER_URL": NOWHERE}])
def test_a_server_that_does_not_answer(run, beside: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    code, said = run("batch list", ENGAGE_DATABASE_URL=NOWHERE, **beside)
    assert code == 1 and said.startswith("the warehouse does not answer: ") and "refused" in said
    assert WORD not in said and said.count("\n") == 1


@pytest.mark.parametrize("home", ["file", "file/below", "/proc/engage"])
def test_a_home_that_cannot_be_made(run, home: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").touch()
    code, said = run("batch list", ENGAGE_HOME=str(tmp_path / home))
    assert code == 2 and said.startswith(f"ENGAGE_HOME: {tmp_path / home}: ") and said.count("\n") == 1


def test_a_folder_that_cannot_be_written(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "postgres").touch()
    code, said = run("batch list")
    assert code == 1 and said == f"{tmp_path / 'home' / 'postgres'}: File exists\n"


@pytest.mark.parametrize("words", ["source check", "source list", "source list --json", "batch list", "batch show 1"])
def test_a_configuration_folder_that_is_not_there(run, words: str) -> None:  # type: ignore[no-untyped-def]
    assert run(words, ENGAGE_CONFIG="/nonexistent") == (2, "/nonexistent/sources: holds no source file\n")


def test_a_source_file_that_is_not_there(run) -> None:  # type: ignore[no-untyped-def]
    code, said = run("source check nope", ENGAGE_CONFIG="/nonexistent")
    assert code == 2 and "/nonexistent/sources/nope.yaml" in said


def test_what_is_wrong_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_DATABASE_URL", WORD)
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_environment()
    assert raised.value.__cause__ is None
