"""What is kept of a configuration: one name for one content; of every change what differs, who decided it and why."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import yaml
from click.testing import CliRunner, Result

from engage import configuration
from engage.cli import cli
from engage.settings import PROJECT
from engage.sources import Source, load_source

NOW = datetime(2026, 10, 10, 6, tzinfo=UTC)
FILES = PROJECT / "config"
WEIGHTS = {"attendance": 0.35, "vle": 0.35, "library_access": 0.2, "other": 0.1}
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config" / "sources").mkdir(parents=True)
    shutil.copy(FILES / "scoring.yaml", tmp_path / "config")
    shutil.copy(FILES / "sources" / "library_gates.yaml", tmp_path / "config" / "sources")
    return tmp_path / "config"


@pytest.fixture
def gates() -> Source:
    return load_source(FILES / "sources" / "library_gates.yaml")


def edit(config: Path, **changes: object) -> None:
    path = config / "scoring.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_every_change_is_kept_also_one_that_goes_back(
    config: Path, warehouse: Connection, database_url: str, gates: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = configuration.sync(warehouse, config, {"library_gates": gates}, NOW)
    assert not configuration.story(warehouse, first).is_unsaid, "the first one changes nothing"
    levels = yaml.safe_load((config / "scoring.yaml").read_text())["peer_levels"]
    edit(config, category_weights=WEIGHTS, peer_levels=[*levels[2:], levels[1]], part_time_modes=["PT", "DL"])
    light = gates.model_copy(update={"weight": 0.5})
    warehouse.commit()
    configuration.sync(warehouse, config, {"library_gates": light}, NOW + timedelta(1), "Committee", "labs")
    second = configuration.sync(warehouse, config, {"library_gates": light}, NOW + timedelta(2))
    story = configuration.story(warehouse, second)
    assert (story.previous, story.author, story.reason, story.changed_at) == (
        first,
        "Committee",
        "labs",
        NOW + timedelta(1),
    )
    assert story.difference == [
        "category_weights.attendance: 0.4 -> 0.35",
        "category_weights.vle: 0.3 -> 0.35",
        "peer_levels: programme_year removed",
        "peer_levels: in the order faculty, institution, programme",
        "part_time_modes: [PT] -> [PT, DL]",
        "sources.library_gates.weight: not set -> 0.5",
    ]
    assert "Committee" not in str(story), "logs and metadata name nobody"

    # Taken out before it ever delivered: as if it had never been there. Nobody has said why.
    third = configuration.sync(warehouse, config, {}, NOW + timedelta(3))
    story = configuration.story(warehouse, third)
    assert story.difference == ["sources.library_gates: removed"]
    assert story.is_unsaid and "engage config record" in str(story)

    edit(config, **yaml.safe_load((FILES / "scoring.yaml").read_text()), part_time_modes=["PT"])
    assert configuration.sync(warehouse, config, {"library_gates": gates}, NOW + timedelta(4)) == first
    warehouse.execute(
        "insert into ops.publication (week_start, revision, state, config_version, data_as_of, published_at) values "
        "('2026-10-05', 1, 'published', %(first)s, %(now)s, %(now)s), "
        "('2026-10-05', 2, 'published', %(first)s, %(later)s, %(later)s), "
        "('2026-10-12', 1, 'published', %(third)s, %(later)s, %(later)s)",
        {"first": first, "third": third, "now": NOW, "later": NOW + timedelta(9)},
    )
    warehouse.commit()

    def engage(*words: str) -> Result:
        return CliRunner().invoke(cli, ["config", *words])

    for name, value in (("CONFIG", config), ("HOME", config.parent), ("DATABASE_URL", database_url)):
        monkeypatch.setenv(f"ENGAGE_{name}", str(value))
    monkeypatch.setenv("ENGAGE_DAGSTER_URL", database_url)
    for words in (["--by", "C"], ["--reason", "labs"], ["--by", " ", "--reason", "labs"]):
        assert engage("record", *words).exit_code == 2
    back = engage("record", "--by", "Registrar", "--reason", "undone")
    assert back.exit_code == 0 and first in back.output and "category_weights.vle: 0.35 -> 0.3" in back.output
    assert engage("record", "--by", "Registrar", "--reason", "undone").exit_code == 0, "said twice is said once"
    assert engage("record", "--by", "Somebody", "--reason", "else").exit_code == 1
    assert [
        (row["version"], row["author"], row["weeks_published"])
        for row in json.loads(engage("history", "--json").output)
    ] == [
        (first, "Registrar", ["2026-10-05"]),
        (third, "not said", ["2026-10-12"]),
        (second, "Committee", []),
        (first, "not said", ["2026-10-05"]),
    ]
    assert "because: undone" in engage("history").output
    assert json.loads(engage("show", second, "--json").output)["sources"]["library_gates"]["weight"] == 0.5
    assert f"version: {first}" in engage("show").output and engage("show", "nothing").exit_code == 1


def test_a_version_is_the_content_and_nothing_else(config: Path, warehouse: Connection, gates: Source) -> None:
    both = {"library_gates": gates, "badges": gates.model_copy(update={"id": "badges"})}

    def version(sources: dict[str, Source], now: datetime = NOW) -> str:
        try:
            return configuration.sync(warehouse, config, sources, now)
        finally:
            warehouse.rollback()

    known = version(both)
    assert version(dict(reversed(both.items())), NOW + timedelta(99)) == known
    renamed = gates.model_copy(
        update={"title": "Another", "freshness": gates.freshness.model_copy(update={"fail_after_h": 99})}
    )
    assert version(both | {"library_gates": renamed}) == known, "no score depends on it"
    edit(config)
    assert version(both) == known, "another order of keys, and no comments"
    for change in ({"weight": 2.0}, {"enabled_from": NOW.date()}, {"category": "other"}, {"relation": "append"}):
        assert version(both | {"library_gates": gates.model_copy(update=change)}) != known
    edit(config, review_after_days=30)
    assert version(both) != known


def test_a_source_that_has_delivered_counts_for_the_version_when_its_file_is_gone(
    config: Path, warehouse: Connection, gates: Source
) -> None:
    configuration.sync(warehouse, config, {"library_gates": gates}, NOW)
    warehouse.execute(
        """
        with d as (
            insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)
            values ('library_gates', 'h', 'f', 1, now(), 'p', now()) returning delivery_id
        )
        insert into ops.batch (delivery_id, source_id, state, started_at)
        select delivery_id, 'library_gates', 'published', now() from d
        """
    )
    gone = configuration.sync(warehouse, config, {}, NOW)
    assert configuration.story(warehouse, gone).difference == [
        "sources.library_gates.disabled_from: not set -> 2026-10-10"
    ]
    assert configuration.sync(warehouse, config, {}, NOW + timedelta(30)) == gone


def test_who_may_see_what_of_students_is_a_change_and_who_has_no_such_file_keeps_the_version(
    config: Path, warehouse: Connection, gates: Source
) -> None:
    sources = {"library_gates": gates}
    before = configuration.sync(warehouse, config, sources, NOW)
    content = configuration.content_of(warehouse, before)
    assert set(content) == {"scoring", "sources"}, "without the files nothing is said of them"
    assert warehouse.execute("select name from ops.setting").fetchall() == []

    for name in ("sponsorship.yaml", "student_view.yaml"):
        shutil.copy(FILES / name, config)
    added = configuration.sync(warehouse, config, sources, NOW)
    assert configuration.story(warehouse, added).difference == ["sponsorship: added", "student_view: added"]

    path = config / "sponsorship.yaml"
    path.write_text(path.read_text().replace("limit_days: 60", "limit_days: 55"))
    path = config / "student_view.yaml"
    path.write_text(path.read_text().replace("show_number: false", "show_number: true"))
    changed = configuration.sync(warehouse, config, sources, NOW)
    assert configuration.story(warehouse, changed).difference == [
        "sponsorship.limit_days: 60 -> 55",
        "student_view.show_number: False -> True",
    ]
    counted = {"library_gates": gates.model_copy(update={"contact_point": True})}
    again = configuration.sync(warehouse, config, counted, NOW)
    assert configuration.story(warehouse, again).difference == ["sponsorship.contact_points: [] -> [library_gates]"]

    for name in ("sponsorship.yaml", "student_view.yaml"):
        (config / name).unlink()
    assert configuration.sync(warehouse, config, sources, NOW) == before
