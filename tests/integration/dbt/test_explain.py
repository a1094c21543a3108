"""Why a number is what it is, down to each source; and what a run did not come to is noticed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from engage import weekly
from engage.cli import cli
from engage.explain import NoScoreError, explain, left_out, trend_in_words
from tests.integration.dbt import universe
from tests.integration.dbt.test_warehouse_protocol import (  # noqa: F401
    MONDAY,
    WEEK_2,
    Build,
    Connection,
    build,
    fed,
)

SUMS = """
select s.student_id, s.composite, sum(e.contribution), sum(e.weight), count(*), count(*) filter (where e.is_counted)
from marts.weekly_score_revision as s inner join marts.score_explanation as e using (student_id, week_start, revision)
group by s.student_id, s.week_start, s.revision, s.composite
"""


def test_contributions_add_up_and_what_is_left_out_says_why(
    fed: Connection,  # noqa: F811
    build: Build,  # noqa: F811
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    build("tag:daily")
    fed.execute("insert into ops.source (source_id, title, record, relation, category, weight, is_digital) values"
                " ('doors', '', 'activity', 'append', 'vle', 0, false)")  # fmt: skip
    fed.execute(
        "update ops.batch_day set is_covered = false where source_id = 'register' and day between %s and %s",
        [WEEK_2, WEEK_2 + timedelta(3)],
    )
    fed.execute(
        "insert into ops.exemption (student_id, exemption_type, starts_on, ends_on, created_at)"
        " values ('u00', 'ill', %s, %s, '2020-01-01')",
        [WEEK_2, WEEK_2 + timedelta(6)],
    )
    universe.pend(fed, [MONDAY, WEEK_2])
    fed.commit()
    build("tag:weekly")
    sums = fed.execute(SUMS).fetchall()
    assert len(sums) == 23
    for _, composite, contributions, weights, sources, _ in sums:
        assert contributions == pytest.approx(composite, abs=1e-9) and weights == pytest.approx(1) and sources == 3

    # What is decided later says nothing of a score that is there.
    fed.execute("update ops.scoring_parameter set min_complete_days = 7, attention_below = 1000")
    decided = {"scoring": {"min_complete_days": 5, "attention_below": 350}}
    fed.execute("update ops.config_version set content = %s", [json.dumps(decided)])
    first, second = (explain(fed, "u01", week, None) for week in (MONDAY, None))
    assert [p["reason"] for p in first.parts] == ["counted", "counted", "no_weight"]
    others = [p for p in second.parts if not p["is_counted"]]
    assert left_out(others, second.min_complete_days) == [
        "doors: left out for everybody: it, or its category, has no weight",
        "register: left out for everybody: complete on 3 of 7 days, 5 are needed (not on Mon, Tue, Wed, Thu)",
    ]
    assert second.trend is not None and "in 1 week" in trend_in_words(second.trend, 350)
    assert second.attention_below == 350
    for student, week, why in [
        ("u00", WEEK_2, "exempt in that week"),
        ("nobody", None, "no such student"),
        ("u01", WEEK_2 + timedelta(7), "not published"),
        ("nobody", MONDAY, "not on the roster"),
    ]:
        with pytest.raises(NoScoreError, match=why):
            explain(fed, student, week, None)
    with pytest.raises(NoScoreError, match="no revision 7; the newest is 0"):
        explain(fed, "u01", MONDAY, 7)
    fed.commit()

    monkeypatch.setenv("ENGAGE_DATABASE_URL", url)
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", url)
    # In the checkout's own it would be an installation, beside which no demo begins.
    monkeypatch.setenv("ENGAGE_HOME", str(tmp_path / "home"))
    told = CliRunner().invoke(cli, ["explain", "u01", "--week", str(MONDAY)])
    assert told.exit_code == 0 and "Contributions add up to" in told.output and "a week)" in told.output, told.output
    listed = json.loads(CliRunner().invoke(cli, ["explain", "u01", "--json"]).output)
    assert listed["score"]["week_start"] == str(WEEK_2) and len(listed["sources"]) == 3
    assert CliRunner().invoke(cli, ["explain", "u00", "--week", str(WEEK_2)]).exit_code == 1
    assert CliRunner().invoke(cli, ["explain", "u01", "--week", "2026-03-04"]).exit_code == 2


def test_what_a_run_did_not_come_to_after_it_had_published_is_noticed(
    fed: Connection,  # noqa: F811
    build: Build,  # noqa: F811
) -> None:
    build("tag:daily")
    assert not weekly.trends_are_behind(fed)
    universe.pend(fed, [MONDAY])
    fed.commit()
    build("+weekly_score")
    assert weekly.trends_are_behind(fed)
    fed.commit()
    build("tag:follows_scores")
    assert not weekly.trends_are_behind(fed)
