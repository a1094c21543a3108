"""The benchmark itself: it measures every stage and writes its page, and it compares no two different results."""

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from benchmarks import equal, floor, gate, measure, report, rights
from benchmarks.__main__ import main


def test_every_stage_is_measured_once_both_sides_say_the_same(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = tmp_path / "results", tmp_path / "docs" / "benchmarks.md"
    main(
        [
            "--size",
            "tiny",
            "--no-peers",
            "--publish",
            "--results",
            str(results),
            "--page",
            str(page),
            "--server",
            postgres_url,
        ]
    )
    text = page.read_text()
    assert text == (results / "benchmarks.md").read_text() == f"# How fast it is\n\n{capsys.readouterr().out[:-1]}"
    found = json.loads((results / "benchmarks.json").read_text())
    for when in ("term", "night"):
        one = found["university"][when]
        # No week ends in a term of seven days: it has the stages of days only.
        stages = measure.STAGES if one["weeks"] else measure.DAYS
        assert all(one[side][stage] > 0 for side in ("floor", "ours") for stage in stages), one
        assert sum(report.spent(one["run"]).values()) == pytest.approx(one["run"]["seconds"])
    assert all(f"| {stage} |" in text for stage in measure.STAGES)
    assert [line["what"] for line in found["gate"]] == [
        *(f"1 x 500 rows, {stage}" for stage in ("load", "audit", "publish", "sum")),
        "2 x 200 rows, batch",
    ]
    with psycopg.connect(f"{postgres_url}/postgres") as connection:
        left = sql.SQL("select 1 from pg_database where datname like 'benchmark%'")
        assert connection.execute(left).fetchone() is None


def test_the_rights_of_one_student_are_measured_and_nothing_of_them_is_left(
    postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rights.main(["--students", "60", "--days", "7", "--try", "--server", postgres_url])
    found = json.loads(capsys.readouterr().out)
    assert all(found[what] > 0 for what in ("rows", "files", "floor", "copy", "erasure"))


def test_sides_that_publish_different_rows_are_not_compared(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = floor.statement
    monkeypatch.setattr(floor, "statement", lambda *which: statement(*which).replace("and not exists", "and exists"))
    with pytest.raises(equal.DifferentError, match="are missing and"):
        gate.measure(postgres_url, tmp_path, rows=500, files=1, students=50, runs=1)


def test_the_power_of_growth_is_found() -> None:
    assert report.exponent([(10, 3), (100, 300), (1000, 30000)]) == pytest.approx(2)
