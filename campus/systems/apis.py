"""What the HTTP APIs of the campus have in common: who may ask, what fails now and then, and lists cut into pages.

The shapes of a vendor's answers, and what its failures look like, are its own module's.
"""

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from campus.systems import Serving

Answer = Callable[[Request], Response]
Failure = Callable[["Api", Response], Response]
"""What becomes of a good answer."""


def too_many(_: "Api", good: Response) -> Response:
    """Ask again at once."""
    return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "0"})


def unavailable(_: "Api", good: Response) -> Response:
    """Answer with a page for people."""
    return Response("<html><body>Service Unavailable</body></html>", 503, {"Retry-After": "0"}, "text/html")


def half(_: "Api", good: Response) -> Response:
    """Answer with half of it."""
    return Response(good.body[: len(good.body) // 2], media_type="application/json")


def expired(api: "Api", good: Response) -> Response:
    """Let no token be valid any more."""
    api.tokens.clear()
    return JSONResponse({"error": "invalid_token"}, 401)


class Api:
    """One vendor's API over a world: of every so many calls one fails, in turn as the vendor's do."""

    def __init__(self, serving: Serving, failures: Sequence[Failure]) -> None:
        self.serving = serving
        self.tokens = {serving.token}
        self._failures = failures
        self._calls = serving.world.seed

    def route(self, path: str, answer: Answer) -> Route:
        """Return the route of a path that only a bearer of a token is answered at."""

        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
            self._calls += 1
            good, every = answer(request), self.serving.fault_every
            if every == 0 or self._calls % every:
                return good
            return self._failures[self._calls // every % len(self._failures)](self, good)

        return Route(path, endpoint)

    def order_route(self, path: str, answer: Callable[[Request, dict[str, str]], Response]) -> Route:
        """Return the route of a path that takes an order in JSON from a bearer of a token."""

        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
            return answer(request, await request.json())

        return Route(path, endpoint, methods=["POST"])

    def token_route(self, path: str, is_client: Callable[[Request, bytes], bool]) -> Route:
        """Return the route that hands out tokens to the client (OAuth2 client credentials)."""
        self.tokens.clear()

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            if b"grant_type=client_credentials" not in body or not is_client(request, body):
                return JSONResponse({"error": "invalid_client"}, 401)
            self.tokens.add(token := f"{self.serving.token}.{self._calls}")
            return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

        handler: Callable[[Request], Awaitable[Response]] = endpoint
        return Route(path, handler, methods=["POST"])
