"""An erasure leaves governance summaries alone: they are made of figures in which nobody is."""

from datetime import UTC, date, datetime
from pathlib import Path

from engage.privacy import erasure
from tests.integration.gate.kit import Gate
from tests.integration.privacy.keeping import Keeping


def test_a_user_name_that_is_a_word_takes_no_summary_away(database_url: str, tmp_path: Path) -> None:
    keeping = Keeping(Gate(database_url, tmp_path / "landing"), tmp_path)
    keeping.roster(date(2026, 4, 1), "S1", "S2")
    keeping.process()
    keeping.gate.execute(
        "insert into pii.identity values ('username', 'axis', 'S1', '0001-01-01', '9999-12-31'),"
        " ('badge', '495', 'S1', '0001-01-01', '9999-12-31')"
    )
    summary = keeping.home / "reports" / "weekly-2026-04-05" / "summary.html"
    summary.parent.mkdir(parents=True)
    summary.write_text('<line class="axis" x1="495"/>')
    at = erasure.Where(keeping.gate.url, keeping.config, keeping.home, str(keeping.gate.store))
    assert erasure.erase(at, "S1", "ada", "asked", datetime(2026, 5, 4, 10, tzinfo=UTC)).left == []
    assert summary.exists()
