"""The VLE's HTTP API: events of a window, paged by Link header, with the throttling and failures of real vendors.

It serves what `activity` made and nothing later than the campus's own clock.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlencode

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from campus import activity, feeds
from campus.world import World

MAX_PER_PAGE = 500
# The faults of the calls numbered FAULT_EVERY, 2 * FAULT_EVERY, ..., in turn
FAULTS = ["429 after 1", "503", "half a body", "429 after 0"]
FAULT_EVERY = 97


class EventWindow:
    """The events of a world by window and position, a few days in memory at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._day = lru_cache(maxsize=4)(lambda day: activity.vle(world, day))
        self._counts: dict[int, int] = {}

    def page(self, start: datetime, end: datetime, offset: int, limit: int) -> tuple[list[str], bool]:
        """Return up to `limit` events as JSON texts after skipping `offset`, and whether more follow; end is not in."""
        world, items = self._world, list[str]()
        first, last = max(world.day_of(start), 0), world.day_of(end - timedelta.resolution)
        for day in range(first, last + 1):
            whole = first < day < last
            if whole and self._counts.get(day, offset + 1) <= offset:
                offset -= self._counts[day]
                continue
            table = self._day(day)
            self._counts[day] = len(table)
            midnight = world.start(day).timestamp()
            # Events have whole seconds: the first at or after a bound is the first at or after its ceiling.
            bounds = [np.ceil(moment.timestamp() - midnight) for moment in (start, end)]
            low, high = np.searchsorted(table.second, bounds)
            chosen = np.arange(low, max(low, high))[offset : offset + limit + 1 - len(items)]
            items += feeds.vle_items(world, day, table.take(chosen))
            if len(items) > limit:
                return items[:limit], True
            offset = max(offset - max(int(high - low), 0), 0)
        return items, False


def application(world: World, token: str, clock: Callable[[], datetime], fault_every: int = FAULT_EVERY) -> Starlette:
    """Return the API of a world; `fault_every` 0 means that no call fails."""
    window = EventWindow(world)
    calls = world.seed

    async def events(request: Request) -> Response:
        nonlocal calls
        if request.headers.get("authorization") != f"Bearer {token}":
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
        query = request.query_params
        try:
            start, end = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
            per_page, page = (int(query.get(name, default)) for name, default in (("per_page", "100"), ("page", "1")))
        except (KeyError, ValueError):
            return JSONResponse({"error": "from and to are ISO 8601, per_page and page whole numbers"}, 400)
        if start.tzinfo is None or end.tzinfo is None or per_page < 1 or page < 1:
            return JSONResponse({"error": "from and to need a zone, per_page and page are at least 1"}, 400)
        calls += 1
        turn, rest = divmod(calls, fault_every) if fault_every else (0, 1)
        fault = FAULTS[turn % len(FAULTS)] if rest == 0 else ""
        if fault.startswith("429"):
            return JSONResponse({"error": "rate limit"}, 429, {"Retry-After": fault[-1]})
        if fault == "503":
            return Response("<html><body>Service Unavailable</body></html>", 503, media_type="text/html")
        per_page = min(per_page, MAX_PER_PAGE)
        items, more = window.page(start, min(end, clock()), (page - 1) * per_page, per_page)
        body = f"[{', '.join(items)}]"

        def link(number: int, rel: str) -> str:
            asked = {"from": query["from"], "to": query["to"], "per_page": per_page, "page": number}
            return f'<{request.url.replace(query=urlencode(asked))}>; rel="{rel}"'

        links = [link(1, "first"), *([link(page + 1, "next")] if more else [])]
        return Response(
            body[: len(body) // 2] if fault else body, media_type="application/json", headers={"Link": ", ".join(links)}
        )

    return Starlette(routes=[Route("/api/v1/events", events)])
