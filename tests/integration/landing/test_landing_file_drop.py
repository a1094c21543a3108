"""Files put in a local folder: the same care as for those of a server."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.resources import WarehouseResource
from engage import configuration, landing
from engage.connectors import AccessError
from engage.landing import land, look
from engage.settings import PROJECT
from engage.sources import Source
from engage.warehouse import Connection, connect
from orchestration.sensors import arrivals_sensor
from tests.integration.landing.kit import LATER, NOW, make_source, settle_and_land


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def source(folder: Path) -> Source:
    return make_source({"kind": "file_drop", "folder": str(folder), "pattern": r"gate_(?P<day>\d{8})\.csv"})


def test_settled_files_land_once_and_growing_ones_wait(
    warehouse: Connection, folder: Path, source: Source, store: str
) -> None:
    for day in (1, 2):
        (folder / f"gate_2026100{day}.csv").write_text(str(day))
    look(warehouse, source, NOW)
    (folder / "gate_20261002.csv").write_text("more")
    (folder / "gate_20261301.csv").write_text("no such day")
    report = land(warehouse, source, store, LATER)
    assert [d.name for d in report.landed] == ["gate_20261001.csv"] and report.waiting == 1
    assert report.problems == ["gate_20261301.csv: its name matches the pattern, but its days do not read as %Y%m%d"]
    assert [d.name for d in land(warehouse, source, store, LATER + timedelta(seconds=5)).landed] == [
        "gate_20261002.csv"
    ]


def test_two_that_land_the_same_files_at_once_enter_each_once(
    warehouse: Connection, database_url: str, folder: Path, source: Source, store: str
) -> None:
    for day in range(1, 29):
        for month in range(1, 13):
            (folder / f"gate_2025{month:02}{day:02}.csv").write_text(f"{month} {day // 2}")
    look(warehouse, source, NOW)

    def run(_: int) -> landing.LandingReport:
        with connect(database_url) as connection:
            return land(connection, source, store, LATER)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(run, range(3)))
    assert sum(len(report.landed) for report in reports) == 28 * 12
    assert warehouse.execute("select count(*), count(distinct first_day) from ops.delivery").fetchone() == (336, 336)
    assert warehouse.execute("select count(*) from ops.sighting where delivery_id is null").fetchone() == (0,)


def test_a_file_replaced_while_it_is_copied_is_left_for_the_next_look(
    warehouse: Connection, folder: Path, source: Source, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "gate_20261001.csv"
    path.write_text("old")
    copy = shutil.copyfile

    def replace_meanwhile(original: Path, target: Path) -> None:
        copy(original, target)
        path.write_text("new")
        os.utime(path, (LATER.timestamp(), LATER.timestamp()))

    with monkeypatch.context() as patch:
        patch.setattr("engage.connectors.file_drop.shutil.copyfile", replace_meanwhile)
        assert settle_and_land(warehouse, source, store).landed == []
    (delivery,) = settle_and_land(warehouse, source, store).landed
    assert delivery.version_at == LATER


def test_a_missing_folder_says_what_to_do(warehouse: Connection, folder: Path, source: Source) -> None:
    folder.rmdir()
    with pytest.raises(AccessError, match="create it or allow reading it"):
        look(warehouse, source, NOW)


def test_a_disabled_source_is_neither_looked_at_nor_landed_from_that_local_day_on(
    warehouse: Connection, folder: Path, source: Source, store: str
) -> None:
    source = source.model_copy(update={"disabled_from": date(2026, 10, 11)})
    (folder / "gate_20261001.csv").write_text("1")
    # British summer time: the local day begins at 23:00 UTC.
    assert len(settle_and_land(warehouse, source, store).landed) == 1
    (folder / "gate_20261002.csv").write_text("2")
    last, first = datetime(2026, 10, 10, 22, 59, tzinfo=UTC), datetime(2026, 10, 10, 23, tzinfo=UTC)
    assert look(warehouse, source, last - timedelta(minutes=1)) == []
    assert [remote.name for remote in look(warehouse, source, last)] == ["gate_20261002.csv"]
    shutil.rmtree(folder)
    assert look(warehouse, source, first) == []
    report = land(warehouse, source, store, first)
    assert (report.landed, report.disabled_since) == ([], date(2026, 10, 11))
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (1,)
    # The institution's own zone, once it is known.
    configuration.sync(warehouse, PROJECT / "config", {}, NOW)
    warehouse.execute("update ops.scoring_parameter set time_zone = 'America/New_York'")
    with pytest.raises(AccessError):
        look(warehouse, source, first)


def test_a_source_that_is_made_a_draft_again_keeps_its_past(
    warehouse: Connection, folder: Path, source: Source, store: str
) -> None:
    config, known = PROJECT / "config", "select source_id, disabled_from from ops.source"
    configuration.sync(warehouse, config, {"gate": source, "new": source.model_copy(update={"id": "new"})}, NOW)
    (folder / "gate_20261001.csv").write_text("1")
    (delivery,) = settle_and_land(warehouse, source, store).landed
    warehouse.execute(
        "insert into ops.batch (delivery_id, source_id, state, started_at) values (%s, 'gate', 'published', now())",
        [delivery.delivery_id],
    )
    for now in (NOW, NOW + timedelta(days=9)):
        configuration.sync(warehouse, config, {}, now)
        assert warehouse.execute(known).fetchall() == [("gate", NOW.date())]
    configuration.sync(warehouse, config, {"gate": source}, NOW)
    assert warehouse.execute(known).fetchall() == [("gate", None)]


def test_what_is_enabled_later_is_collected_now(
    warehouse: Connection, folder: Path, source: Source, store: str
) -> None:
    source = source.model_copy(update={"enabled_from": date(2027, 1, 1)})
    (folder / "gate_20261001.csv").write_text("1")
    assert len(settle_and_land(warehouse, source, store).landed) == 1


def test_the_sensor_of_a_disabled_source_says_since_when_and_asks_for_nothing(
    warehouse: Connection, database_url: str, folder: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gate_20261001.csv").write_text("1")
    monkeypatch.setenv("ENGAGE_NOW", NOW.isoformat())
    for day, said in ((11, "Nothing new has settled."), (10, "gate: disabled since 2026-10-10")):
        sensor = arrivals_sensor({"gate": source.model_copy(update={"disabled_from": date(2026, 10, day)})})
        resources = {"warehouse": WarehouseResource(url=database_url)}
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, resources=resources) as context,
        ):
            answer = sensor(context)
        assert (
            isinstance(answer, dg.SensorResult)
            and answer.skip_reason == dg.SkipReason(said)
            and not answer.run_requests
        )
