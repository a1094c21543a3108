"""An HTTP API that makes a report in its own time: ordered for a window, asked about until it is made, then fetched.

The report is kept as it came, gzipped. How one call is made is `http_client.py`, which windows there are `windows.py`.
"""

import gzip
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.http_client import Client, dig
from engage.connectors.http_errors import AgainError, DownError, RefusedError
from engage.connectors.windows import windows_to_ask
from engage.sources import Source
from engage.transports import ReportJob
from engage.warehouse import Connection

AT_ONCE = 8
"""Reports being made at one time."""
_JOB = re.compile(r"[\w.:-]{1,200}")
_BLOCK_BYTES = 2**20

Fault = AccessError | TransportError


class ReportJobConnector:
    """One report of one API."""

    def __init__(self, source: Source, transport: ReportJob) -> None:
        self._source = source
        self._transport = transport
        self._zone = ZoneInfo(source.format.time_zone)

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector."""
        at = self._source.delivered_at
        over = now.astimezone(self._zone) - timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
        return windows_to_ask(connection, self._source, self._transport, over, now)

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. A report that fails or takes too long is told after the others were yielded, and ordered
        anew at the next look."""
        failed: dict[str, Fault] = {}
        with Client(self._transport) as client:
            for start in range(0, len(remotes), AT_ONCE):
                paths = {into / str(start + n): remote for n, remote in enumerate(remotes[start : start + AT_ONCE])}
                for path, remote, fault in self._some(client, paths):
                    if fault is None:
                        yield remote, path
                    else:
                        failed[remote.name] = fault
                if any(isinstance(fault, DownError | RefusedError) for fault in failed.values()):
                    break
        if failed:
            is_permanent = any(isinstance(fault, AccessError) for fault in failed.values())
            said = "; ".join(f"{fault} ({name})" for name, fault in list(failed.items())[:AT_ONCE])
            raise (AccessError if is_permanent else TransportError)(said)

    def _some(self, client: Client, paths: dict[Path, Remote]) -> Iterator[tuple[Path, Remote, Fault | None]]:
        """Order all of them, then yield each once it is fetched or has failed."""
        jobs: dict[Path, str] = {}
        for path, remote in paths.items():
            try:
                jobs[path] = self._order(client, remote)
            except (AccessError, TransportError) as error:
                yield path, remote, error
                if isinstance(error, DownError | RefusedError):
                    break
        until = time.monotonic() + self._transport.give_up_after_s
        while jobs:
            for path, job in list(jobs.items()):
                fault: Fault | None = None
                try:
                    if (address := self._made(client, job)) is None:
                        if time.monotonic() < until:
                            continue
                        said = f"is not made after {self._transport.give_up_after_s:g} s; it is ordered anew later"
                        raise AgainError(f"{self._transport.order}: the report {said}")
                    self._fetch(address, path)
                except (AccessError, TransportError) as error:
                    fault = error
                del jobs[path]
                yield path, paths[path], fault
            if jobs:
                time.sleep(self._transport.poll_every_s)

    def _order(self, client: Client, remote: Remote) -> str:
        if remote.window_start is None or remote.window_end is None:
            raise AccessError(f"{remote.shown}: a report needs a window")
        bounds = {"from": f"{remote.window_start:%Y-%m-%dT%H:%M:%SZ}", "to": f"{remote.window_end:%Y-%m-%dT%H:%M:%SZ}"}
        body = {key: value.format_map(bounds) for key, value in self._transport.body.items()}

        def named(response: httpx.Response) -> str:
            job = str(dig(client.json(response), self._transport.job_key) or "")
            if not _JOB.fullmatch(job):
                raise AgainError(f"{self._transport.order}: the answer names no job at {self._transport.job_key}")
            return job

        return client.ask(client.url(self._transport.order), named, method="POST", json=body)

    def _made(self, client: Client, job: str) -> httpx.URL | None:
        """Return where the report lies; None: it is not made yet. Raises AgainError when it never will be."""
        transport = self._transport
        url = client.url(transport.state.replace("{job}", quote(job, safe="")))
        body = client.ask(url, client.json, transport.state)
        state = str(dig(body, transport.state_key))
        if state in transport.failed:
            raise AgainError(f"{transport.order}: the report failed ({state}); it is ordered anew at the next look")
        if state not in transport.made:
            return None
        try:
            return url.join(str(dig(body, transport.result_key) or ""))
        except httpx.InvalidURL:
            raise AgainError(f"{transport.state}: no address of the report at {transport.result_key}") from None

    def _fetch(self, address: httpx.URL, path: Path) -> None:
        """Write the report, gzipped. Its address is a right of its own: no token is sent, and no message names it."""
        try:
            with httpx.stream("GET", address, timeout=self._transport.timeout_s) as response:
                if response.status_code != 200:
                    raise AgainError(f"{address.host}: HTTP {response.status_code} for the report")
                with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                    for block in response.iter_bytes(_BLOCK_BYTES):
                        file.write(block)
        except httpx.RequestError as error:
            raise AgainError(f"{address.host}: {type(error).__name__} while the report was fetched") from None
