"""The benchmark itself: it writes its table, and it refuses to compare two sides that published different rows."""

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from benchmarks import floor
from benchmarks.__main__ import DifferentError, main, measure


def test_the_table_is_written_once_both_sides_published_the_same_rows(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--rows", "3000", "--files", "3", "--students", "50", "--runs", "1"]
    main([*sizes, "--results", str(tmp_path), "--server", postgres_url])
    text = (tmp_path / "gate.md").read_text()
    assert capsys.readouterr().out == text + "\n"
    assert "Postgres" in text.splitlines()[0]
    lines = json.loads((tmp_path / "gate.json").read_text())["lines"]
    assert [line["what"] for line in lines] == [
        *(f"1 x 3,000 rows, {stage}" for stage in ("load", "audit", "publish", "sum")),
        "3 x 200 rows, batch",
    ]
    assert all(line["floor_s"] > 0 and line["ours_s"] > 0 and line["what"] in text for line in lines)
    with psycopg.connect(f"{postgres_url}/postgres") as connection:
        left = sql.SQL("select 1 from pg_database where datname like 'benchmark%'")
        assert connection.execute(left).fetchone() is None


def test_sides_that_publish_different_rows_are_not_compared(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "PUBLISH", floor.PUBLISH.replace("and not exists", "and not not exists"))
    with pytest.raises(DifferentError, match="are missing and"):
        measure(postgres_url, tmp_path, rows=500, files=1, students=50, runs=1)
