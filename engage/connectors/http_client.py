"""An HTTP API asked politely: with its token, at its pace, again after what passes, and no answer taken on trust.

Every transport over HTTP asks through `Client`. Lists, pages and windows are its callers'.
"""

import json
import logging
import re
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from engage.connectors import AccessError
from engage.connectors.http_auth import auth_of, right_of
from engage.connectors.http_errors import AgainError, DownError, RefusedError, SlowError, StatusError
from engage.strict import ConfigurationError, resolve
from engage.transports import Http

LONGEST_WAIT_S = 120.0
"""However long a Retry-After is: the next look comes anyway."""
_BACK_OFF = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)
_MINUTE_S = 60.0
_CODE = re.compile(r"[\w.:-]{1,60}")
_NOT_THERE = object()

# At INFO httpx writes every address, and a next link may carry a token of its own.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

T = TypeVar("T")


class Client:
    """One API. A context manager: connections and the token are kept while it is open."""

    def __init__(self, transport: Http) -> None:
        """Raise ConfigurationError when the address or a secret is none."""
        self._transport = transport
        try:
            self._base = httpx.URL(resolve(transport.base_url).rstrip("/"))
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"transport.base_url: {error}") from error
        self._client = httpx.Client(
            auth=auth_of(transport), headers={"Accept": "application/json"}, timeout=transport.timeout_s
        )
        self._free_at = 0.0
        self._lately: deque[float] = deque(maxlen=transport.calls_per_minute)
        self.attempts = transport.max_attempts
        """How often a call is tried; the caller may have less patience."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def url(self, path: str, parameters: dict[str, str | list[str]] | None = None) -> httpx.URL:
        """Return the address of a path of the API, already quoted, with these parameters besides its own."""
        url = httpx.URL(f"{self._base}/{path.lstrip('/')}")
        return url.copy_merge_params(parameters) if parameters else url

    def follow(self, response: httpx.Response, link: str) -> httpx.URL:
        """Return the address that a response links to. Raises AccessError for another host: the token stays here."""
        try:
            following = response.url.join(link)
        except httpx.InvalidURL:
            raise AgainError(f"{where(response)}: its next link is not an address") from None
        if _origin(following) != _origin(self._base):
            raise AccessError(
                f"{where(response)}: its next link leads to {following.scheme}://{following.host}; "
                "the token is not sent there: check base_url"
            )
        return following

    def ask(
        self,
        url: httpx.URL,
        read: Callable[[httpx.Response], T],
        path: str | None = None,
        method: str = "GET",
        **request: Any,
    ) -> T:
        """Return what `read` makes of the answer, asking again while that is worth it.

        `path` is what messages call it when the real one names people; `request` is as for httpx (json, data). `read`
        may raise AgainError (asked again) and AccessError. Raises the last AgainError, AccessError at once.
        """
        request["extensions"] = {
            "at": url.host + (f"{self._base.path.rstrip('/')}/{path.lstrip('/')}" if path else url.path)
        }
        retrying = Retrying(
            retry=retry_if_exception_type(AgainError),
            stop=stop_after_attempt(self.attempts),
            wait=_wait,
            reraise=True,
        )
        return retrying(lambda: read(self._send(url, method, request)))

    def json(self, response: httpx.Response) -> Any:
        """Return the body of an answer as JSON. Raises AgainError if it is none, AgainError or AccessError if it says
        that it is an error."""
        try:
            # NaN and Infinity are not JSON and no database takes them.
            body = json.loads(response.content, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise AgainError(f"{where(response)}: the answer is not (whole) JSON") from None
        inside = self._transport.error_inside
        if inside and (said := dig(body, inside.key)):
            code = str(dig(body, inside.code) if inside.code else said)
            # A message may quote people; a code does not.
            message = f"{where(response)}: HTTP 200 with an error inside" + (
                f" ({code})" if _CODE.fullmatch(code) else ""
            )
            if code in inside.transient:
                raise AgainError.of(response, message)
            raise AccessError(f"{message}; look it up in the API's documentation, then check parameters and rights")
        return body

    def _send(self, url: httpx.URL, method: str, request: dict[str, Any]) -> httpx.Response:
        time.sleep(max(self._free_at - time.monotonic(), 0.0))
        if self._lately.maxlen:
            if len(self._lately) == self._lately.maxlen:
                time.sleep(max(self._lately[0] + _MINUTE_S - time.monotonic(), 0.0))
            self._lately.append(time.monotonic())
        at = request["extensions"]["at"]
        try:
            response = self._client.request(method, url, **request)
        except httpx.ConnectError as error:
            raise DownError(f"{at}: {type(error).__name__}") from None
        except httpx.TimeoutException as error:
            raise SlowError(f"{at}: {type(error).__name__}") from None
        except httpx.RequestError as error:
            raise AgainError(f"{at}: {type(error).__name__}") from None
        self._heed(response)
        self._check(response, at)
        return response

    def _heed(self, response: httpx.Response) -> None:
        """Put off the next call if the quota is nearly used up."""
        if quota := self._transport.quota:
            try:
                is_low = float(response.headers.get(quota.header, "inf")) < quota.low
            except ValueError:
                return
            if is_low:
                self._free_at = max(self._free_at, time.monotonic() + quota.wait_s)

    def _check(self, response: httpx.Response, at: str) -> None:
        status = response.status_code
        if status in (200, 201, 202, 204):
            return
        said = f"{response.reason_phrase} {response.text}".lower()
        is_told_to_wait = any(status == a.status and a.words.lower() in said for a in self._transport.slow_down)
        if is_told_to_wait or status in (429, 503):
            raise DownError.of(response, f"{at}: HTTP {status}")
        if status >= 500 or status in (408, 425):
            raise AgainError.of(response, f"{at}: HTTP {status}")
        if status == 401:
            raise RefusedError(f"{at}: HTTP 401; renew or re-authorise {right_of(self._transport)}")
        if status == 403:
            todo = f"it has no right to this; re-authorise {right_of(self._transport)}"
        elif status == 410:
            todo = "to give up what it no longer has, set start of the source later"
        else:
            todo = "check base_url, path and parameters of the source"
        raise StatusError(f"{at}: HTTP {status}; {todo}", status)


def where(response: httpx.Response) -> str:
    """Return what was asked, for messages: never its parameters, which may hold secrets."""
    return str(response.request.extensions["at"])


def dig(body: object, path: str) -> Any:
    """Return what stands at a dotted path, or under a key that itself has dots; None if nothing does."""
    found = _found(body, path)
    return None if found is _NOT_THERE else found


def has(body: object, path: str) -> bool:
    """Return whether anything, be it null, stands at a dotted path."""
    return _found(body, path) is not _NOT_THERE


def _found(body: object, path: str) -> object:
    if isinstance(body, dict) and path in body:
        return body[path]
    key, dot, rest = path.partition(".")
    return _found(body[key], rest) if dot and isinstance(body, dict) and key in body else _NOT_THERE


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, AgainError) and error.after_s is not None:
        return min(max(error.after_s, 0.0), LONGEST_WAIT_S)
    return _BACK_OFF(state)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
