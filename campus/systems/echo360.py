"""Echo360: a report of who viewed what, made in its own time: ordered, pending, then a CSV at a signed address.

What is asked too fast is answered by 429.
"""

import csv
import io
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from campus import activity
from campus.systems import Done, Feed, Serving
from campus.systems.apis import Api, too_many, unavailable
from campus.world import Ints, World

HEADINGS = ["view_id", "user_email", "media_id", "course_code", "started_at_utc", "seconds_viewed"]
PATH = "/echo360/public/api/v1/reporting"


@lru_cache(maxsize=40)
def views(world: World, day: int) -> tuple[Ints, Ints]:
    """Return who viewed something on the day, and when in seconds since 1970."""
    student, second = activity.acts(world, day, 47, 0.2)
    return student, world.clock(day) + second


def report(world: World, start: datetime, end: datetime) -> bytes:
    """Return the report of a window, the end not in it."""
    text = io.StringIO()
    rows = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    rows.writerow(HEADINGS)
    for day in range(max(world.day_of(start), world.adopted), world.day_of(end) + 1):
        student, at = views(world, day)
        for row in np.flatnonzero((start.timestamp() <= at) & (at < end.timestamp())).tolist():
            who, when = world.population.username[int(student[row])], datetime.fromtimestamp(int(at[row]), UTC)
            email = f"{who.upper()}@students.northbank.example"
            rows.writerow(
                [f"{day}-{row}", email, f"media-{row % 50}", "", f"{when:%Y-%m-%d %H:%M:%S}", 30 + row % 3000]
            )
    return text.getvalue().encode()


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the reporting API of a world."""
    api = Api(serving, [too_many, unavailable])
    orders: list[tuple[datetime, datetime]] = []
    asked: dict[int, int] = {}

    def order(request: Request, body: dict[str, str]) -> Response:
        orders.append((datetime.fromisoformat(body["startDate"]), datetime.fromisoformat(body["endDate"])))
        return JSONResponse({"id": f"job-{len(orders) - 1}", "status": "Pending"}, 202)

    def state(request: Request) -> Response:
        number = request.path_params["number"]
        asked[number] = asked.get(number, 0) + 1
        if asked[number] == 1:
            return JSONResponse({"id": f"job-{number}", "status": "Pending"})
        url = str(request.url.replace(path=f"{PATH}/signed/{number}", query="signature=s"))
        return JSONResponse({"id": f"job-{number}", "status": "Available", "details": {"url": url}})

    async def signed(request: Request) -> Response:
        # The right is in the address: a token sent beside it is refused, as the store behind the real one does.
        if request.query_params.get("signature") != "s" or "authorization" in request.headers:
            return Response("<Error><Code>InvalidArgument</Code></Error>", 400)
        start, end = orders[request.path_params["number"]]
        return Response(report(serving.world, start, min(end, serving.clock())), media_type="text/csv")

    return [
        api.token_route("/echo360/oauth2/access_token", lambda _, body: serving.token.encode() in body),
        api.order_route(f"{PATH}/reports/video-views", order),
        api.route(PATH + "/requests/job-{number:int}", state),
        Route(PATH + "/signed/{number:int}", signed),
    ]


def viewed(world: World, day: int) -> Done:
    """Return the viewings."""
    return Done(*views(world, day))


FEEDS = [Feed("echo360_views", "vle", routes=routes, done=viewed)]
