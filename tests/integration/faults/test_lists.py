"""What HTTP APIs do to their readers where it shows only at the end: from a real HTTP server to the published rows.

Faults of single answers are in landing/test_landing_rest.py and landing/test_landing_rest_rules.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from engage.connectors import AccessError
from engage.landing import land
from engage.sources import Source
from tests.integration.gate.kit import EVENTS, Gate
from tests.integration.landing.kit import Api

MORNING = datetime(2026, 10, 9, 6, tzinfo=UTC)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with Api() as running:
        monkeypatch.setenv("TEST_API_TOKEN", running.token)
        yield running


def item(number: int) -> dict[str, Any]:
    return {"id": number, "at": f"2026-10-08T10:{number:02}:00Z", "user": {"username": "ab1"}}


def source_on(gate: Gate, api: Api) -> Source:
    gate.know("ab1", kind="username")
    transport = api.source().transport.model_dump(exclude_unset=True) | {"overlap": "PT24H"}
    columns = EVENTS["columns"] | {"occurred_at": {"name": "at", "formats": ["iso8601"]}}
    return gate.source(EVENTS | {"transport": transport, "columns": columns})


def arrive(gate: Gate, source: Source, now: datetime) -> None:
    land(gate.connection, source, str(gate.store), now)
    assert {outcome.state for outcome in gate.process(source)} <= {"published"}


def published(gate: Gate) -> list[int]:
    return [int(event) for (event,) in gate.execute("select event_id from raw.activity order by event_id::integer")]


def test_a_list_that_grows_while_it_is_read_ends_with_each_event_once(gate: Gate, api: Api) -> None:
    """Newest first, as Canvas lists: what comes moves the last of one page to the next, and is itself not seen yet."""
    source = source_on(gate, api)
    api.items = [item(number) for number in reversed(range(7))]

    def grow(handler: BaseHTTPRequestHandler) -> None:
        api.items.insert(0, item(7))
        api.answer(handler)

    api.faults = [api.answer, grow]
    arrive(gate, source, MORNING)
    assert gate.execute("select rows_read, rows_dropped from ops.batch") == [(8, 1)]
    assert published(gate) == list(range(7))
    # The next window overlaps this one by as much as its source declares.
    arrive(gate, source, MORNING + timedelta(days=1))
    assert published(gate) == list(range(8))


def test_a_token_that_expires_between_two_pages_leaves_no_gap_and_no_double(gate: Gate, api: Api) -> None:
    source, right = source_on(gate, api), api.token
    api.items = [item(number) for number in range(7)]

    def expire(handler: BaseHTTPRequestHandler) -> None:
        api.token = "another"
        api.answer(handler)

    api.faults = [expire]
    with pytest.raises(AccessError, match=r"HTTP 401; renew or re-authorise the token \$\{TEST_API_TOKEN\}"):
        land(gate.connection, source, str(gate.store), MORNING)
    assert gate.process(source) == [], "what came before the refusal is no delivery"
    api.token = right
    arrive(gate, source, MORNING)
    assert published(gate) == list(range(7))
    assert gate.execute("select is_complete from ops.coverage") == [(True,)]
