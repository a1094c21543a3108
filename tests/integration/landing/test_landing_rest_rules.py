"""What a source declares of its API, against one that behaves so: rights, pace, errors inside, lists of lists, moving
lists, full lists, overlapping windows. Nothing lost, nothing doubled, and a message to act on."""

import gzip
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from engage.connectors import AccessError, TransportError
from engage.landing import Delivery, land, look, open_delivery
from engage.sources import Source
from engage.warehouse import Connection
from tests.integration.landing.kit import NOW, make_source, say

Handler = BaseHTTPRequestHandler
Query = dict[str, str]


class Vendor:
    """Answers as its routes say; keeps what it was asked."""

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[Handler, Query], None]] = {}
        self.asked: list[tuple[str, Query]] = []
        self.times: list[float] = []
        self.faults: list[Callable[[Handler, Query], None]] = []
        """Each is the answer to one call of a list, before real ones are given."""
        vendor = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                split = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(split.query).items()}
                vendor.asked.append((split.path, query))
                vendor.times.append(time.monotonic())
                answer = vendor.faults.pop(0) if vendor.faults and split.path != "/token" else None
                (answer or vendor.routes.get(split.path) or nothing)(self, query)

            def do_POST(self) -> None:
                self.form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def source(self, relation: str = "append", **changes: Any) -> Source:
        rest = {
            "kind": "rest",
            "base_url": self.url,
            "path": "/views",
            "paging": {"style": "whole"},
            "timeout_s": 0.5,
            "max_attempts": 3,
            "start": "2026-10-08",
            **({} if "oauth2" in changes else {"token": "${TEST_API_TOKEN}"}),
            **changes,
        }
        fields = {"event_id": "id", "student_ref": "user", "occurred_at": "at"}
        of_record: dict[str, Any] = {}
        if relation == "snapshot":
            fields = {"case_id": "id", "student_id": "user", "status": "status", "opened_at": "at"}
            of_record = {"record": "cases", "category": None}
        columns = {f: {"name": n, "formats": ["iso8601"] if n == "at" else []} for f, n in fields.items()}
        return make_source(rest, format={"kind": "jsonl"}, relation=relation, columns=columns, **of_record)

    def calls(self, path: str) -> list[Query]:
        return [query for asked, query in self.asked if asked == path]


def nothing(handler: Handler, query: Query) -> None:
    say(handler, 404, b"{}")


def gives(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Callable[[Handler, Query], None]:
    return lambda handler, query: say(handler, status, json.dumps(body).encode(), headers)


@pytest.fixture(scope="module")
def running() -> Iterator[Vendor]:
    vendor = Vendor()
    thread = threading.Thread(target=vendor.server.serve_forever, args=(0.01,))
    thread.start()
    yield vendor
    vendor.server.shutdown()
    thread.join()
    vendor.server.server_close()


@pytest.fixture
def vendor(running: Vendor, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    for kept in (running.routes, running.asked, running.times, running.faults):
        kept.clear()
    monkeypatch.setenv("TEST_API_TOKEN", "s3cret")
    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
    return running


def items_of(store: str, *deliveries: Delivery) -> list[dict[str, Any]]:
    lines: list[str] = []
    for delivery in deliveries:
        with open_delivery(store, delivery.landed_path) as file:
            lines += gzip.decompress(file.read()).decode().splitlines()
    return [json.loads(line) for line in lines]


ITEMS = [{"id": n, "user": "u", "at": f"2026-10-08T10:{n:02}:00Z"} for n in range(7)]


class Tokens:
    """Hands out tokens, and knows which are good."""

    def __init__(self, vendor: Vendor, lives_s: int = 3600) -> None:
        self.given: list[str] = []
        self.good: set[str] = set()
        self.clients: list[tuple[str, str | None]] = []

        def give(handler: Any, query: Query) -> None:
            self.clients.append((handler.form, handler.headers["Authorization"]))
            self.given.append(f"t{len(self.given)}")
            self.good.add(self.given[-1])
            say(handler, 200, json.dumps({"access_token": self.given[-1], "expires_in": lives_s}).encode())

        def views(handler: Handler, query: Query) -> None:
            if handler.headers["Authorization"].removeprefix("Bearer ") not in self.good:
                return say(handler, 401, b"{}")
            return gives(ITEMS)(handler, query)

        vendor.routes |= {"/token": give, "/views": views}


OAUTH2 = {"token_url": "/token", "client_id": "us", "client_secret": "${TEST_API_TOKEN}", "scope": "read"}


def test_a_client_s_token_is_kept_and_one_that_is_taken_away_is_fetched_anew(
    warehouse: Connection, vendor: Vendor, store: str
) -> None:
    tokens = Tokens(vendor)

    def take_away(handler: Handler, query: Query) -> None:
        tokens.good.clear()
        vendor.routes["/views"](handler, query)

    vendor.faults = [vendor.routes["/views"], take_away]
    first, second = land(warehouse, vendor.source(oauth2=OAUTH2), store, NOW).landed
    assert items_of(store, first) == items_of(store, second) == ITEMS
    assert tokens.given == ["t0", "t1"] and len(vendor.calls("/views")) == 3
    form = "grant_type=client_credentials&scope=read"
    assert tokens.clients[0] == (f"{form}&client_id=us&client_secret=s3cret", None)
    later = NOW + timedelta(days=1)
    land(warehouse, vendor.source(oauth2={**OAUTH2, "sent_in": "header"}), store, later)
    assert tokens.clients[2] == (form, "Basic " + b64encode(b"us:s3cret").decode())


def test_a_token_is_renewed_before_it_ends(warehouse: Connection, vendor: Vendor, store: str) -> None:
    tokens = Tokens(vendor, lives_s=0)
    assert len(land(warehouse, vendor.source(oauth2=OAUTH2), store, NOW).landed) == 2
    assert tokens.given == ["t0", "t1"] and len(vendor.calls("/views")) == 2, "no call was refused"


@pytest.mark.parametrize(
    ("path", "answer", "error", "message", "calls"),
    [
        ("/token", gives({}, 400), AccessError, r"renew the client secret \$\{TEST_API_TOKEN\}", 1),
        ("/token", gives({}, 503, {"Retry-After": "0"}), TransportError, "HTTP 503 instead of a token", 3 + 1),
        ("/token", gives(["no token"]), TransportError, "holds no token", 3 + 1),
        ("/views", gives({}, 401), AccessError, r"HTTP 401; renew .*\$\{TEST_API_TOKEN\}", 1),
    ],
    ids=["client refused", "server down", "nonsense", "token refused"],
)
def test_no_token_no_data_and_a_word_what_to_do(
    warehouse: Connection, vendor: Vendor, store: str, path: str, answer: Any, error: Any, message: str, calls: int
) -> None:
    Tokens(vendor)
    vendor.routes[path] = answer
    with pytest.raises(error, match=message) as raised:
        land(warehouse, vendor.source(oauth2=OAUTH2), store, NOW)
    assert "s3cret" not in str(raised.value) and len(vendor.calls(path)) == calls
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (0,)


def test_a_token_in_a_header_of_another_name(warehouse: Connection, vendor: Vendor, store: str) -> None:
    vendor.routes["/views"] = lambda handler, query: gives(
        [], 200 if (handler.headers["X-Api-Key"], handler.headers["Authorization"]) == ("s3cret", None) else 401
    )(handler, query)
    assert len(land(warehouse, vendor.source(token_header="X-Api-Key"), store, NOW).landed) == 2


def test_a_quota_that_is_nearly_used_up_is_spared(warehouse: Connection, vendor: Vendor, store: str) -> None:
    vendor.faults = [gives([], 200, {"x-rate-limit-remaining": left}) for left in ("100", "99.5")]
    vendor.routes["/views"] = gives([])
    quota = {"header": "X-Rate-Limit-Remaining", "low": 100, "wait_s": 0.3}
    assert len(land(warehouse, vendor.source(quota=quota), store, NOW + timedelta(days=1)).landed) == 3
    assert vendor.times[1] - vendor.times[0] < 0.3 <= vendor.times[2] - vendor.times[1]


def test_an_error_inside_a_good_answer_is_never_data(warehouse: Connection, vendor: Vendor, store: str) -> None:
    inside = {"key": "fault", "code": "fault.code", "transient": ["busy"]}
    source = vendor.source(items_key="items", error_inside=inside)

    def fault(code: str) -> Callable[[Handler, Query], None]:
        return gives({"items": ITEMS[:1], "fault": {"code": code, "message": "student Ann Lee is locked"}})

    vendor.routes["/views"] = gives({"items": ITEMS, "fault": None})
    vendor.faults = [fault("busy"), fault("busy")]
    (delivery,) = land(warehouse, source, store, NOW, limit=1).landed
    assert items_of(store, delivery) == ITEMS
    vendor.faults = [fault("no_such_report")]
    with pytest.raises(AccessError, match=r"HTTP 200 with an error inside \(no_such_report\); look it up") as raised:
        land(warehouse, source, store, NOW)
    assert "Ann" not in str(raised.value)
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (1,)


@pytest.mark.parametrize("paging", ["bookmark", "pages from 0"])
def test_bookmarks_and_pages_from_0(warehouse: Connection, vendor: Vendor, store: str, paging: str) -> None:
    def bookmarked(handler: Handler, query: Query) -> None:
        at = int(query.get("cursor", "k0")[1:])
        following = {"next": {"cursor": f"k{at + 3}"}} if at + 3 < len(ITEMS) else {}
        gives({"items": ITEMS[at : at + 3], **following})(handler, query)

    def numbered(handler: Handler, query: Query) -> None:
        page = int(query["page"])
        gives({"items": ITEMS[3 * page : 3 * page + 3]})(handler, query)

    vendor.routes["/views"] = bookmarked if paging == "bookmark" else numbered
    declared = {
        "bookmark": {"style": "bookmark", "page_parameter": "cursor", "next_key": "next.cursor"},
        "pages from 0": {"style": "page_number", "first_page": 0, "size_parameter": "n", "size": 3},
    }
    source = vendor.source(items_key="items", paging=declared[paging])
    (delivery,) = land(warehouse, source, store, NOW, limit=1).landed
    assert items_of(store, delivery) == ITEMS


def newest_first(items: list[dict[str, Any]], before: Callable[[int], None]) -> Callable[[Handler, Query], None]:
    calls = [0]

    def answer(handler: Handler, query: Query) -> None:
        calls[0] += 1
        before(calls[0])
        page = int(query["page"]) - 1
        gives(items[::-1][3 * page : 3 * page + 3])(handler, query)

    return answer


@pytest.mark.parametrize("at_call", [2, 3], ids=["one comes", "one goes"])
def test_a_list_that_moves_under_counted_pages_is_read_again_until_it_stands_still(
    warehouse: Connection, vendor: Vendor, store: str, at_call: int
) -> None:
    items = list(ITEMS)

    def move(call: int) -> None:
        # Seen from the first page on one item would be there twice, or one behind the second page be passed over.
        if call == at_call == 2:
            items.append({"id": 9, "user": "u", "at": "2026-10-08T11:00:00Z"})
        if call == at_call == 3:
            del items[-4]

    vendor.routes["/views"] = newest_first(items, move)
    (delivery,) = land(warehouse, vendor.source(paging={"style": "page_number"}), store, NOW, limit=1).landed
    assert items_of(store, delivery) == items[::-1]


def test_a_list_that_never_stands_still_is_not_landed(warehouse: Connection, vendor: Vendor, store: str) -> None:
    items = list(ITEMS)
    # Every fourth call is the last of a reading.
    vendor.routes["/views"] = newest_first(
        items, lambda call: items.append(dict(ITEMS[0], id=call)) if call % 4 == 0 else None
    )
    with pytest.raises(TransportError, match="/views: the list changed while it was read"):
        land(warehouse, vendor.source(paging={"style": "page_number"}), store, NOW, limit=1)
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (0,)


EACH = {
    "name": "user",
    "path": "/users",
    "paging": {"style": "whole"},
    "keep": {"login": "names.login"},
    "skip_status": [404],
}


def test_a_list_for_each_of_a_list_with_what_the_first_one_knows(
    warehouse: Connection, vendor: Vendor, store: str
) -> None:
    users = [{"id": n, "names": {"login": f"u{n}"}} for n in ("a/b", "gone", "c")]
    vendor.routes |= {
        "/users": gives([*users, users[0]]),
        "/users/a%2Fb/views": gives([{"id": 1, "attempt": 1}, {"id": 1, "attempt": 2}]),
        "/users/c/views": gives([{"id": 3, "attempt": 1}]),
    }
    source = vendor.source(each=[EACH], path="/users/{user}/views", id_of=["id", "attempt"])
    (delivery,) = land(warehouse, source, store, NOW, limit=1).landed
    assert [(i["item_id"], i["each"]["user"]["login"]) for i in items_of(store, delivery)] == [
        ("1/1", "ua/b"),
        ("1/2", "ua/b"),
        ("3/1", "uc"),
    ]
    bounds = {"from": "2026-10-07T23:00:00Z", "to": "2026-10-08T23:00:00Z"}
    assert vendor.calls("/users/c/views") == [bounds] and vendor.calls("/users") == [{}]
    del vendor.routes["/users/a%2Fb/views"], vendor.routes["/users/c/views"]
    with pytest.raises(AccessError, match=r"/users/\{user\}/views: HTTP 404; check .*\(for every user\)"):
        land(warehouse, source, store, NOW)


def test_one_that_is_gone_in_the_middle_of_the_lists_is_passed_over(
    warehouse: Connection, vendor: Vendor, store: str
) -> None:
    vendor.routes |= {
        "/users": gives([{"id": "gone"}, {"id": "b"}]),
        "/users/b/meetings": gives([{"id": 1}]),
        "/meetings/1/views": gives([{"id": 7}]),
    }
    meetings = {"name": "meeting", "path": "/users/{user}/meetings", "paging": {"style": "whole"}}
    source = vendor.source(each=[{**EACH, "keep": {}}, meetings], path="/meetings/{meeting}/views")
    (delivery,) = land(warehouse, source, store, NOW, limit=1).landed
    assert [item["id"] for item in items_of(store, delivery)] == [7]
    del vendor.routes["/users/b/meetings"]
    with pytest.raises(AccessError, match=r"/users/\{user\}/meetings: HTTP 404; check .*\(for every user\)"):
        land(warehouse, source, store, NOW, limit=1)


def test_bounds_of_a_window_inside_a_parameter(warehouse: Connection, vendor: Vendor, store: str) -> None:
    vendor.routes["/views"] = gives([])
    parameters = {"$filter": "at ge {from} and at lt {to}"}
    land(warehouse, vendor.source(window_from=None, window_to=None, parameters=parameters), store, NOW, limit=1)
    assert vendor.asked[0][1] == {"$filter": "at ge 2026-10-07T23:00:00Z and at lt 2026-10-08T23:00:00Z"}


def test_a_key_that_is_missing_is_no_zero(warehouse: Connection, vendor: Vendor, store: str) -> None:
    source = vendor.source(required_keys=["user", "at"])
    vendor.faults = [gives([*ITEMS, {"id": 8, "user": None, "at": "2026-10-08T10:00:00Z"}])]
    vendor.routes["/views"] = gives([*ITEMS, {"id": 8, "at": "2026-10-08T10:00:00Z"}])
    with pytest.raises(AccessError, match="/views: 1 of 8 items have no key user; nothing is taken from it"):
        land(warehouse, source, store, NOW)
    assert warehouse.execute("select first_day from ops.delivery").fetchall() == [(date(2026, 10, 8),)]


def test_windows_that_overlap_are_asked_for_earlier_and_cover_their_own_days(
    warehouse: Connection, vendor: Vendor, store: str
) -> None:
    vendor.routes["/views"] = gives([])
    first, second = land(warehouse, vendor.source(overlap="PT90M"), store, NOW).landed
    assert [query["from"] for query in vendor.calls("/views")] == ["2026-10-07T21:30:00Z", "2026-10-08T21:30:00Z"]
    assert (second.window_start, second.first_day, second.last_day) == (
        first.window_end,
        date(2026, 10, 9),
        date(2026, 10, 9),
    )


def test_a_full_list_is_landed_once_a_day_as_of_that_day(warehouse: Connection, vendor: Vendor, store: str) -> None:
    vendor.routes["/views"] = gives(ITEMS)
    source = vendor.source("snapshot", start="2026-10-10")
    assert look(warehouse, source, NOW - timedelta(days=1)) == [], "before its first day"
    (delivery,) = land(warehouse, source, store, NOW).landed
    assert (delivery.first_day, delivery.last_day, delivery.window_start) == (date(2026, 10, 10),) * 2 + (None,)
    assert items_of(store, delivery) == ITEMS and vendor.asked == [("/views", {})]
    assert delivery.landed_path.endswith(".jsonl.gz")
    assert look(warehouse, source, NOW + timedelta(hours=22)) == []
    (again,) = land(warehouse, source, store, NOW + timedelta(days=2)).landed
    assert again.first_day == date(2026, 10, 12), "equal lists of two days are two"


def hang(handler: Handler, query: Query) -> None:
    time.sleep(0.8)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [(gives({}, 403), AccessError, "it has no right to this"), (hang, TransportError, "ReadTimeout")],
    ids=["forbidden", "hangs"],
)
def test_windows_that_are_never_given_do_not_stop_those_after_them(
    warehouse: Connection, vendor: Vendor, store: str, fault: Any, error: Any, message: str
) -> None:
    never = {"2026-10-07T23:00:00Z", "2026-10-08T23:00:00Z"}
    vendor.routes["/views"] = lambda handler, query: (fault if query["from"] in never else gives(ITEMS))(handler, query)
    source, later = vendor.source(max_attempts=2), NOW + timedelta(days=3)
    with pytest.raises(error, match=rf"{message}.* \(2 of the windows: 2026-10-07T23:00Z/.*, 2026-10-08T23:00Z/"):
        land(warehouse, source, store, later)
    days = warehouse.execute("select first_day from ops.delivery order by 1").fetchall()
    assert days == [(date(2026, 10, day),) for day in (10, 11, 12)]
    never.clear()
    assert len(land(warehouse, source, store, later).landed) == 2


@pytest.mark.parametrize(
    ("relation", "changes", "message"),
    [
        ("append", {"token": "${A}", "oauth2": OAUTH2}, "needs either token or oauth2"),
        ("replace_days", {"overlap": "PT1H"}, "transport.overlap: only with relation: append"),
    ],
)
def test_what_cannot_be_meant_is_refused(vendor: Vendor, relation: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        vendor.source(relation, **changes)
