"""Panopto: who viewed which recording for how long, by OAuth2 client credentials; counted pages, from 0.

A token may be taken away at any time; staff view recordings, too.
"""

from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from campus import activity
from campus.systems import Done, Feed, Serving
from campus.systems.apis import Api, expired, half, unavailable
from campus.world import Ints, World

CLIENT = "engage"
RECORDINGS = 6
STAFF_SHARE = 0.03


@lru_cache(maxsize=40)
def viewings(world: World, day: int) -> tuple[Ints, Ints, Ints]:
    """Return who viewed something and when in seconds since 1970, and which recording; staff are -1."""
    student, second = activity.acts(world, day, 44, 0.25)
    rng = world.rng(45, day)
    student = np.where(rng.random(len(student)) < STAFF_SHARE, -1, student)
    return student, world.clock(day) + second, rng.integers(0, RECORDINGS, len(student))


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the API of a world."""
    world, people = serving.world, serving.world.population
    api = Api(serving, [unavailable, expired, half])
    expected = "Basic " + b64encode(f"{CLIENT}:{serving.token}".encode()).decode()

    def paged(request: Request, items: list[dict[str, Any]]) -> Response:
        number, size = int(request.query_params["pageNumber"]), min(int(request.query_params["maxNumberResults"]), 250)
        return JSONResponse({"Results": items[number * size : (number + 1) * size], "TotalNumber": len(items)})

    def recordings(request: Request) -> Response:
        return paged(request, [{"Id": f"rec-{n}", "Name": f"Lecture {n + 1}"} for n in range(RECORDINGS)])

    def viewers(request: Request) -> Response:
        begin, end = (datetime.fromisoformat(request.query_params[name]) for name in ("beginRange", "endRange"))
        until, found = min(end, serving.clock()), list[dict[str, Any]]()
        for day in range(max(world.day_of(begin), world.adopted), world.day_of(until) + 1):
            student, at, recording = viewings(world, day)
            inside = (begin.timestamp() <= at) & (at < until.timestamp())
            for row in np.flatnonzero(inside & (recording == request.path_params["recording"])).tolist():
                who = int(student[row])
                email = (
                    f"{people.username[who]}@students.northbank.example"
                    if who >= 0
                    else "a.bell@staff.northbank.example"
                )
                found.append(
                    {
                        "Id": f"{day}-{row}",
                        "Email": email,
                        "StartTime": f"{datetime.fromtimestamp(int(at[row]), UTC):%Y-%m-%dT%H:%M:%S.000Z}",
                        "SecondsViewed": 60.0 + row % 3000,
                    }
                )
        return paged(request, found)

    return [
        api.token_route(
            "/panopto/oauth2/connect/token", lambda request, _: request.headers["authorization"] == expected
        ),
        api.route("/panopto/api/v1/sessions", recordings),
        api.route("/panopto/api/v1/sessions/rec-{recording:int}/viewers", viewers),
    ]


def viewed(world: World, day: int) -> Done:
    """Return the viewings of students."""
    student, at, _ = viewings(world, day)
    return Done(student[student >= 0], at[student >= 0])


FEEDS = [Feed("panopto_views", "vle", routes=routes, done=viewed)]
