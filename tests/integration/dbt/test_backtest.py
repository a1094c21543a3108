"""A short year of bad feeds: every true silence is raised or undetermined, nothing is raised that was none."""

from pathlib import Path

import pytest

from campus import backtest, validation
from campus.nights import Found
from campus.year import Year
from tests.integration.dbt.conftest import Project

SHORT = (("teaching", 3), ("vacation", 1), ("reading", 1), ("teaching", 2))


def test_nobody_is_missed_and_nobody_is_flagged_because_a_feed_broke(url: str, project: Project) -> None:
    year = Year(students=250, terms=SHORT)
    verdict = backtest.judge(year, backtest.run(year, url, project.home, every=8), every=8)
    assert (verdict.missed, verdict.false) == (0, 0), verdict
    told = (verdict.raised, verdict.late, verdict.shifted, verdict.undetermined)
    assert sum(told) == verdict.true > 100 and min(told) > 0, verdict
    assert verdict.dropped > 0, verdict
    # The same feeds, and SQL that takes no rows for no activity.
    assert verdict.naive_false > 10, verdict


@pytest.mark.parametrize("gone", ["raised", "late"])
def test_what_is_taken_from_the_ledger_or_added_to_it_is_found(gone: str) -> None:
    year = Year(students=40, terms=SHORT)
    truth = dict.fromkeys(year.truth(), ("raised", 0 if gone == "raised" else 9))
    whole = backtest.judge(year, Found(dict(truth), set()))
    assert (whole.missed, whole.false, getattr(whole, gone)) == (0, 0, len(truth))
    student, day = min(truth)
    del truth[student, day]
    alone = [k for k in range(40) if not any(s == k for s, _ in truth) and year.active[k, 9]]
    truth[alone[0], 10] = ("raised", 0)
    some = backtest.judge(year, Found(truth, {(alone[0], 10)}))
    assert (some.missed, some.false, some.naive_false) == (1, 1, 1)


def test_the_section_is_put_into_the_page_and_the_rest_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- silence -->\nold\n<!-- end of silence -->\nafter\n")
    verdict = backtest.judge(Year(students=40, terms=SHORT), Found({}, set()))
    validation.put_silence(page, backtest.section(Year(students=40, terms=SHORT), verdict, 2))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert f"| **missed** | {verdict.true} |" in text and "40 students over 7 weeks" in text
