"""By what right an HTTP API is asked: a token that is given, or one that is fetched with a client's secret and renewed.

What is asked, and what the answers mean, is not known here.
"""

import time
from collections.abc import Generator

import httpx

from engage.connectors.http_errors import AgainError, RefusedError
from engage.strict import resolve
from engage.transports import Http, OAuth2

_EARLIER_S = 60.0
"""A token is renewed so long before it ends: it must outlive the call."""
_LIFE_S = 300.0
"""Of a token whose answer does not say."""

Flow = Generator[httpx.Request, httpx.Response, None]


def auth_of(transport: Http) -> httpx.Auth:
    """Return what puts the transport's token into every request. Raises ConfigurationError."""
    if transport.oauth2:
        return ClientCredentials(transport.oauth2, httpx.URL(resolve(transport.base_url)))
    value = resolve(transport.token or "")
    if transport.token_header:
        return Token(transport.token_header, value)
    return Token("Authorization", f"Bearer {value}")


def right_of(transport: Http) -> str:
    """Return what to renew when the API refuses: the variable's name, never its value."""
    return f"the client secret {transport.oauth2.client_secret}" if transport.oauth2 else f"the token {transport.token}"


class Token(httpx.Auth):
    """The same header in every request."""

    def __init__(self, header: str, value: str) -> None:
        self._header, self._value = header, value

    def auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx.Auth."""
        request.headers[self._header] = self._value
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth2 client credentials: fetched when needed, kept until they end, fetched anew once after a 401."""

    requires_response_body = True

    def __init__(self, oauth2: OAuth2, base_url: httpx.URL) -> None:
        self._oauth2 = oauth2
        self._url = base_url.join(oauth2.token_url)
        self._id, self._secret = resolve(oauth2.client_id), resolve(oauth2.client_secret)
        self._token, self._ends_at = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx.Auth. Raises AgainError, RefusedError when no token is to be had."""
        is_new = time.monotonic() >= self._ends_at
        if is_new:
            self._take((yield self._request()))
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401 and not is_new:
            self._take((yield self._request()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _request(self) -> httpx.Request:
        form = {"grant_type": "client_credentials"}
        if self._oauth2.scope:
            form["scope"] = self._oauth2.scope
        if self._oauth2.sent_in == "body":
            return httpx.Request("POST", self._url, data=form | {"client_id": self._id, "client_secret": self._secret})
        request = httpx.Request("POST", self._url, data=form)
        return next(httpx.BasicAuth(self._id, self._secret).auth_flow(request))

    def _take(self, response: httpx.Response) -> None:
        where, status = f"{self._url.host}{self._url.path}", response.status_code
        self._ends_at = 0.0
        if status in (408, 429) or status >= 500:
            raise AgainError.of(response, f"{where}: HTTP {status} instead of a token")
        if status != 200:
            raise RefusedError(
                f"{where}: HTTP {status} instead of a token; renew the client secret {self._oauth2.client_secret},"
                " or check token_url, client_id and scope of the source"
            )
        try:
            said = response.json()
            self._token, life = str(said["access_token"]), float(said.get("expires_in", _LIFE_S))
        except (ValueError, TypeError, LookupError, AttributeError):
            raise AgainError(f"{where}: the answer holds no token") from None
        self._ends_at = time.monotonic() + max(life - _EARLIER_S, life / 2)
