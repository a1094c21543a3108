"""Real servers on loopback that fail on demand, and sources on them."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from engage.landing import LandingReport, land, look
from engage.sources import Source
from engage.warehouse import Connection

NOW = datetime(2026, 10, 10, 6, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)
SourceFactory = Callable[..., Source]


def settle_and_land(connection: Connection, source: Source, store: str) -> LandingReport:
    look(connection, source, NOW)
    return land(connection, source, store, LATER)


@dataclass
class Server:
    """A running SFTP server over `folder`."""

    folder: Path
    port: int
    known_hosts: Path
    client_key: Path
    faults: dict[str, Any] = field(default_factory=dict)
    """on_open(path): called before a file is opened for reading; drop_after: connections break at that many opened
    files; listing_s: seconds before each name."""
    connections: int = 0

    def write(self, name: str | bytes, content: bytes = b"a,b\n1,2\n", at: datetime = NOW) -> Path:
        path = self.folder / os.fsdecode(name)
        path.write_bytes(content)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path


def make_source(transport: dict[str, Any], **changes: Any) -> Source:
    """Return a source as its YAML file would give it."""
    return Source.model_validate(
        {
            "id": "gate",
            "title": "Library gate",
            "system": "gates",
            "description": "Swipes",
            "record": "activity",
            "relation": "replace_days",
            "transport": transport,
            "format": {"kind": "csv"},
            "columns": {"student_ref": {"name": "USERNAME"}, "occurred_at": {"name": "AT", "formats": ["iso8601"]}},
            "category": "library_access",
            "enabled_from": "2026-10-01",
            "owner": {"name": "Owner", "email": "owner@example.ac.uk"},
            "privacy": {"lawful_basis": "public task", "dpia_reference": "D-1", "retention_days": 400},
            **changes,
        }
    )


Fault = Callable[[BaseHTTPRequestHandler], None]


class Api:
    """Items with an `at`, listed between `from` and `to` in pages, as each style of paging has it."""

    def __init__(self) -> None:
        self.token = "t0k3n"
        self.items: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        """Each is the answer to one request, before real answers are given."""
        self.broken: dict[str, Fault] = {}
        """The answer to every request for the window that begins then."""
        self.asked: list[tuple[float, str]] = []
        self.next_host: str | None = None
        self.largest_page = 3
        self.repeats = False
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.asked.append((time.monotonic(), self.path))
                window = parse_qs(urlsplit(self.path).query)["from"][0]
                if window in api.broken:
                    api.broken[window](self)
                elif api.faults:
                    api.faults.pop(0)(self)
                elif self.headers["Authorization"] != f"Bearer {api.token}":
                    say(self, 401, b"{}")
                else:
                    api.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def source(self, style: str = "link_header", **changes: Any) -> Source:
        paging = {"style": style, "size": 5, "page_parameter": "page", **changes.pop("paging", {})}
        rest = {
            "kind": "rest",
            "base_url": f"{self.url}/api/",
            "path": "/views",
            "token": "${TEST_API_TOKEN}",
            "paging": paging,
            "timeout_s": 0.5,
            "max_attempts": 3,
            "slow_down": [{"status": 403, "words": "rate limit exceeded"}],
            "start": "2026-10-08",
            **changes,
        }
        return make_source(rest, format={"kind": "jsonl"})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        split = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        found = [item for item in self.items if query["from"] <= item["at"] < query["to"]]
        if split.path == "/api/numbered":
            start = (int(query["page"]) - 1) * self.largest_page
        else:
            start = int(query.get("page", 0))
        start = 0 if self.repeats else start
        page = found[start : start + min(int(query["per_page"]), self.largest_page)]
        following = None
        if start + len(page) < len(found) or self.repeats:
            host = self.next_host or f"http://{handler.headers['Host']}"
            following = f"{host}{split.path}?{urlencode({**query, 'page': start + len(page)})}"
        body: object = page
        if split.path == "/api/wrapped":
            body = {"data": {"items": page}, **({"@odata.nextLink": following} if following else {})}
        headers = {"lInK": f'<{following}>; rel="next", <{self.url}/api/first>; rel="first"'} if following else {}
        say(handler, 200, json.dumps(body).encode(), headers)


def say(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int = 0
) -> None:
    """Answer; the last `cut` bytes that were promised do not come, and the connection ends."""
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) - cut])
    if cut:
        handler.close_connection = True
