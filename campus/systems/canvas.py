"""Canvas, which a pilot of students uses beside the VLE: page views, newest first, user by user, and submissions.

Pages follow each other by Link headers with bookmarks and no `last`; throttling is a 403 in words or a 429.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from campus import activity
from campus.systems import Done, Feed, Serving
from campus.systems.apis import Api, half, too_many
from campus.world import PROGRAMMES, Bools, Ints, World

PER_PAGE = 100
PILOT = 40
"""One in so many students."""
FIRST_USER = 5000
CONTROLLERS = ["wiki_pages", "discussion_topics", "quizzes/quizzes", "files", "assignments", "courses"]


@dataclass(frozen=True)
class Views(activity.Table):
    """Page views in order of time, in seconds since 1970."""

    at: Ints
    controller: Ints
    acting: Bools
    by_user: Bools


def in_pilot(student: Ints) -> Bools:
    """Return which of these students use Canvas."""
    return np.asarray(student % PILOT == 3)


@lru_cache(maxsize=40)
def views(world: World, day: int) -> Views:
    """Return the day's page views: those of somebody acting as the student, and what pages ask by themselves, too."""
    student, second = activity.acts(world, day, 41, 4.0)
    mine, rng = in_pilot(student), world.rng(42, day)
    student, second = student[mine], second[mine]
    n = len(student)
    return Views(
        student,
        world.clock(day) + second,
        rng.integers(0, len(CONTROLLERS), n),
        rng.random(n) < 0.02,
        rng.random(n) < 0.85,
    )


@lru_cache(maxsize=40)
def submissions(world: World, day: int) -> tuple[Ints, Ints]:
    """Return who handed something in on the day, and when in seconds since 1970."""
    student, second = activity.acts(world, day, 43, 0.3)
    mine = in_pilot(student)
    return student[mine], world.clock(day) + second[mine]


def _time(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _rate_limited(_: Api, good: Response) -> Response:
    return Response("403 Forbidden (Rate Limit Exceeded)\n", 403, {"X-Rate-Limit-Remaining": "10.5"})


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the API of a world."""
    world, people = serving.world, serving.world.population
    pilot = np.flatnonzero(in_pilot(np.arange(world.students))).tolist()
    api = Api(serving, [_rate_limited, half, too_many])

    def paged(request: Request, items: list[dict[str, Any]]) -> Response:
        size = min(int(request.query_params.get("per_page", "10")), PER_PAGE)
        # A bookmark says where the next page begins, so that what is added at the front shifts nothing.
        after = int(request.query_params.get("page", "bookmark:0").removeprefix("bookmark:"))
        links = [f'<{request.url.include_query_params(page="first")}>; rel="first"']
        if after + size < len(items):
            links.append(f'<{request.url.include_query_params(page=f"bookmark:{after + size}")}>; rel="next"')
        headers = {"Link": ",".join(links), "X-Request-Cost": "0.1", "X-Rate-Limit-Remaining": "699.9"}
        return JSONResponse(items[after : after + size], headers=headers)

    def until(request: Request, name: str) -> float:
        asked = datetime.fromisoformat(request.query_params[name]) if name in request.query_params else serving.clock()
        return min(asked, serving.clock()).timestamp()

    def days(since: datetime, end: float) -> range:
        return range(max(world.day_of(since), world.adopted), world.day_of(datetime.fromtimestamp(end, UTC)) + 1)

    def users(request: Request) -> Response:
        found = [
            {
                "id": FIRST_USER + i,
                "name": f"{people.given_name[i]} {people.family_name[i]}",
                "sis_user_id": people.student_id[i],
                "login_id": people.username[i],
            }
            for i in pilot
        ]
        return paged(request, found)

    def page_views(request: Request) -> Response:
        who = request.path_params["user"] - FIRST_USER
        if who not in pilot:
            return JSONResponse({"errors": [{"message": "The specified resource does not exist."}]}, 404)
        since, end = datetime.fromisoformat(request.query_params["start_time"]), until(request, "end_time")
        found = []
        for day in days(since, end):
            table = views(world, day)
            # As in Canvas both ends are in: a view on the bound is in two windows.
            rows = np.flatnonzero((table.student == who) & (since.timestamp() <= table.at) & (table.at <= end))
            for row in rows.tolist():
                links = {"user": FIRST_USER + who, "context": 100 + row % 7}
                found.append(
                    {
                        "id": f"{day:08x}-{row:04x}-4000-8000-{FIRST_USER + who:012x}",
                        "url": "https://canvas.northbank.example/courses",
                        "context_type": "Course",
                        "controller": CONTROLLERS[table.controller[row]],
                        "interaction_seconds": 5.0 + row % 50,
                        "created_at": _time(int(table.at[row])),
                        "user_request": bool(table.by_user[row]),
                        "links": {**links, "real_user": 7} if table.acting[row] else links,
                    }
                )
        return paged(request, found[::-1])

    def courses(request: Request) -> Response:
        return paged(request, [{"id": n, "course_code": programme[0]} for n, programme in enumerate(PROGRAMMES)])

    def course_submissions(request: Request) -> Response:
        since, end = datetime.fromisoformat(request.query_params["submitted_since"]), until(request, "")
        found = []
        for day in days(since, end):
            student, at = submissions(world, day)
            rows = np.flatnonzero(
                (people.programme[student] == request.path_params["course"]) & (since.timestamp() <= at) & (at < end)
            )
            found += [
                {
                    "id": 1000 * (day + 1) + row,
                    "attempt": 1,
                    "assignment_id": 10 * request.path_params["course"] + row % 3,
                    "workflow_state": "submitted",
                    "submitted_at": _time(int(at[row])),
                    "user": {"id": FIRST_USER + int(student[row]), "login_id": people.username[int(student[row])]},
                }
                for row in rows.tolist()
            ]
        return paged(request, found)

    return [
        api.route("/canvas/api/v1/accounts/self/users", users),
        api.route("/canvas/api/v1/users/{user:int}/page_views", page_views),
        api.route("/canvas/api/v1/accounts/self/courses", courses),
        api.route("/canvas/api/v1/courses/{course:int}/students/submissions", course_submissions),
    ]


def viewed(world: World, day: int) -> Done:
    """Return the page views that count."""
    table = views(world, day)
    table = table.take(~table.acting & table.by_user)
    return Done(table.student, table.at)


def submitted(world: World, day: int) -> Done:
    """Return what was handed in."""
    return Done(*submissions(world, day))


FEEDS = [
    Feed("canvas_page_views", "vle", routes=routes, done=viewed),
    Feed("canvas_submissions", "vle", done=submitted),
]
