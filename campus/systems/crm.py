"""The CRM, in the manner of Dynamics: the full lists of cases and of contacts, by next links with dots in their key.

Clients show who they are in the form; throttling is a 429 with Retry-After.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from campus.systems import Feed, Serving
from campus.systems.apis import Api, half, too_many
from campus.world import World

PER_PAGE = 50
CLIENT = "engage"
CHANNELS, OUTCOMES = ["email", "phone", "teams"], ["reached", "no_answer", "message_left"]
OPEN_FOR = timedelta(days=20)


@lru_cache(maxsize=40)
def opened(world: World, day: int) -> list[tuple[int, datetime]]:
    """Return whose case was opened on the day, and when: of those silent for nine days, and of some others."""
    rng, silent = world.rng(46, day), np.flatnonzero(world.population.silent_from == day - 9)
    others = rng.integers(0, world.students, rng.poisson(world.students / 1500))
    return [(int(who), world.start(day) + timedelta(hours=10, minutes=n)) for n, who in enumerate([*silent, *others])]


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the API of a world."""
    world, people = serving.world, serving.world.population
    api = Api(serving, [too_many, half])

    def cases() -> list[tuple[str, int, datetime]]:
        now = serving.clock()
        return [
            (f"CAS-{day:05d}-{n:03d}", who, at)
            for day in range(world.day_of(now) + 1)
            for n, (who, at) in enumerate(opened(world, day))
            if at <= now
        ]

    def paged(request: Request, items: list[dict[str, Any]]) -> Response:
        # Dynamics' skiptoken names the last record of the page, so that changes shift nothing.
        done = int(request.query_params.get("$skiptoken", "0"))
        body: dict[str, Any] = {"@odata.context": "$metadata", "value": items[done : done + PER_PAGE]}
        if done + PER_PAGE < len(items):
            body["@odata.nextLink"] = str(request.url.include_query_params(**{"$skiptoken": done + PER_PAGE}))
        return JSONResponse(body)

    def incidents(request: Request) -> Response:
        found = []
        for number, who, at in cases():
            is_closed = at + OPEN_FOR <= serving.clock()
            found.append(
                {
                    "ticketnumber": number,
                    "nb_studentnumber": people.student_id[who],
                    "nb_casetype": "engagement",
                    "nb_status": "closed" if is_closed else "open",
                    "createdon": _time(at),
                    "nb_closedon": _time(at + OPEN_FOR) if is_closed else None,
                    "nb_owner": f"T{people.tutor[who]:04d}",
                }
            )
        return paged(request, found)

    def contacts(request: Request) -> Response:
        found = []
        for n, (number, who, opened_at) in enumerate(cases()):
            for step in range(3):
                at = opened_at + timedelta(days=2 * step + 1)
                if at <= serving.clock():
                    found.append(
                        {
                            "activityid": f"{number}/{step}",
                            "nb_studentnumber": people.student_id[who],
                            "nb_case": number,
                            "actualstart": _time(at),
                            "nb_channel": CHANNELS[step],
                            "nb_outcome": OUTCOMES[(n + step) % 3],
                            "nb_owner": f"T{people.tutor[who]:04d}",
                        }
                    )
        return paged(request, found)

    def is_client(_: Request, body: bytes) -> bool:
        form = parse_qs(body.decode())
        return (form.get("client_id"), form.get("client_secret")) == ([CLIENT], [serving.token])

    return [
        api.token_route("/crm/oauth2/token", is_client),
        api.route("/crm/api/data/v9.2/incidents", incidents),
        api.route("/crm/api/data/v9.2/activitypointers", contacts),
    ]


FEEDS = [Feed("crm_cases", routes=routes), Feed("crm_contacts")]
