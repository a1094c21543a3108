"""From a paged HTTP API to the ledger: windows of time, and everything such APIs do to their readers."""

import gzip
import json
import socket
import time
from datetime import UTC, date, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tenacity import RetryCallState

from engage.connectors import AccessError, TransportError
from engage.landing import Delivery, land, look, open_delivery
from engage.warehouse import Connection
from tests.integration.landing.kit import NOW, Api, Fault, say


def items_of(store: str, delivery: Delivery) -> list[dict[str, Any]]:
    with open_delivery(store, delivery.landed_path) as file:
        return [json.loads(line) for line in gzip.decompress(file.read()).decode().splitlines()]


def fill(api: Api, count: int, day: str = "2026-10-08") -> list[dict[str, Any]]:
    api.items = [{"id": n, "at": f"{day}T10:{n:02}:00Z", "Name": {"x": None}} for n in range(count)]
    return api.items


def test_windows_are_local_days_each_landed_once_and_empty_ones_too(
    warehouse: Connection, api: Api, store: str
) -> None:
    items = fill(api, 7)
    first, second = land(warehouse, api.source(), store, NOW).landed
    assert (first.window_start, first.window_end) == (
        datetime(2026, 10, 7, 23, tzinfo=UTC),
        datetime(2026, 10, 8, 23, tzinfo=UTC),
    )
    assert (first.first_day, first.last_day, second.first_day) == (
        date(2026, 10, 8),
        date(2026, 10, 8),
        date(2026, 10, 9),
    )
    assert first.name == "2026-10-07T23:00Z/2026-10-08T23:00Z" and first.version_at == NOW
    assert first.landed_path == f"gate/2026-10-08/{first.content_hash}.jsonl.gz"
    assert items_of(store, first) == items and items_of(store, second) == []
    assert land(warehouse, api.source(), store, NOW).landed == []
    assert [r.first_day for r in look(warehouse, api.source(), NOW + timedelta(days=1))] == [date(2026, 10, 10)]


def test_the_same_answer_is_the_same_bytes_and_hash(warehouse: Connection, api: Api, store: str) -> None:
    fill(api, 7)
    stored = []
    for name in ("one", "two"):
        (delivery,) = land(warehouse, api.source(), f"{store}/{name}", NOW, limit=1).landed
        with open_delivery(f"{store}/{name}", delivery.landed_path) as file:
            stored.append((delivery.content_hash, file.read()))
        warehouse.execute("truncate ops.delivery cascade")
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"style": "link_header"},
        {"style": "next_url", "path": "/wrapped", "items_key": "data.items", "paging": {"next_key": "@odata.nextLink"}},
        {"style": "page_number", "path": "/numbered"},
        {"style": "offset"},
    ],
    ids=lambda changes: changes["style"],
)
def test_every_style_of_paging_with_pages_shorter_than_asked_for(
    warehouse: Connection, api: Api, store: str, changes: dict[str, Any]
) -> None:
    items = fill(api, 7)
    (delivery,) = land(warehouse, api.source(**changes), store, NOW, limit=1).landed
    assert items_of(store, delivery) == items
    assert len(api.asked) == (3 if changes["style"] in ("link_header", "next_url") else 2 * 4)


@pytest.mark.parametrize("style", ["link_header", "offset"])
def test_a_page_that_repeats_is_an_error_not_an_endless_list(
    warehouse: Connection, api: Api, store: str, style: str
) -> None:
    fill(api, 2)
    api.repeats = True
    with pytest.raises(AccessError, match="the same page again"):
        land(warehouse, api.source(style), store, NOW)


def test_keys_come_as_received_without_what_postgres_cannot_hold(warehouse: Connection, api: Api, store: str) -> None:
    at = "2026-10-08T10:00:00Z"
    body = r'[{"at": "%s", "a\u0000": ["x\u0000y", {"z": "\\u0000 \ud800 é"}], "n": NaN, "big": 12345678901234567890}]'
    api.faults = [lambda handler: say(handler, 200, (body % at).encode())]
    (delivery,) = land(warehouse, api.source(), store, NOW, limit=1).landed
    expected = {"at": at, "a": ["xy", {"z": "\\u0000 ? é"}], "n": None, "big": 12345678901234567890}
    assert items_of(store, delivery) == [expected]
    assert list(items_of(store, delivery)[0]) == list(expected)


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()
    handler.close_connection = True


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.8)
    reset(handler)


TRANSIENT: dict[str, Fault] = {
    "HTTP 500": lambda handler: say(handler, 500, b"oops"),
    "HTTP 503": lambda handler: say(handler, 503, b"<html>", {"Retry-After": "0"}),
    "HTTP 429": lambda handler: say(handler, 429, b"{}", {"retry-after": "0"}),
    "HTTP 403": lambda handler: say(handler, 403, b"403 Forbidden (Rate Limit Exceeded)", {"Retry-After": "0"}),
    "not .whole. JSON": lambda handler: say(handler, 200, b'[{"id": 1}, {"id"'),
    "is not .*JSON": lambda handler: say(handler, 200, b"<html>Sorry</html>"),
    "no list of items": lambda handler: say(handler, 200, b'{"exception": "dml_read_exception"}'),
    "RemoteProtocolError": lambda handler: say(handler, 200, b'[{"id": 1}]', cut=4),
    "RemoteProtocolError|ReadError": reset,
    "ReadTimeout": hang,
}


@pytest.mark.parametrize("message", TRANSIENT)
def test_a_transient_fault_is_asked_again_and_one_that_stays_lands_nothing(
    warehouse: Connection, api: Api, store: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
    items = fill(api, 7)
    real = api.answer
    second_page_fails = [lambda handler: real(handler), TRANSIENT[message]]
    api.faults = [*second_page_fails]
    (delivery,) = land(warehouse, api.source(), store, NOW, limit=1).landed
    assert items_of(store, delivery) == items
    api.faults = [TRANSIENT[message]] * 3
    with pytest.raises(TransportError, match=message) as raised:
        land(warehouse, api.source(), store, NOW)
    assert "127.0.0.1/api/views" in str(raised.value) and api.token not in str(raised.value)
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (1,)
    assert len(land(warehouse, api.source(), store, NOW).landed) == 1


def test_retry_after_is_waited_for_in_seconds_or_until_a_date(warehouse: Connection, api: Api, store: str) -> None:
    api.faults = [
        lambda handler: say(handler, 429, b"{}", {"Retry-After": "1"}),
        lambda handler: say(handler, 503, b"", {"Retry-After": formatdate(time.time() + 2, usegmt=True)}),
    ]
    land(warehouse, api.source(), store, NOW, limit=1)
    (first, _), (second, _), (third, _) = api.asked
    assert second - first >= 1 and third - second >= 0.9


def test_retry_after_of_an_hour_is_not_waited_out(
    warehouse: Connection, api: Api, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage.connectors.http_client.LONGEST_WAIT_S", 0.1)
    api.faults = [lambda handler: say(handler, 503, b"", {"Retry-After": "3600"})]
    assert len(land(warehouse, api.source(), store, NOW).landed) == 2


@pytest.mark.parametrize(
    ("status", "what_to_do"),
    [
        (401, r"renew .* \$\{TEST_API_TOKEN\}"),
        (403, "re-authorise"),
        (404, "check base_url"),
        (302, "check base_url"),
        (410, "give up"),
    ],
)
def test_a_permanent_refusal_is_not_asked_again_and_says_what_to_do(
    warehouse: Connection, api: Api, store: str, status: int, what_to_do: str
) -> None:
    api.faults = [lambda handler: say(handler, status, b"{}")] * 2
    with pytest.raises(AccessError, match=f"HTTP {status}; .*{what_to_do}"):
        land(warehouse, api.source(), store, NOW)
    assert len(api.asked) == (1 if status == 401 else 2), "a refused token is not tried window after window"


def test_a_token_that_expires_midway_lands_nothing_of_the_window(warehouse: Connection, api: Api, store: str) -> None:
    fill(api, 7, "2026-10-09")
    real = api.answer
    api.faults = [real, real, lambda handler: say(handler, 401, b"{}")]
    with pytest.raises(AccessError):
        land(warehouse, api.source(), store, NOW)
    assert warehouse.execute("select first_day from ops.delivery").fetchall() == [(date(2026, 10, 8),)]


def test_the_token_is_not_sent_to_another_host(warehouse: Connection, api: Api, store: str) -> None:
    fill(api, 7)
    with Api() as other:
        api.next_host = other.url
        with pytest.raises(AccessError, match="the token is not sent there"):
            land(warehouse, api.source(), store, NOW)
        assert other.asked == []


def enter(connection: Connection, delivery: Delivery, state: str) -> None:
    """Enter what the gate made of a delivery."""
    connection.execute(
        "insert into ops.batch (delivery_id, source_id, state, started_at) values (%s, %s, %s, now())",
        [delivery.delivery_id, delivery.source_id, state],
    )
    connection.commit()


def test_a_held_window_is_read_again_once_a_day_until_a_good_answer_comes(
    warehouse: Connection, api: Api, store: str
) -> None:
    source = api.source()
    bad, good = land(warehouse, source, store, NOW).landed
    enter(warehouse, bad, "held")
    enter(warehouse, good, "published")
    assert look(warehouse, source, NOW + timedelta(hours=16)) == []
    tomorrow = NOW + timedelta(days=1)
    wanted = {remote.name: remote for remote in look(warehouse, source, tomorrow)}
    assert wanted.keys() == {bad.name, "2026-10-09T23:00Z/2026-10-10T23:00Z"}
    again = wanted[bad.name]
    assert (again.window_start, again.window_end) == (bad.window_start, bad.window_end)
    assert (again.first_day, again.last_day) == (bad.first_day, bad.last_day)
    later = {remote.name: remote for remote in look(warehouse, source, tomorrow + timedelta(minutes=1))}
    assert later == wanted, "what is asked for in vain stays the same wish"
    report = land(warehouse, source, store, tomorrow)
    assert (len(report.landed), report.duplicates) == (1, 1), "the same answer is the same delivery"
    assert look(warehouse, source, tomorrow + timedelta(hours=16)) == [], "and was asked for"
    fill(api, 3)
    landed = {delivery.name: delivery for delivery in land(warehouse, source, store, NOW + timedelta(days=2)).landed}
    corrected = landed[bad.name]
    assert len(items_of(store, corrected)) == 3 and corrected.version_at == NOW + timedelta(days=2)
    enter(warehouse, corrected, "published")
    warehouse.execute("update ops.batch set state = 'superseded' where state = 'held'")
    assert bad.name not in [remote.name for remote in look(warehouse, source, NOW + timedelta(days=9))]


@pytest.mark.parametrize(
    ("now", "days"),
    [
        ("2026-10-09T04:59+00:00", 0),  # 05:59 in London
        ("2026-10-09T05:00+00:00", 1),
        ("2026-10-26T05:59+00:00", 17),  # the night after the clocks went back
        ("2026-10-26T06:00+00:00", 18),
    ],
)
def test_a_window_is_asked_for_once_its_answer_is_due(warehouse: Connection, api: Api, now: str, days: int) -> None:
    assert len(look(warehouse, api.source(), datetime.fromisoformat(now))) == days


@pytest.mark.parametrize(("status", "error"), [(410, AccessError), (404, AccessError), (500, TransportError)])
def test_a_window_that_fails_for_ever_does_not_keep_the_others(
    warehouse: Connection,
    api: Api,
    store: str,
    status: int,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
    source = api.source()
    held, good = land(warehouse, source, store, NOW).landed
    enter(warehouse, held, "held")
    enter(warehouse, good, "published")
    broken = [held.name, "2026-10-10T23:00Z/2026-10-11T23:00Z"]
    for name in broken:
        api.broken[name.replace("Z/", ":00Z/")[:20]] = lambda handler: say(handler, status, b"{}")
    for day in range(1, 5):
        try:
            land(warehouse, source, store, NOW + timedelta(days=day))
        except error as raised:
            told = str(raised)
    assert all(name in told for name in broken), "what fails is named"
    days = "select extract(day from first_day)::integer from ops.delivery order by first_day"
    assert warehouse.execute(days).fetchall() == [(8,), (9,), (10,), (12,), (13,)]
    wanted = look(warehouse, source, NOW + timedelta(days=5))
    assert [remote.name for remote in wanted] == [broken[1], "2026-10-13T23:00Z/2026-10-14T23:00Z", broken[0]]
    assert (wanted[0].first_day, wanted[0].last_day) == (date(2026, 10, 11), date(2026, 10, 11))
    api.broken.clear()
    report = land(warehouse, source, store, NOW + timedelta(days=5))
    assert (len(report.landed), report.duplicates) == (2, 1)
    assert look(warehouse, source, NOW + timedelta(days=5)) == []


def test_windows_that_are_gone_are_given_up_by_a_later_start(warehouse: Connection, api: Api, store: str) -> None:
    api.broken["2026-10-07T23:00:00Z"] = lambda handler: say(handler, 410, b"{}")
    with pytest.raises(AccessError, match="set start of the source later"):
        land(warehouse, api.source(), store, NOW)
    (gone,) = look(warehouse, api.source(), NOW)
    assert gone.first_day == date(2026, 10, 8)
    assert look(warehouse, api.source(start="2026-10-09"), NOW) == []


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (hang, 3 + 2),
        (lambda handler: say(handler, 503, b"", {"Retry-After": "0"}), 3),
        (lambda handler: say(handler, 429, b"", {"Retry-After": "0"}), 3),
        (lambda handler: say(handler, 500, b""), 3 + 5),
    ],
    ids=["hangs", "503", "429", "500"],
)
def test_a_server_that_is_down_is_not_asked_at_length_for_each_window(
    warehouse: Connection, api: Api, store: str, fault: Fault, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
    api.faults = [fault] * 20
    with pytest.raises(TransportError, match=r"127\.0\.0\.1/api/views: "):
        land(warehouse, api.source(), store, NOW + timedelta(days=4))
    assert len(api.asked) == requests


def test_a_server_that_is_not_there_is_not_asked_for_each_window(
    warehouse: Connection, api: Api, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def wait(state: RetryCallState) -> float:
        attempts.append(state.attempt_number)
        return 0.0

    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", wait)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = api.source(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(TransportError, match="ConnectError"):
        land(warehouse, nowhere, store, NOW)
    assert attempts == [1, 2, 3]
