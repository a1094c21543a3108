"""What `engage config preview` says, against the plain reference; and that it leaves no trace, killed or not."""

import json
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from engage import configuration
from engage.cli import cli
from engage.preview import NothingToCompareError, preview
from engage.scoring import PeerLevel, Scoring
from engage.settings import PROJECT
from engage.sources import Source as SourceFile
from engage.sources import load_source, load_sources
from engage.warehouse import connect
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.reference.scoring import Activity, Enrolment, Parameters, Score, Source, Teaching, University, weekly_scores

MONDAY = date(2026, 3, 2)
WEEK = MONDAY + timedelta(7)
LEVELS: list[tuple[str, list[str]]] = [("programme", ["programme_code"]), ("institution", [])]
SOURCES = [
    Source("clicks", "activity", "vle"),
    Source("views", "activity", "vle"),
    Source("register", "attendance", "attendance"),
    Source("doors", "activity", "library_access", enabled_from=WEEK + timedelta(7)),
]
Connection = psycopg.Connection[Any]


def university() -> University:
    """Two programmes, one too small for itself; doors count from the week after only."""
    chance, days = random.Random(4), [MONDAY + timedelta(k) for k in range(14)]
    students = [f"u{k:02}" for k in range(60)]
    activity = [
        Activity(s, day, source.source_id, chance.choice([0, 0, 1, 3, 9]), *expected)
        for s in students
        for day in days
        for source in SOURCES
        for expected in [(2, chance.randint(0, 2)) if source.record == "attendance" else (None, None)]
    ]
    return University(
        Parameters({"attendance": 0.5, "vle": 0.3, "library_access": 0.2}, LEVELS, min_group_size=20),
        SOURCES,
        [
            Enrolment("enrolments", MONDAY, s, "active", None, None, {"programme_code": "P2" if k < 15 else "P1"})
            for k, s in enumerate(students)
        ],
        [Teaching(MONDAY, MONDAY + timedelta(20))],
        [a for a in activity if a.interactions or a.expected],
        {(s.source_id, day) for s in SOURCES for day in days},
    )


NOW_IN_FORCE = university()
OTHER = replace(
    NOW_IN_FORCE,
    parameters=replace(
        NOW_IN_FORCE.parameters,
        category_weights={"attendance": 0.2, "vle": 0.5, "library_access": 0.3},
        min_group_size=10,
        calibration="zscore",
    ),
    sources=[
        SOURCES[0],
        replace(SOURCES[1], weight=4.0),
        replace(SOURCES[2], disabled_from=date(2026, 4, 1)),
        replace(SOURCES[3], enabled_from=MONDAY),
    ],
)
SCORING = Scoring(
    category_weights={"attendance": 0.2, "vle": 0.5, "library_access": 0.3},
    peer_levels=[PeerLevel.model_validate({"name": name, "attributes": keys}) for name, keys in LEVELS],
    min_group_size=10,
    calibration="zscore",
    attention_below=400,
)
ANY = load_source(PROJECT / "config" / "sources" / "library_gates.yaml")
ROSTERS = {
    name: ANY.model_copy(update={"id": name, "record": name, "category": None})
    for name in ("enrolments", "term_calendar")
}
FILES: dict[str, SourceFile] = ROSTERS | {
    s.source_id: ANY.model_copy(
        update={
            "id": s.source_id,
            "record": s.record,
            "category": s.category,
            "weight": s.weight,
            "enabled_from": s.enabled_from,
            "disabled_from": s.disabled_from,
        }
    )
    for s in OTHER.sources
}


@pytest.fixture
def fed(connection: Connection) -> Connection:
    """The University as it is, its second week published."""
    universe.configure(connection, NOW_IN_FORCE)
    universe.enrol(connection, NOW_IN_FORCE)
    universe.act(connection, NOW_IN_FORCE)
    universe.pend(connection, [WEEK])
    connection.execute("update ops.publication set state = 'published'")
    connection.commit()
    return connection


def everything(connection: Connection) -> dict[str, Counter[str]]:
    """Return all there is: every relation, and every row of every table."""
    relations = connection.execute(
        "select format('%I.%I', nspname, relname), relkind from pg_class inner join pg_namespace as n "
        "on relnamespace = n.oid where nspname not like 'pg_%' and nspname <> 'information_schema'"
    ).fetchall()
    found = {f"{name} {kind}": Counter[str]() for name, kind in relations}
    for name, kind in relations:
        if kind in ("r", "p"):
            found[f"{name} {kind}"] = Counter(row for (row,) in connection.execute(f"select t::text from {name} as t"))
    connection.commit()
    return found


def test_a_preview_says_what_the_reference_says_and_changes_nothing(
    fed: Connection, url: str, project: Project
) -> None:
    before, after = (
        {student: score for (student, _), score in weekly_scores(of, [WEEK]).items()} for of in (NOW_IN_FORCE, OTHER)
    )
    known = everything(fed)
    found = preview(url, project.home, SCORING, FILES, None, universe.NOW)
    assert everything(fed) == known

    assert (found.week_start, found.version_before) == (WEEK, "test")
    assert found.thresholds == {"attention_below": [350, 400], "concern_below": [300, 300]}
    assert found.total == counts(before, after, before.keys() | after.keys())
    assert found.total["by_over_100"] and found.total["newly_below_attention"], "or this shows nothing"
    groups = {(score.peer_level, score.peer_group) for score in before.values()}
    assert groups == {("programme", "P1"), ("institution", "institution")}
    assert {(row["peer_level"], row["peer_group"]): row for row in found.groups} == {
        group: {"peer_level": group[0], "peer_group": group[1]}
        | counts(before, after, {s for s, score in before.items() if (score.peer_level, score.peer_group) == group})
        for group in groups
    }
    assert {row["student_id"] for row in found.students} == {
        s
        for s in before
        if is_below(before[s], 350) != is_below(after[s], 400) or is_below(before[s], 300) != is_below(after[s], 300)
    }


def test_a_week_whose_days_have_been_deleted_is_refused(fed: Connection, url: str, project: Project) -> None:
    fed.execute("insert into ops.kept_from (kind, day) values ('settled', %s)", [WEEK - timedelta(20)])
    fed.commit()
    with pytest.raises(
        NothingToCompareError, match=rf"{WEEK} cannot be scored any more.*before {WEEK - timedelta(20)}"
    ):
        preview(url, project.home, SCORING, FILES, None, universe.NOW)


def test_the_same_configuration_moves_nobody(fed: Connection, url: str, project: Project) -> None:
    p = NOW_IN_FORCE.parameters
    same = SCORING.model_copy(
        update={
            "category_weights": p.category_weights,
            "min_group_size": p.min_group_size,
            "calibration": p.calibration,
            "attention_below": 350,
        }
    )
    is_free = []

    def look(_said: str) -> None:
        with connect(url) as other:
            is_free.extend(other.execute("select pg_try_advisory_lock(hashtext('engage.dbt'))").fetchall())

    found = preview(url, project.home, same, None, WEEK, universe.NOW, look)
    assert (found.total["students"], found.total["unchanged"], found.students) == (60, 60, [])
    assert is_free == [(True,), (False,), (False,), (False,)], "a table made anew meanwhile would be empty to it"

    # What counts as complete is judged by the other configuration, too.
    strict = preview(url, project.home, same.model_copy(update={"min_quality": 90}), None, WEEK, universe.NOW)
    assert (strict.total["students"], strict.total["lose_the_score"]) == (0, 60)
    fed.execute("delete from ops.publication")
    fed.commit()
    with pytest.raises(NothingToCompareError, match="no week has been published"):
        preview(url, project.home, same, None, None, universe.NOW)


KILLED = """
import sys
from datetime import date, datetime
from pathlib import Path
from engage.preview import preview
from engage.scoring import load_scoring
url, home, config, now = sys.argv[1:]
preview(url, Path(home), load_scoring(Path(config)), None, None, datetime.fromisoformat(now))
"""


def test_of_a_killed_preview_nothing_is_left(fed: Connection, url: str, project: Project) -> None:
    known = everything(fed)
    # It waits for us in the midst of its models.
    fed.execute("lock table marts.daily_activity in access exclusive mode")
    arguments = [url, str(project.home), str(PROJECT / "config"), universe.NOW.isoformat()]
    with (
        subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=PROJECT) as process,
        connect(url, autocommit=True) as watch,
    ):
        until(watch, "exists (select from pg_stat_activity where wait_event_type = 'Lock')")
        process.kill()
        until(watch, "not exists (select from pg_stat_activity where wait_event_type = 'Lock')")
    fed.rollback()
    assert everything(fed) == known


def test_every_command_of_the_page_does_what_it_says(
    fed: Connection, url: str, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shutil.copytree(PROJECT / "config", tmp_path / "config")
    configuration.sync(fed, config, load_sources(config), universe.NOW)
    fed.commit()
    new = shutil.copytree(config, tmp_path / "new")
    text = (new / "scoring.yaml").read_text()
    (new / "scoring.yaml").write_text(text.replace("attendance: 0.4, vle: 0.3", "attendance: 0.1, vle: 0.6"))
    named = {"CONFIG": config, "HOME": project.home, "DATABASE_URL": url, "DAGSTER_URL": url}
    for name, value in named.items():
        monkeypatch.setenv(f"ENGAGE_{name}", str(value))
    monkeypatch.chdir(tmp_path)

    page = (PROJECT / "docs" / "configure.md").read_text()
    commands = re.findall(r"^\.venv/bin/engage (.+)$", page, re.MULTILINE)
    said = {command: run(*shlex.split(command)) for command in commands}
    assert "nothing is wrong" in said["config check"]
    preview = json.loads(said["config preview new --week 2026-03-09 --json"])
    assert "category_weights.vle: 0.3 -> 0.6" in preview["difference"] and preview["total"]["students"] == 60
    assert preview["students"] is None
    assert "u0" in said["config preview new/scoring.yaml --students"]
    assert "is in force" in next(said[command] for command in commands if command.startswith("config record"))
    assert json.loads(said["config history --json"])[0]["author"] == "Education Committee"
    assert "published" in said["source check terms --sample config/terms/terms_20260801.csv"]


def run(*words: str) -> str:
    """Run a command that succeeds, and return what it prints."""
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def until(connection: Connection, condition: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(f"select {condition}").fetchone() != (True,):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def counts(before: dict[str, Score], after: dict[str, Score], students: set[str]) -> dict[str, Any]:
    pairs = [(before[s], after[s]) for s in students]
    points = [abs(a.score - b.score) for b, a in pairs if a.score is not None and b.score is not None]
    return {
        "students": len(points),
        "unchanged": points.count(0),
        "by_1_25": sum(1 <= p <= 25 for p in points),
        "by_26_50": sum(26 <= p <= 50 for p in points),
        "by_51_100": sum(51 <= p <= 100 for p in points),
        "by_over_100": sum(p > 100 for p in points),
        "mean_points": pytest.approx(sum(points) / len(points)),
        "largest": max(points),
        "gain_a_score": sum(b.score is None and a.score is not None for b, a in pairs),
        "lose_the_score": sum(b.score is not None and a.score is None for b, a in pairs),
        "below_attention_before": sum(is_below(b, 350) for b, _ in pairs),
        "newly_below_attention": sum(is_below(a, 400) and not is_below(b, 350) for b, a in pairs),
        "no_longer_below_attention": sum(is_below(b, 350) and not is_below(a, 400) for b, a in pairs),
        "below_concern_before": sum(is_below(b, 300) for b, _ in pairs),
        "newly_below_concern": sum(is_below(a, 300) and not is_below(b, 300) for b, a in pairs),
        "no_longer_below_concern": sum(is_below(b, 300) and not is_below(a, 300) for b, a in pairs),
    }


def is_below(score: Score, points: int) -> bool:
    return score.score is not None and score.score < points
