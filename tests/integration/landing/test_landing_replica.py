"""From a replica of Moodle's database to the ledger: ids that come late or out of order, and a replica that lags."""

import gzip
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from campus.systems.moodle_log import TABLES
from engage.connectors import AccessError, TransportError, connector_for
from engage.landing import Delivery, land, look, open_delivery
from engage.postgres import find_binaries, running
from engage.settings import PROJECT
from engage.sources import ConfigurationError, Source, load_source
from engage.warehouse import Connection, connect, ensure_database, with_database

LONDON = ZoneInfo("Europe/London")
MONDAY = datetime(2026, 10, 4, 23, tzinfo=UTC)
"""Where the days of these tests begin: midnight in London."""
START = "2026-10-05"


class Log:
    """The tables of a Moodle that may be filled by hand."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = connect(url, autocommit=True)
        self.connection.execute(TABLES)
        self.connection.execute("truncate mdl_logstore_standard_log, mdl_user")
        self.connection.execute(
            "insert into mdl_user (id, username, firstname) values (7, 'ab0001', 'Ada'), (1, 'guest', 'G')"
        )

    def write(self, number: int, hours: float, user: int = 7, **changes: Any) -> None:
        """Write a row so many hours after the first midnight."""
        row = {
            "id": number,
            "component": "mod_page",
            "action": "viewed",
            "target": "course_module",
            "userid": user,
            "timecreated": int(at(hours).timestamp()),
            "origin": "web",
            **changes,
        }
        self.connection.execute(
            f"insert into mdl_logstore_standard_log ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})",
            list(row.values()),
        )


@pytest.fixture
def log(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    log = Log(ensure_database(postgres_url, "moodle"))
    monkeypatch.setenv("CAMPUS_MOODLE_DATABASE_URL", log.url)
    monkeypatch.setenv("CAMPUS_ADOPTED", START)
    # The log is older than the source, and somebody is up at night.
    log.write(1, -20)
    yield log
    log.connection.close()


def source_of(**changes: Any) -> Source:
    """Return the source as its file has it, with changes of its transport."""
    source = load_source(PROJECT / "config" / "sources" / "moodle_log.yaml")
    return source.model_validate(source.model_dump() | {"transport": source.transport.model_dump() | changes})


def rows_of(store: str, delivery: Delivery) -> list[dict[str, Any]]:
    with open_delivery(store, delivery.landed_path) as file:
        return [json.loads(line) for line in gzip.decompress(file.read()).decode().splitlines()]


def ids_of(store: str, delivery: Delivery) -> list[int]:
    return [row["id"] for row in rows_of(store, delivery)]


def at(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def test_a_reading_goes_on_from_the_last_id_and_a_little_before(warehouse: Connection, log: Log, store: str) -> None:
    log.write(2, 10, action='a "b"\\n, \n\\.')
    for number, hours in [(3, 23.2), (5, 23.6), (6, 23.6), (9, 24.3)]:
        log.write(number, hours)
    (first,) = land(warehouse, source_of(), store, at(30)).landed
    assert (first.window_start, first.window_end, first.read_to) == (at(0), at(24), 6)
    assert (first.first_day, first.last_day) == (date(2026, 10, 5), date(2026, 10, 5))
    odd, _, one, twin = rows_of(store, first)
    assert odd["action"] == 'a "b"\\n, \n\\.'
    assert twin == one | {"id": 6}, "two rows of one second are two"
    assert one == {
        "id": 5,
        "timecreated": int(at(23.6).timestamp()),
        "component": "mod_page",
        "action": "viewed",
        "target": "course_module",
        "contextinstanceid": 0,
        "origin": "web",
        "anonymous": 0,
        "userid": 7,
        "realuserid": None,
        "username": "ab0001",
    }, "and nothing else of anybody"
    # Written late, with an id from before; and out of order.
    for number, hours in [(4, 23.7), (12, 30), (11, 40), (13, 48.3)]:
        log.write(number, hours)
    (second,) = land(warehouse, source_of(), store, at(54)).landed
    assert (ids_of(store, first), ids_of(store, second)) == ([2, 3, 5, 6], [4, 5, 6, 9, 11, 12])
    assert (second.first_day, second.last_day, second.read_to) == (date(2026, 10, 6), date(2026, 10, 6), 12)
    assert land(warehouse, source_of(), store, at(54)).landed == []


def test_only_what_the_replica_has_is_covered(warehouse: Connection, log: Log) -> None:
    for number, (hours, days) in enumerate([(23.9, 0), (24.2, 0), (24.26, 1)], start=2):
        log.write(number, hours)
        assert len(look(warehouse, source_of(), at(60))) == days, f"its newest row is of hour {hours}"
    log.write(5, 500)
    ends = [remote.window_end for remote in look(warehouse, source_of(), at(60))]
    assert ends == [at(24)], "a clock that is wrong makes no replica newer"


def test_a_replica_that_has_less_than_when_it_was_listed_is_not_read(
    warehouse: Connection, log: Log, tmp_path: Path
) -> None:
    log.write(2, 24.3)
    connector = connector_for(source_of())
    listed = connector.list(warehouse, at(30))
    log.connection.execute("delete from mdl_logstore_standard_log where id = 2")
    with pytest.raises(TransportError, match="less than when it was looked at"):
        list(connector.fetch(listed, tmp_path))


@pytest.mark.parametrize(("left", "found"), [(1, "1"), (0, "none")], ids=["an older copy", "emptied"])
def test_ids_that_go_down_stop_the_source(warehouse: Connection, log: Log, store: str, left: int, found: str) -> None:
    log.write(5, 23)
    log.write(6, 24.3)
    assert len(land(warehouse, source_of(), store, at(30)).landed) == 1
    log.connection.execute("delete from mdl_logstore_standard_log where id > %s", [left])
    with pytest.raises(
        AccessError, match=f"highest id is {found}, but 5 was read before: .* have the replica set right"
    ):
        land(warehouse, source_of(), store, at(60))
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (1,)


def test_days_that_the_log_has_forgotten_are_not_covered(warehouse: Connection, log: Log, store: str) -> None:
    log.connection.execute("truncate mdl_logstore_standard_log")
    for number, hours in [(20, 30), (21, 50), (22, 72.3)]:
        log.write(number, hours)
    (delivery,) = land(warehouse, source_of(), store, at(80)).landed
    assert (delivery.first_day, delivery.last_day) == (date(2026, 10, 7), date(2026, 10, 7))
    log.connection.execute("truncate mdl_logstore_standard_log")
    for number, hours in [(40, 150), (41, 170), (42, 192.3)]:
        log.write(number, hours)
    (delivery,) = land(warehouse, source_of(), store, at(200)).landed
    assert (delivery.first_day, ids_of(store, delivery)) == (date(2026, 10, 12), [40, 41]), "what is there, comes"


def test_after_an_outage_several_readings_follow_each_other(warehouse: Connection, log: Log, store: str) -> None:
    for number, hours in [(2, 3), (3, 25), (4, 47.8), (5, 48.1), (6, 71), (7, 72.3)]:
        log.write(number, hours)
    source = source_of(longest="P1D")
    assert [d.read_to for d in land(warehouse, source, store, at(80), limit=2).landed] == [2, 4]
    (last,) = land(warehouse, source, store, at(80)).landed
    assert (ids_of(store, last), last.read_to) == ([4, 5, 6], 6)


def test_a_held_reading_is_made_again_from_where_it_began(warehouse: Connection, log: Log, store: str) -> None:
    for number, hours in [(2, 3), (3, 23), (5, 40), (6, 48.3)]:
        log.write(number, hours)
    held, good = land(warehouse, source_of(longest="P1D"), store, at(54)).landed
    for delivery, state in [(held, "held"), (good, "published")]:
        warehouse.execute(
            "insert into ops.batch (delivery_id, source_id, state, started_at) values (%s, 'moodle_log', %s, now())",
            [delivery.delivery_id, state],
        )
    log.write(4, 22)
    (again,) = land(warehouse, source_of(longest="P1D"), store, at(79)).landed
    assert (again.name, again.read_to, ids_of(store, again)) == (held.name, 4, [2, 3, 4])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": "mdl_log"}, 'relation "mdl_log" does not exist; check table, query'),
        ({"time_column": "whenever"}, "whenever.* check table, query"),
        ({"query": "select id, timecreated, component::int from mdl_logstore_standard_log"}, "SQLSTATE 22P02; check"),
        ({"query": "select id, timecreated, nextval('mdl_seq') from mdl_logstore_standard_log"}, "SQLSTATE 25006"),
    ],
    ids=["table", "column", "value", "writes"],
)
def test_what_the_replica_refuses_is_told_without_a_value(
    warehouse: Connection, log: Log, store: str, changes: dict[str, str], said: str
) -> None:
    log.connection.execute("create sequence if not exists mdl_seq")
    log.write(2, 3, component="secret")
    log.write(3, 24.3)
    with pytest.raises(AccessError, match=said) as raised:
        land(warehouse, source_of(**changes), store, at(30))
    assert "secret" not in str(raised.value)


def test_a_statement_that_takes_too_long_is_given_up(warehouse: Connection, log: Log, store: str) -> None:
    log.write(2, 3)
    log.write(3, 24.3)
    slow = "select id, timecreated, pg_sleep(1) from mdl_logstore_standard_log"
    with pytest.raises(TransportError, match="SQLSTATE 57014"):
        land(warehouse, source_of(query=slow, timeout_s=0.1), store, at(30))


def test_a_door_that_is_closed_and_one_that_is_not_there(
    warehouse: Connection, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_at(url: str) -> None:
        monkeypatch.setenv("CAMPUS_MOODLE_DATABASE_URL", url)
        look(warehouse, source_of(), at(30))

    password = str(urlsplit(log.url).password)
    with pytest.raises(
        AccessError, match=r"refuses us; check user, password .*\$\{CAMPUS_MOODLE_DATABASE_URL\}"
    ) as raised:
        look_at(log.url.replace(password, "wrong-secret"))
    assert "wrong-secret" not in str(raised.value)
    with pytest.raises(AccessError, match="refuses us"):
        look_at(with_database(log.url, "no_such_moodle"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"postgresql://u:p@127.0.0.1:{closed.getsockname()[1]}/moodle"
    with pytest.raises(TransportError, match="cannot be reached"):
        look_at(nowhere)
    with pytest.raises(ConfigurationError, match="must read postgresql://"):
        look_at("mysql://u:secret@127.0.0.1/moodle")


@pytest.fixture
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a Postgres and of a hot standby that streams from it."""
    folder = tmp_path_factory.mktemp("primary")
    unsafe = {"fsync": "off", "shared_buffers": "16MB", "wal_level": "replica"}
    with running(folder / "one", unsafe) as primary:
        two = folder / "two"
        two.mkdir()
        # As the launcher leaves a cluster that it made.
        backup = [str(find_binaries() / "pg_basebackup"), "-D", str(two / "data"), "-R", "-c", "fast", "-d"]
        subprocess.run([*backup, f"{primary}/postgres"], check=True, capture_output=True)
        shutil.copy(folder / "one" / "password", two / "password")
        (two / "initialised").touch()
        if os.geteuid() == 0:
            owner = (folder / "one" / "data").stat()
            for path in [two / "data", *(two / "data").rglob("*")]:
                os.chown(path, owner.st_uid, owner.st_gid)
        with running(two, unsafe | {"hot_standby": "on"}) as url:
            yield primary, url


def test_a_standby_covers_what_it_has_replayed(
    warehouse: Connection, standby: tuple[str, str], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, replica = standby
    log = Log(ensure_database(primary, "moodle"))
    yesterday = datetime.now(LONDON).date() - timedelta(days=1)
    monkeypatch.setenv("CAMPUS_MOODLE_DATABASE_URL", with_database(replica, "moodle"))
    monkeypatch.setenv("CAMPUS_ADOPTED", str(yesterday))
    for number, day in [(1, yesterday - timedelta(days=1)), (2, yesterday)]:
        log.write(number, 0, timecreated=int(datetime.combine(day, time(12), LONDON).timestamp()))
    sent = log.connection.execute("select pg_current_wal_lsn()").fetchone()
    with connect(with_database(replica, "postgres"), autocommit=True) as there:
        while there.execute("select pg_last_wal_replay_lsn() < %s::pg_lsn", sent).fetchone() == (True,):
            sleep(0.02)
    log.connection.close()
    now = datetime.now(UTC)
    (delivery,) = land(warehouse, source_of(lag="PT0S"), store, now).landed
    # Nothing happened since noon, and the standby knows it.
    assert (delivery.first_day, delivery.last_day, ids_of(store, delivery)) == (yesterday, yesterday, [2])
    assert look(warehouse, source_of(lag="PT0S"), now + timedelta(days=3)) == [], "what it did not replay, it may lack"
