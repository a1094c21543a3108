"""From an SFTP server to the ledger: what arrives, in every way that files arrive in real life."""

import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from engage.connectors import AccessError, TransportError
from engage.landing import land, look, open_delivery
from engage.warehouse import Connection, connect
from tests.integration.landing.kit import LATER, NOW, Server, SourceFactory, settle_and_land


def ledger(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("select name, first_day, last_day from ops.delivery order by 1, 2").fetchall()


def kept(store: str) -> list[Path]:
    return [path for path in Path(store).rglob("*") if path.is_file()]


def test_landed_bytes_are_the_bytes_sent(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    content = bytes(range(256)) * 40_000
    server.write("gate_20261001.csv", content, at=NOW - timedelta(days=3))
    (delivery,) = settle_and_land(warehouse, sftp_source(), store).landed
    with open_delivery(store, delivery.landed_path) as file:
        assert file.read() == content
    assert delivery.landed_path == f"gate/2026-10-01/{delivery.content_hash}.csv"
    assert (delivery.size_bytes, delivery.version_at) == (len(content), NOW - timedelta(days=3))
    assert (delivery.first_day, delivery.last_day) == (date(2026, 10, 1), date(2026, 10, 1))
    assert len(kept(store)) == 1


def test_a_memory_store_works_like_a_folder(warehouse: Connection, server: Server, sftp_source: SourceFactory) -> None:
    server.write("gate_20261001.csv", b"x")
    (delivery,) = settle_and_land(warehouse, sftp_source(), "memory://landing").landed
    with open_delivery("memory://landing", delivery.landed_path) as file:
        assert file.read() == b"x"


def test_a_growing_file_waits_until_it_stands_still(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    source = sftp_source()
    for seconds in range(0, 30, 10):
        server.write("gate_20261001.csv", b"x" * seconds, at=NOW + timedelta(seconds=seconds))
        report = land(warehouse, source, store, NOW + timedelta(seconds=seconds))
        assert (report.landed, report.waiting) == ([], 1)
    assert land(warehouse, source, store, NOW + timedelta(seconds=24)).waiting == 1
    report = land(warehouse, source, store, NOW + timedelta(seconds=25))
    assert ([d.size_bytes for d in report.landed], report.waiting) == ([20], 0)


def test_with_a_done_file_one_look_is_enough_and_without_none_is(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    source = sftp_source(settled="done_file", pattern=r"gate_(?P<day>\d{8})\.csv.*")
    server.write("gate_20261001.csv")
    server.write("gate_20261002.csv")
    server.write("gate_20261002.csv.done", b"")
    assert [d.name for d in land(warehouse, source, store, NOW).landed] == ["gate_20261002.csv"]
    report = land(warehouse, source, store, NOW + timedelta(days=1))
    assert (report.landed, report.waiting) == ([], 1)


def test_the_done_file_of_an_earlier_delivery_does_not_vouch_for_the_next(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    source = sftp_source(settled="done_file")
    server.write("gate_20261001.csv.done", b"")
    server.write("gate_20261001.csv", at=NOW + timedelta(minutes=1))
    assert land(warehouse, source, store, NOW).waiting == 1
    assert len(land(warehouse, source, store, LATER).landed) == 1


def test_a_renamed_file_is_one_delivery(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("gate_20261001.csv")
    server.write("gate_20261001_again.csv", at=NOW + timedelta(hours=1))
    report = settle_and_land(warehouse, sftp_source(), store)
    assert ([d.name for d in report.landed], report.duplicates) == (["gate_20261001.csv"], 1)
    assert warehouse.execute("select count(delivery_id), count(distinct delivery_id) from ops.sighting").fetchone() == (
        2,
        1,
    )
    assert land(warehouse, sftp_source(), store, LATER).duplicates == 0


def test_the_same_bytes_for_another_day_are_another_delivery_even_when_empty(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("gate_20261001.csv", b"")
    server.write("gate_20261002.csv", b"")
    report = settle_and_land(warehouse, sftp_source(), store)
    assert [d.first_day for d in report.landed] == [date(2026, 10, 1), date(2026, 10, 2)]
    assert len({d.content_hash for d in report.landed}) == 1 and len(kept(store)) == 2


def test_a_corrected_file_is_a_later_version(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    source = sftp_source()
    server.write("gate_20261001.csv", b"1")
    (first,) = settle_and_land(warehouse, source, store).landed
    server.write("gate_20261001.csv", b"2", at=NOW + timedelta(hours=1))
    (second,) = settle_and_land(warehouse, source, store).landed
    assert second.delivery_id != first.delivery_id and second.version_at > first.version_at
    assert len(kept(store)) == 2


def test_two_files_in_the_same_second_and_an_older_one_arriving_later(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    source = sftp_source()
    server.write("gate_20261001.csv", b"1")
    assert len(settle_and_land(warehouse, source, store).landed) == 1
    server.write("gate_20261002.csv", b"2")
    server.write("gate_20261003.csv", b"0", at=NOW - timedelta(days=30))
    names = [d.name for d in settle_and_land(warehouse, source, store).landed]
    assert names == ["gate_20261003.csv", "gate_20261002.csv"]


def test_other_names_are_ignored_and_wrong_ones_reported_without_stopping_the_others(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("readme.txt")
    server.write("gate_20261301.csv")
    server.write(b"gate_20261001_\xe9.csv")
    server.write("gate_20261001.csv")
    (server.folder / "gate_20261002.csv").mkdir()
    report = settle_and_land(warehouse, sftp_source(), store)
    assert [d.name for d in report.landed] == ["gate_20261001.csv"]
    assert [p.split(": ")[0] for p in sorted(report.problems)] == [
        "gate_20261001_\\xe9.csv",
        "gate_20261002.csv",
        "gate_20261301.csv",
    ]
    problems = warehouse.execute("select count(*) from ops.sighting where problem is not null").fetchone()
    assert problems == (3,)
    (server.folder / "gate_20261301.csv").rename(server.folder / "gate_20261003.csv")
    assert [d.first_day for d in settle_and_land(warehouse, sftp_source(), store).landed] == [date(2026, 10, 3)]


def test_days_in_british_order_and_a_range_of_days(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("01-10-2026_07-10-2026.csv")
    source = sftp_source(pattern=r"(?P<from>[\d-]{10})_(?P<to>[\d-]{10})\.csv", day_format="%d-%m-%Y")
    (delivery,) = settle_and_land(warehouse, source, store).landed
    assert (delivery.first_day, delivery.last_day) == (date(2026, 10, 1), date(2026, 10, 7))


def test_a_file_replaced_while_it_is_read_is_left_for_the_next_look(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("gate_20261001.csv", b"old")
    server.write("gate_20261002.csv", b"gone")
    server.write("gate_20261003.csv", b"calm")

    def change(path: bytes) -> None:
        if path.endswith(b"01.csv"):
            server.write("gate_20261001.csv", b"new", at=LATER)
        if path.endswith(b"02.csv"):
            (server.folder / "gate_20261002.csv").unlink()

    server.faults["on_open"] = change
    report = settle_and_land(warehouse, sftp_source(), store)
    assert [d.name for d in report.landed] == ["gate_20261003.csv"] and len(kept(store)) == 1
    server.faults.clear()
    (delivery,) = settle_and_land(warehouse, sftp_source(), store).landed
    assert (delivery.name, delivery.version_at) == ("gate_20261001.csv", LATER)


def test_a_dropped_connection_keeps_what_was_landed_and_the_next_run_brings_the_rest(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    for day in range(1, 31):
        for part in "ab":
            server.write(f"gate_202609{day:02}{part}.csv", f"{day}{part}".encode())
    look(warehouse, sftp_source(), NOW)
    server.faults["drop_after"] = 40
    with pytest.raises(TransportError, match=rf"127\.0\.0\.1:{server.port}: "):
        land(warehouse, sftp_source(), store, LATER)
    landed = len(ledger(warehouse))
    assert 32 <= landed <= 40
    server.faults.clear()
    assert len(land(warehouse, sftp_source(), store, LATER).landed) == 60 - landed
    assert land(warehouse, sftp_source(), store, LATER).landed == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [(PermissionError(13, "denied"), AccessError), (OSError(5, "Input/output error"), TransportError)],
    ids=["refused", "broken"],
)
def test_a_file_that_the_server_does_not_give_is_named_after_the_others_landed(
    warehouse: Connection,
    server: Server,
    sftp_source: SourceFactory,
    store: str,
    fault: OSError,
    error: type[Exception],
) -> None:
    for day in range(1, 31):
        for part in "ab":
            server.write(f"gate_202609{day:02}{part}.csv", f"{day}{part}".encode())

    def refuse(path: bytes) -> None:
        if path.endswith(b"01a.csv"):
            raise fault

    server.faults["on_open"] = refuse
    look(warehouse, sftp_source(), NOW)
    with pytest.raises(error, match=r"1 files cannot be read by engage .*: gate_20260901a\.csv"):
        land(warehouse, sftp_source(), store, LATER)
    assert len(ledger(warehouse)) == 59


def test_a_slow_listing_is_waited_for_and_a_silent_server_is_not(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 4):
        server.write(f"gate_2026100{day}.csv")
    server.faults["listing_s"] = 0.1
    look(warehouse, sftp_source(), NOW)
    assert len(look(warehouse, sftp_source(), LATER)) == 3
    monkeypatch.setattr("engage.connectors.sftp.TIMEOUT_S", 0.3)
    server.faults["listing_s"] = 5
    with pytest.raises(TransportError, match=rf"127\.0\.0\.1:{server.port}: "):
        look(warehouse, sftp_source(), LATER)


@pytest.mark.parametrize("known", ["other_host.pub", None], ids=["changed", "unknown"])
def test_a_host_key_that_is_not_known_is_never_accepted(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, keys: dict[str, Path], known: str | None
) -> None:
    line = f"[127.0.0.1]:{server.port} {keys[known].read_text()}" if known else ""
    server.known_hosts.write_text(line)
    said = rf"127\.0\.0\.1:{server.port}: its host key .* run `engage source trust gate` after"
    with pytest.raises(AccessError, match=said):
        look(warehouse, sftp_source(), NOW)
    assert server.connections == 0


def test_wrong_access_says_what_to_do(
    warehouse: Connection,
    server: Server,
    sftp_source: SourceFactory,
    keys: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with pytest.raises(AccessError, match="folder /missing is missing"):
        look(warehouse, sftp_source(folder="/missing"), NOW)
    with pytest.raises(AccessError, match="write the server's host key"):
        look(warehouse, sftp_source(known_hosts=str(tmp_path / "none")), NOW)
    monkeypatch.setenv("TEST_SFTP_KEY", str(keys["stranger"]))
    with pytest.raises(AccessError, match="refuses the key of engage"):
        look(warehouse, sftp_source(), NOW)
    monkeypatch.setenv("TEST_SFTP_KEY", str(keys["host.pub"]))
    with pytest.raises(AccessError, match="the private key that"):
        look(warehouse, sftp_source(), NOW)
    monkeypatch.setenv("TEST_SFTP_PORT", "1")
    monkeypatch.setenv("TEST_SFTP_KEY", str(keys["client"]))
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1: ConnectionRefusedError"):
        look(warehouse, sftp_source(), NOW)


def test_five_thousand_files_after_an_outage(
    warehouse: Connection, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    first = date(2010, 1, 1)
    for number in range(5000):
        server.write(f"gate_{first + timedelta(days=number):%Y%m%d}.csv", f"{number}\n".encode() * 50)
    source = sftp_source()
    assert land(warehouse, source, store, NOW).waiting == 5000
    assert len(land(warehouse, source, store, LATER, limit=2000).landed) == 2000
    assert len(land(warehouse, source, store, LATER).landed) == 3000
    assert look(warehouse, source, LATER) == []
    assert len({row[1] for row in ledger(warehouse)}) == 5000 and server.connections == 6


LAND = """
import sys
from datetime import datetime
from engage.landing import land
from engage.sources import Source
from engage.warehouse import connect
with connect(sys.argv[1]) as connection:
    print("started", flush=True)
    land(connection, Source.model_validate_json(sys.argv[2]), sys.argv[3], datetime.fromisoformat(sys.argv[4]))
"""


def test_killed_between_bytes_and_ledger_the_next_run_finishes_the_work(
    warehouse: Connection, database_url: str, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    for day in range(1, 6):
        server.write(f"gate_2026100{day}.csv", b"%d" % day)
    source = sftp_source()
    look(warehouse, source, NOW)
    with connect(database_url) as blocker:
        blocker.execute("lock table ops.delivery in exclusive mode")
        command = [sys.executable, "-c", LAND, database_url, source.model_dump_json(), store, LATER.isoformat()]
        process = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 60
        while not waits_for_lock(database_url) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        stored = [path for path in kept(store) if ".incoming" not in path.parts]
        assert len(stored) == 5 and ledger(warehouse) == []
    for left in (Path(store) / ".incoming").iterdir():
        os.utime(left, (0, 0))
    assert len(land(warehouse, source, store, LATER).landed) == 5
    assert len(ledger(warehouse)) == 5 and len(kept(store)) == 5


def waits_for_lock(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        waiting = connection.execute("select 1 from pg_locks where not granted").fetchone()
        return waiting is not None


def test_a_caller_in_a_transaction_of_its_own_still_gets_each_delivery_committed(
    warehouse: Connection, database_url: str, server: Server, sftp_source: SourceFactory, store: str
) -> None:
    server.write("gate_20261001.csv")
    warehouse.execute("select 1")
    settle_and_land(warehouse, sftp_source(), store)
    warehouse.rollback()
    with connect(database_url, autocommit=True) as other:
        assert len(ledger(other)) == 1
        assert land(other, sftp_source(), store, LATER).landed == []
