"""A paged HTTP API, asked for windows of time: one window becomes one gzip file of JSON Lines, or nothing.

Paging, retries and what an answer means belong here; which windows there are is `windows.py`, what the keys mean is
the source's.
"""

import gzip
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.windows import held, landed_until, midnight, missed, whole_windows
from engage.sources import ConfigurationError, Source, resolve
from engage.transports import Rest
from engage.warehouse import Connection

LONGEST_WAIT_S = 120.0
"""However long a Retry-After is: the next look comes anyway."""
_NAMED = 10
"""An error names at most so many windows."""
_BACK_OFF = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)

# At INFO httpx writes every address, and a next link may carry a token of its own.
logging.getLogger("httpx").setLevel(logging.WARNING)

Item = dict[str, Any]
Items = list[Item]
Answer = tuple[httpx.Response, object, Items]


class _AgainError(TransportError):
    """Worth another attempt, after so many seconds if the server named them."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class _AwayError(_AgainError):
    """The server is not to be had now, for this window or any other."""


class _RefusedError(AccessError):
    """The token is refused, for this window and any other."""


class RestConnector:
    """One list of one API."""

    def __init__(self, source: Source, transport: Rest) -> None:
        self._source = source
        self._transport = transport
        self._zone = ZoneInfo(source.format.time_zone)
        try:
            self._url = httpx.URL(resolve(transport.base_url).rstrip("/") + "/" + transport.path.lstrip("/"))
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"{source.id}: transport.base_url: {error}") from error
        self._where = f"{self._url.host}{self._url.path}"
        self._attempts = transport.max_attempts

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector."""
        first = self._first()
        start = landed_until(connection, self._source.id) or first
        at = self._source.delivered_at
        # By the clock on the wall: a window that ends at midnight is due at that time of the day, whatever its length.
        over = now.astimezone(self._zone) - timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
        fresh = whole_windows(start.astimezone(UTC), over, self._transport.window, self._zone)
        old = (*missed(connection, self._source.id, self._zone), *held(connection, self._source.id, now))
        # To move `start` is how to give up, for good, what the API no longer has.
        return [*fresh, *(remote for remote in old if remote.window_start and remote.window_start >= first)]

    def _first(self) -> datetime:
        """Return the beginning of the first day to ask for."""
        first_day = self._transport.start or self._source.enabled_from
        if isinstance(first_day, str):
            first_day = _day(first_day, f"{self._source.id}: transport.start")
        if first_day is None:
            raise ConfigurationError(f"{self._source.id}: transport.start: needed while enabled_from is empty")
        return midnight(first_day, self._zone)

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector. A window that the server does not give is reported after the others were yielded."""
        failed: dict[str, AccessError | TransportError] = {}
        headers = {"Authorization": f"Bearer {resolve(self._transport.token)}", "Accept": "application/json"}
        with httpx.Client(headers=headers, timeout=self._transport.timeout_s) as client:
            for number, remote in enumerate(remotes):
                path = into / str(number)
                try:
                    # No name and no time in the gzip header: the same items are the same bytes.
                    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                        for items in self._pages(client, remote):
                            file.write("".join(map(_line, items)).encode("utf-8", "replace"))
                except (AccessError, TransportError) as error:
                    failed[remote.name] = error
                    if isinstance(error, (_AwayError, _RefusedError)):
                        break
                    # Patience with one window is enough while it may be the server that fails.
                    self._attempts = 1 if isinstance(error, _AgainError) else self._transport.max_attempts
                    continue
                self._attempts = self._transport.max_attempts
                yield remote, path
        if failed:
            raise _summary(failed)

    def _pages(self, client: httpx.Client, remote: Remote) -> Iterator[Items]:
        paging = self._transport.paging
        asked = {
            **{name: resolve(value) for name, value in self._transport.parameters.items()},
            self._transport.window_from: f"{remote.window_start:%Y-%m-%dT%H:%M:%SZ}",
            self._transport.window_to: f"{remote.window_end:%Y-%m-%dT%H:%M:%SZ}",
            paging.size_parameter: str(paging.size),
        }
        is_counted = paging.style in ("page_number", "offset")
        position = 1 if paging.style == "page_number" else 0
        url = self._url.copy_merge_params(asked)
        seen: set[str] = set()
        while True:
            if is_counted:
                url = url.copy_set_param(paging.page_parameter, str(position))
            response, body, items = self._ask(client, url)
            # A page without items ends a counted list; a short one does not.
            if is_counted and not items:
                return
            mark = hashlib.sha256(json.dumps(items).encode()).hexdigest() if is_counted else str(url)
            if mark in seen:
                raise AccessError(f"{self._where}: hands out the same page again; check paging of the source")
            seen.add(mark)
            yield items
            position += 1 if paging.style == "page_number" else len(items)
            if not is_counted:
                following = self._next(response, body)
                if following is None:
                    return
                url = following

    def _next(self, response: httpx.Response, body: object) -> httpx.URL | None:
        if self._transport.paging.style == "link_header":
            links = {str(rel).lower(): link.get("url") for rel, link in response.links.items()}
            address: object = links.get("next")
        else:
            address = _dig(body, self._transport.paging.next_key or "next")
        if not address:
            return None
        try:
            following = response.url.join(str(address))
        except httpx.InvalidURL:
            raise TransportError(f"{self._where}: its next link is not an address") from None
        if _origin(following) != _origin(self._url):
            raise AccessError(
                f"{self._where}: its next link leads to {following.scheme}://{following.host}; "
                "the token is not sent there: check base_url"
            )
        return following

    def _ask(self, client: httpx.Client, url: httpx.URL) -> Answer:
        """Ask until there is a whole answer. Raises TransportError after the last attempt."""
        retrying = Retrying(
            retry=retry_if_exception_type(_AgainError),
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            reraise=True,
        )
        return retrying(self._attempt, client, url)

    def _attempt(self, client: httpx.Client, url: httpx.URL) -> Answer:
        try:
            response = client.get(url)
        except (httpx.TimeoutException, httpx.ConnectError) as error:
            raise _AwayError(f"{self._where}: {type(error).__name__}") from None
        except httpx.RequestError as error:
            raise _AgainError(f"{self._where}: {type(error).__name__}") from None
        status = response.status_code
        is_told_to_wait = status == 429 or (status == 403 and "rate limit exceeded" in response.text.lower())
        if is_told_to_wait or status == 503:
            raise _AwayError(f"{self._where}: HTTP {status}", _retry_after(response))
        if status >= 500 or status in (408, 425):
            raise _AgainError(f"{self._where}: HTTP {status}", _retry_after(response))
        if status in (401, 403):
            raise _RefusedError(
                f"{self._where}: HTTP {status}; renew or re-authorise the token {self._transport.token}"
            )
        if status == 410:
            raise AccessError(
                f"{self._where}: HTTP 410; to give up what it no longer has, set start of the source later"
            )
        if status != 200:
            raise AccessError(f"{self._where}: HTTP {status}; check base_url, path and parameters of the source")
        try:
            # NaN and Infinity are not JSON and no database takes them.
            body = json.loads(response.content, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise _AgainError(f"{self._where}: the answer is not (whole) JSON") from None
        items = _dig(body, self._transport.items_key) if self._transport.items_key else body
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise _AgainError(
                f"{self._where}: the answer holds no list of items at {self._transport.items_key or 'its top'}"
            )
        return response, body, items


def _summary(failed: dict[str, AccessError | TransportError]) -> AccessError | TransportError:
    """Return one error for all windows that failed: permanent if one of them is."""
    windows: dict[str, list[str]] = {}
    for name, error in failed.items():
        windows.setdefault(str(error), []).append(name)
    message = "; ".join(
        f"{said} ({len(names)} of the windows: {', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''})"
        for said, names in windows.items()
    )
    return (AccessError if any(isinstance(e, AccessError) for e in failed.values()) else TransportError)(message)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _AgainError) and error.after_s is not None:
        return min(max(error.after_s, 0.0), LONGEST_WAIT_S)
    return _BACK_OFF(state)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return float(parsedate_to_datetime(said).timestamp()) - time.time()
    except ValueError:
        return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _dig(body: object, path: str) -> object:
    """Return what stands at a dotted path, or under a key that itself has dots; None if nothing does."""
    if isinstance(body, dict) and path in body:
        return body[path]
    key, dot, rest = path.partition(".")
    return _dig(body[key], rest) if dot and isinstance(body, dict) and key in body else None


def _line(item: Item) -> str:
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    if r"\u0000" in text:
        text = json.dumps(_without_nul(item), ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def _without_nul(value: Any) -> Any:
    """Postgres has no text with U+0000."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_nul(part) for part in value]
        case dict():
            return {_without_nul(key): _without_nul(part) for key, part in value.items()}
    return value


def _day(value: str, where: str) -> date:
    """Return the day that an environment variable says."""
    try:
        return date.fromisoformat(resolve(value))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {value} must be a day such as 2026-09-28") from error
