"""Microsoft Teams by Graph: organisers' calendars, their online meetings, attendance reports and the records of these.

The records are not in the report's own list; every list goes on at `@odata.nextLink`; guests have no address.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from campus.activity import Table
from campus.systems import Done, Feed, Serving
from campus.systems.apis import Api, expired, half, too_many
from campus.world import PROGRAMMES, YEARS, Ints, World

GROUPS = len(PROGRAMMES) * YEARS
PER_PAGE = 40
STARTS_S, LASTS_S = 17 * 3600, 50 * 60
V1 = "/graph/v1.0"


@dataclass(frozen=True)
class Attendees(Table):
    """Students in the day's meetings: the meeting's group, and when they came in seconds since 1970."""

    group: Ints
    at: Ints


@lru_cache(maxsize=40)
def attendees(world: World, day: int) -> Attendees:
    """Return who came: every programme and year has one meeting a week, on one of five days."""
    rng, p = world.rng(46, day), world.population
    group = p.programme * YEARS + p.year - 1
    comes = rng.random(world.students) < 1 / (1 + np.exp(-(0.8 + 0.9 * p.level)))
    student = np.flatnonzero((group % 5 == day % 7) & comes & world.present(day) & (p.silent_from > day))
    joined = world.clock(day) + STARTS_S + rng.integers(-300, 900, len(student))
    return Attendees(student, group[student], joined)


def _time(second: float) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the part of Graph that tells who attended."""
    world, people = serving.world, serving.world.population
    api = Api(serving, [too_many, half, expired])

    def listed(request: Request, items: list[dict[str, Any]]) -> Response:
        skip = int(request.query_params.get("$skiptoken", "0"))
        body: dict[str, Any] = {"value": items[skip : skip + PER_PAGE]}
        if skip + PER_PAGE < len(items):
            body["@odata.nextLink"] = str(request.url.include_query_params(**{"$skiptoken": skip + PER_PAGE}))
        return JSONResponse(body)

    def organisers(request: Request) -> Response:
        return listed(request, [{"id": f"org-{group}"} for group in range(GROUPS)])

    def calendar(request: Request) -> Response:
        start, end = (datetime.fromisoformat(request.query_params[f"{n}DateTime"]) for n in ("start", "end"))
        group, events = request.path_params["group"], list[dict[str, Any]]()
        last = world.day_of(min(end, serving.clock()) - timedelta.resolution)
        for day in range(max(world.day_of(start), world.adopted), last + 1):
            if group % 5 == day % 7:
                url = f"https://teams.northbank.example/l/{group}-{day}"
                events.append({"id": f"e{group}-{day}", "isOnlineMeeting": True, "onlineMeeting": {"joinUrl": url}})
            events.append({"id": f"p{group}-{day}", "isOnlineMeeting": False, "onlineMeeting": None})
        return listed(request, events)

    def meetings(request: Request) -> Response:
        name = request.query_params["$filter"].rpartition("/")[2].rstrip("'")
        return listed(request, [{"id": f"m{name}", "subject": "Seminar"}])

    def reports(request: Request) -> Response:
        group, day = (request.path_params[name] for name in ("group", "day"))
        began = world.clock(day) + STARTS_S
        # The records are only in their own list.
        times = {"meetingStartDateTime": _time(began), "meetingEndDateTime": _time(began + LASTS_S)}
        return listed(
            request, [{"id": f"r{group}-{day}", "totalParticipantCount": 1, "attendanceRecords": [], **times}]
        )

    def records(request: Request) -> Response:
        group, day = (request.path_params[name] for name in ("group", "day"))
        began = world.clock(day) + STARTS_S
        table = attendees(world, day)
        table = table.take(table.group == group)
        came: list[tuple[str, str | None, str, int]] = [
            (f"g-{student}", f"{people.username[student]}@students.northbank.example", "Attendee", joined)
            for student, joined in zip(table.student.tolist(), table.at.tolist(), strict=True)
        ]
        came.append((f"org-{group}", f"tutor{group}@staff.northbank.example", "Organizer", began))
        came.append(("guest", None, "Attendee", began))
        return listed(
            request,
            [
                {
                    "id": number,
                    "emailAddress": email,
                    "role": role,
                    "totalAttendanceInSeconds": began + LASTS_S - joined,
                    "identity": {"id": number, "displayName": "A person"},
                    "attendanceIntervals": [
                        {
                            "joinDateTime": _time(joined),
                            "leaveDateTime": _time(began + LASTS_S),
                            "durationInSeconds": began + LASTS_S - joined,
                        }
                    ],
                }
                for number, email, role, joined in came
            ],
        )

    meeting = V1 + "/users/org-{organiser:int}/onlineMeetings/m{group:int}-{day:int}/attendanceReports"
    return [
        api.token_route("/graph/tenant/oauth2/v2.0/token", lambda _, body: serving.token.encode() in body),
        api.route(f"{V1}/groups/organisers/members", organisers),
        api.route(V1 + "/users/org-{group:int}/calendarView", calendar),
        api.route(V1 + "/users/org-{organiser:int}/onlineMeetings", meetings),
        api.route(meeting, reports),
        api.route(meeting + "/r{again:int}-{same:int}/attendanceRecords", records),
    ]


def attended(world: World, day: int) -> Done:
    """Return who was in a meeting."""
    table = attendees(world, day)
    return Done(table.student, table.at)


FEEDS = [Feed("teams_attendance", "vle", routes=routes, done=attended)]
