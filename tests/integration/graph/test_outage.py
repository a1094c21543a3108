"""Five days in which no server could be reached: caught up by itself in one run, rosters first, the oldest first."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.integration.graph import kit

CATEGORIES = ["other", "library_access", "vle", "attendance"]
FEEDS, DAYS, A_DAY = 8, 5, 12
STUDENTS = 12


def feed(number: int) -> dict[str, object]:
    return kit.source(
        f"feed{number:02}",
        record="activity",
        relation="append",
        category=CATEGORIES[number % len(CATEGORIES)],
        columns={
            "event_id": {"name": "event"},
            "student_ref": {"name": "student"},
            "occurred_at": {"name": "at", "formats": ["%Y-%m-%d %H:%M"]},
        },
    )


FEED_IDS = [str(feed(number)["id"]) for number in range(FEEDS)]


@pytest.fixture(scope="session")
def configuration(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One roster and many feeds."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "scoring.yaml").write_bytes((configuration / "scoring.yaml").read_bytes())
    for name in ("sources", "expectations"):
        (folder / name).mkdir()
        (folder / name / "roster.yaml").write_bytes((configuration / name / "roster.yaml").read_bytes())
    rules = {"description": "Few.", "expectations": kit.SUITES["gates"][:2]}
    for number, name in enumerate(FEED_IDS):
        (folder / "sources" / f"{name}.yaml").write_text(yaml.safe_dump(feed(number)))
        (folder / "expectations" / f"{name}.yaml").write_text(yaml.safe_dump(rules))
    return folder


def test_an_outage_of_five_days_is_one_run_in_order_of_need(
    installation: kit.Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datetime(2026, 10, 5, tzinfo=UTC)
    with monkeypatch.context() as patch:
        patch.setenv("CAMPUS_SFTP_PORT", "1")
        for day in range(DAYS):
            for portion in range(A_DAY):
                write(installation, first + timedelta(days=day, hours=portion), portion)
            installation.at(first + timedelta(days=day, hours=23))
            assert installation.tick("arrivals") == [], "no run while nothing can be reached"
    waiting = sum(1 for path in installation.served.rglob("*.csv"))
    assert waiting >= 480
    installation.at(first + timedelta(days=DAYS))
    assert installation.tick("arrivals") == [], "the first of two looks"
    installation.at(installation.now + timedelta(seconds=30))
    caught_up = installation.tick("arrivals")
    assert [(run.job_def.name, run.success) for run in caught_up] == [("ingest", True)]
    assert installation.tick("arrivals") == []
    assert installation.query("select count(*) from ops.batch where state = 'published'") == [(waiting,)]
    rows = FEEDS * DAYS * A_DAY
    assert installation.query("select count(*), count(distinct (source_id, event_id)) from raw.activity") == [
        (rows, rows)
    ]
    assert installation.query("select count(*) from quarantine.row") == [(0,)], "the roster came first"
    order = [str(name) for (name,) in installation.query("select source_id from ops.batch order by batch_id")]
    need = [4 if name == "roster" else FEED_IDS.index(name) % len(CATEGORIES) for name in order]
    assert need == sorted(need, reverse=True), "what weighs most comes first"
    assert installation.query(
        "select bool_and(is_later) from (select version_at >= lag(version_at, 1, '-infinity') over "
        "(partition by source_id order by batch_id) as is_later from ops.batch inner join ops.delivery using"
        " (delivery_id, source_id)) as b"
    ) == [(True,)], "the oldest first"


def write(installation: kit.Installation, at: datetime, portion: int) -> None:
    """Let every system write its file of this hour; the roster comes once a day, the last student on the last day."""
    for name in FEED_IDS:
        path = installation.served / name / f"{name}_{at:%Y%m%d}_{portion}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"event,student,at\n{at:%d}-{portion},S{portion},{at:%Y-%m-%d %H:%M}\n")
        os.utime(path, (at.timestamp(), at.timestamp()))
    if portion == 0:
        known = STUDENTS if at.day == 5 + DAYS - 1 else STUDENTS - 1
        path = installation.served / "roster" / f"roster_{at:%Y%m%d}.csv"
        lines = ["id,given,family,badge", *(f"S{n},Given,Family,{n}" for n in range(known))]
        path.write_text("\n".join([*lines, ""]))
        os.utime(path, (at.timestamp(), at.timestamp()))
