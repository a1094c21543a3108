"""The VLE's HTTP API: events of a window, paged by Link header, with the throttling and failures of real vendors.

It serves nothing later than the campus's own clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import urlencode

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from campus.activity import Table
from campus.systems import Done, Feed, Serving
from campus.world import Bools, Ints, World

MAX_PER_PAGE = 500
# The faults of the calls numbered FAULT_EVERY, 2 * FAULT_EVERY, ..., in turn
FAULTS = ["429 after 1", "503", "half a body", "429 after 0"]
FAULT_EVERY = 97
WEEKDAY = [0.85, 0.87, 0.85, 0.83, 0.76, 0.50, 0.60]
HOURS = np.array([3, 2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 10, 9, 10, 11, 10, 9, 8, 8, 9, 10, 9, 7, 5], dtype=float)
KINDS = [
    ("core", "viewed", "course"),
    ("mod_resource", "viewed", "resource"),
    ("mod_page", "viewed", "page"),
    ("mod_forum", "viewed", "forum"),
    ("mod_quiz", "viewed", "quiz"),
    ("mod_quiz", "attempted", "quiz"),
    ("mod_assign", "submitted", "assign"),
]
KIND_SHARES = [0.34, 0.26, 0.14, 0.10, 0.09, 0.05, 0.02]
LOGIN_AS_SHARE = 0.002
IDS_PER_DAY = 10_000_000


@dataclass(frozen=True)
class Events(Table):
    """Events in order of `id` and of `second`, which counts from local midnight as time passes (not as clocks show)."""

    id: Ints
    second: Ints
    kind: Ints
    object: Ints
    login_as: Bools


def events(world: World, day: int) -> Events:
    """Return the day's VLE events, staff acting as a student included."""
    rng, p, n = world.rng(4, day), world.population, world.students
    # The keener come on more days and do more when they come.
    comes = rng.random(n) < np.clip(WEEKDAY[day % 7] + 0.09 * p.level, 0.3, 0.99)
    many = 1 + rng.poisson(6 * np.exp(0.45 * p.level))
    count = np.where(comes & world.present(day) & (p.silent_from > day), many, 0)
    student = np.repeat(np.arange(n), count)
    total = len(student)
    hour = rng.choice(24, total, p=HOURS / HOURS.sum())
    # Days of 23 and 25 hours keep their rhythm; what is scaled never leaves the day.
    length = (world.start(day + 1).timestamp() - world.start(day).timestamp()) / 86_400
    second = ((hour * 3600 + rng.integers(0, 3600, total)) * length).astype(np.int64)
    order = np.argsort(second, kind="stable")
    return Events(
        student=student[order],
        id=(day + 1) * IDS_PER_DAY + np.arange(total),
        second=second[order],
        kind=rng.choice(len(KINDS), total, p=KIND_SHARES),
        object=rng.integers(1, 5000, total),
        login_as=rng.random(total) < LOGIN_AS_SHARE,
    )


def items_of(world: World, day: int, table: Events) -> list[str]:
    """Return the events of a table of that day as JSON texts."""
    users, midnight = world.population.username, world.start(day).astimezone(UTC)
    items = []
    for student, number, second, kind, thing, login_as in zip(
        *(c.tolist() for c in (table.student, table.id, table.second, table.kind, table.object, table.login_as)),
        strict=True,
    ):
        component, action, noun = KINDS[kind]
        items.append(
            f'{{"id": {number}, "time": "{midnight + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}", '
            f'"user": {{"username": "{users[student]}"}}, '
            f'"real_user": {"""{"username": "it-helpdesk"}""" if login_as else "null"}, '
            f'"component": "{component}", "action": "{action}", "object": {{"id": {thing}, "type": "{noun}"}}}}'
        )
    return items


class EventWindow:
    """The events of a world by window and position, a few days in memory at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._day = lru_cache(maxsize=4)(lambda day: events(world, day))
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
            items += items_of(world, day, table.take(chosen))
            if len(items) > limit:
                return items[:limit], True
            offset = max(offset - max(int(high - low), 0), 0)
        return items, False


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the API of a world."""
    window, fault_every = EventWindow(serving.world), serving.fault_every
    calls = serving.world.seed

    async def answer(request: Request) -> Response:
        nonlocal calls
        if request.headers.get("authorization") != f"Bearer {serving.token}":
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
        items, more = window.page(start, min(end, serving.clock()), (page - 1) * per_page, per_page)
        body = f"[{', '.join(items)}]"

        def link(number: int, rel: str) -> str:
            asked = {"from": query["from"], "to": query["to"], "per_page": per_page, "page": number}
            return f'<{request.url.replace(query=urlencode(asked))}>; rel="{rel}"'

        links = [link(1, "first"), *([link(page + 1, "next")] if more else [])]
        return Response(
            body[: len(body) // 2] if fault else body, media_type="application/json", headers={"Link": ", ".join(links)}
        )

    return [Route("/api/v1/events", answer)]


def done(world: World, day: int) -> Done:
    table = events(world, day)
    table = table.take(~table.login_as)
    return Done(table.student, int(world.start(day).timestamp()) + table.second)


FEEDS = [Feed("vle", "vle", routes=routes, done=done, is_adopted=False)]
