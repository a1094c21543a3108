"""Files put in a local folder: the same care as for those of a server."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from engage import configuration
from engage.connectors import AccessError
from engage.landing import land, look
from engage.settings import PROJECT
from engage.sources import Source
from engage.warehouse import Connection
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


def test_what_is_enabled_later_is_collected_now(
    warehouse: Connection, folder: Path, source: Source, store: str
) -> None:
    source = source.model_copy(update={"enabled_from": date(2027, 1, 1)})
    (folder / "gate_20261001.csv").write_text("1")
    assert len(settle_and_land(warehouse, source, store).landed) == 1
