"""Reports that an API makes in its own time, by real HTTP: each is landed as it came, or named and ordered anew."""

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from campus.servers import http_server
from engage import configuration
from engage.connectors import AccessError, TransportError
from engage.landing import LandingReport, land
from engage.settings import PROJECT
from engage.sources import Source
from engage.warehouse import Connection
from tests.integration.landing.kit import NOW, make_source

TOKEN = "t0k3n"
REPORT = b"id,user,at\r\n1,ada,2026-10-08T09:00:00Z\r\n"


class Reports:
    """Makes a report of every order at the second asking; `states` and `signed` are what goes wrong, by day."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.asked: list[str] = []
        self.states: dict[str, str] = {}
        self.signed: dict[str, Response] = {}
        self.with_token = 0
        self.times: list[float] = []
        self.url = ""

    def application(self) -> Starlette:
        async def order(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({}, 401)
            self.times.append(time.monotonic())
            self.orders.append((await request.json())["startDate"][:10])
            return JSONResponse({"id": f"job-{len(self.orders)}"}, 202)

        async def state(request: Request) -> Response:
            self.times.append(time.monotonic())
            job = request.path_params["job"]
            day = self.orders[int(job[4:]) - 1]
            self.asked.append(job)
            said = self.states.get(day) or ("Pending" if self.asked.count(job) == 1 else "Available")
            return JSONResponse({"status": said, "details": {"url": f"{self.url}/signed/{day}?signature=secret"}})

        async def signed(request: Request) -> Response:
            self.with_token += "authorization" in request.headers
            return self.signed.get(request.path_params["day"]) or Response(REPORT)

        return Starlette(
            routes=[
                Route("/reports", order, methods=["POST"]),
                Route("/requests/{job}", state),
                Route("/signed/{day}", signed),
            ]
        )


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    monkeypatch.setenv("TEST_API_TOKEN", TOKEN)
    running = Reports()
    with http_server(running.application()) as running.url:
        yield running


def source_of(reports: Reports, **changes: Any) -> Source:
    transport = {
        "kind": "report_job",
        "base_url": reports.url,
        "token": "${TEST_API_TOKEN}",
        "order": "/reports",
        "body": {"startDate": "{from}", "endDate": "{to}"},
        "state": "/requests/{job}",
        "made": ["Available"],
        "failed": ["Failed"],
        "result_key": "details.url",
        "poll_every_s": 0.02,
        "give_up_after_s": 5,
        "max_attempts": 1,
        "start": "2026-10-08",
        **changes,
    }
    columns = {
        "event_id": {"name": "id"},
        "student_ref": {"name": "user"},
        "occurred_at": {"name": "at", "formats": ["iso8601"]},
    }
    return make_source(transport, relation="append", columns=columns)


def landed_days(report: LandingReport) -> list[str]:
    return [str(delivery.first_day) for delivery in report.landed]


def test_reports_are_waited_for_and_landed_as_they_came(warehouse: Connection, reports: Reports, store: str) -> None:
    landed = land(warehouse, source_of(reports), store, NOW).landed
    assert [str(delivery.first_day) for delivery in landed] == ["2026-10-08", "2026-10-09"]
    assert reports.orders == ["2026-10-07", "2026-10-08"]  # a day begins at 23:00 UTC
    for delivery in landed:
        assert gzip.decompress((Path(store) / delivery.landed_path).read_bytes()) == REPORT
    assert {reports.asked.count(job) for job in reports.asked} == {2}
    assert reports.with_token == 0
    assert land(warehouse, source_of(reports), store, NOW).landed == []


def test_a_day_is_the_institution_s_whatever_the_zone_of_the_report(
    warehouse: Connection, reports: Reports, store: str
) -> None:
    source = source_of(reports)
    source = source.model_copy(update={"format": source.format.model_copy(update={"time_zone": "UTC"})})
    configuration.sync(warehouse, PROJECT / "config", {}, NOW)
    landed = land(warehouse, source, store, NOW).landed
    assert [(d.first_day, d.window_end) for d in landed] == [
        (date(2026, 10, day), datetime(2026, 10, day, 23, tzinfo=UTC)) for day in (8, 9)
    ]


@pytest.mark.parametrize("fault", ["Failed", "Pending"])
def test_a_report_that_fails_or_is_never_made_does_not_stop_the_next_and_is_ordered_anew(
    warehouse: Connection, reports: Reports, store: str, fault: str
) -> None:
    reports.states = {"2026-10-07": fault}
    with pytest.raises(TransportError, match=r"/reports: the report (failed|is not made)"):
        land(warehouse, source_of(reports, give_up_after_s=0.3), store, NOW)
    assert warehouse.execute("select first_day::text from ops.delivery").fetchall() == [("2026-10-09",)]
    reports.states = {}
    assert landed_days(land(warehouse, source_of(reports), store, NOW)) == ["2026-10-08"]


def test_an_expired_address_lands_nothing_and_is_not_told(warehouse: Connection, reports: Reports, store: str) -> None:
    reports.signed = {"2026-10-07": Response("<Error>Request has expired</Error>", 403)}
    with pytest.raises(TransportError, match="HTTP 403 for the report") as told:
        land(warehouse, source_of(reports), store, NOW)
    assert "signature" not in str(told.value)
    assert warehouse.execute("select first_day::text from ops.delivery").fetchall() == [("2026-10-09",)]


def test_a_refused_token_is_told_once(
    warehouse: Connection, reports: Reports, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_API_TOKEN", "old")
    with pytest.raises(AccessError, match="TEST_API_TOKEN"):
        land(warehouse, source_of(reports), store, NOW)
    assert reports.orders == []


def test_an_api_is_never_asked_more_often_in_a_minute_than_it_allows(
    warehouse: Connection, reports: Reports, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage.connectors.http_client._MINUTE_S", 0.3)
    land(warehouse, source_of(reports, calls_per_minute=3), store, NOW)
    waits = [later - earlier for earlier, later in zip(reports.times, reports.times[3:], strict=False)]
    # Two orders, then two jobs asked about twice; the clock of the server is not that of the caller.
    assert len(reports.times) == 6 and min(waits) > 0.25
