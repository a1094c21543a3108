"""Moodle's web services: courses, assignments, submissions and who is enrolled, in the shapes of Moodle's own answers.

Everything is HTTP 200, errors too. What students did is `moodle_log`'s, but for what they handed in.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from campus.systems import Done, Feed, Serving, moodle_log
from campus.world import YEARS, Ints, World

FIRST_COURSE = 10
SHARE = 0.6
"""Of the students who hand something in in a week."""
FUNCTIONS = [
    "core_webservice_get_site_info",
    "core_course_get_courses",
    "core_enrol_get_enrolled_users",
    "core_user_get_users_by_field",
    "mod_assign_get_assignments",
    "mod_assign_get_submissions",
]
Form = dict[str, str]


def error(code: str, exception: str = "moodle_exception") -> Response:
    """Return what Moodle answers when it means no."""
    return JSONResponse({"exception": exception, "errorcode": code, "message": "Something went wrong"})


FAULTS = [
    error("sitemaintenance"),
    Response("<html><body>upgrade</body></html>", 503, {"Retry-After": "0"}, "text/html"),
    error("dbconnectionfailed", "dml_connection_exception"),
    Response('[{"id": 3, "shortn', media_type="application/json"),
]
"""Of the calls that fail, in turn."""


def course_of(world: World) -> Ints:
    """Return the course of every student: one for each year of a programme."""
    p = world.population
    return FIRST_COURSE + p.programme * YEARS + p.year - 1


@lru_cache(maxsize=8)
def handed_in(world: World, week: int) -> Ints:
    """Return when every student handed in the week's assignment of their course, in epoch seconds; 0: not at all."""
    rng, p, n = world.rng(21, week), world.population, world.students
    day = 7 * week + rng.integers(0, 7, n)
    midnights = np.array([int(world.start(7 * week + d).timestamp()) for d in range(7)])
    present = np.array([world.present(7 * week + d) for d in range(7)])[day % 7, np.arange(n)]
    does = (rng.random(n) < SHARE) & present & (p.silent_from > day)
    return np.where(does, midnights[day % 7] + rng.integers(8 * 3600, 22 * 3600, n), 0)


def routes(serving: Serving) -> list[BaseRoute]:
    """Return the web services of a world."""
    world = serving.world
    courses = course_of(world)
    calls = world.seed

    def now() -> int:
        return int(serving.clock().timestamp())

    def weeks() -> range:
        return range(world.adopted // 7, world.day_of(serving.clock()) // 7 + 1)

    def user(student: int) -> dict[str, Any]:
        p = world.population
        return {
            "id": moodle_log.FIRST_USER + student,
            "username": p.username[student],
            "fullname": f"{p.given_name[student]} {p.family_name[student]}",
            "idnumber": p.student_id[student],
        }

    def listed(form: Form, name: str) -> list[str]:
        return [value for key, value in form.items() if key.startswith(f"{name}[")]

    def site_info(_: Form) -> object:
        functions = [{"name": name, "version": "2023100900"} for name in FUNCTIONS]
        return {"sitename": "Northbank", "release": "4.3 (Build: 20231009)", "userid": 4, "functions": functions}

    def get_courses(_: Form) -> object:
        site = {"id": 1, "shortname": "NORTHBANK", "format": "site"}
        return [site, *({"id": c, "shortname": f"C{c}", "format": "topics"} for c in np.unique(courses).tolist())]

    def assignments(form: Form) -> object:
        found = [
            {"id": int(c), "assignments": [{"id": 1000 * w + int(c)} for w in weeks()]}
            for c in listed(form, "courseids")
        ]
        return {"courses": found, "warnings": []}

    def submissions(form: Form) -> object:
        since, before = int(form.get("since", 0)), min(int(form.get("before", 0)) or now(), now())
        found = []
        for assignment in map(int, listed(form, "assignmentids")):
            at = handed_in(world, assignment // 1000)
            who = np.flatnonzero((courses == assignment % 1000) & (at >= max(since, 1)) & (at <= before)).tolist()
            if who:
                handed = [
                    {"id": assignment * 100_000 + s, "userid": moodle_log.FIRST_USER + s, "attemptnumber": 0,
                     "timecreated": int(at[s]), "timemodified": int(at[s]), "status": "submitted", "groupid": 0}
                    for s in who
                ]  # fmt: skip
                found.append({"assignmentid": assignment, "submissions": handed})
        return {"assignments": found, "warnings": []}

    def enrolled(form: Form) -> object:
        options = {
            form[f"options[{n}][name]"]: form[f"options[{n}][value]"]
            for n in range(len(form))
            if f"options[{n}][name]" in form
        }
        members = np.flatnonzero(courses == int(form["courseid"])).tolist()
        low, many = int(options.get("limitfrom", 0)), int(options.get("limitnumber", len(members)))
        seen = last_seen(world, now() // 60 * 60)
        student, teacher = [{"roleid": 5, "shortname": "student"}], [{"roleid": 3, "shortname": "editingteacher"}]
        people = [user(s) | {"lastcourseaccess": int(seen[s]), "roles": student} for s in members]
        staff = {"id": 3, "username": moodle_log.OTHERS[3], "lastcourseaccess": now() - 60, "roles": teacher}
        return [staff, *people][low : low + many]

    def users_by_field(form: Form) -> object:
        return [user(int(number) - moodle_log.FIRST_USER) for number in listed(form, "values")]

    answers = dict(
        zip(FUNCTIONS, [site_info, get_courses, enrolled, users_by_field, assignments, submissions], strict=True)
    )

    async def endpoint(request: Request) -> Response:
        nonlocal calls
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if form.get("wstoken") != serving.token:
            return error("invalidtoken")
        if form.get("wsfunction") not in answers:
            return error("accessexception", "webservice_access_exception")
        calls += 1
        if serving.fault_every and calls % serving.fault_every == 0:
            return FAULTS[calls // serving.fault_every % len(FAULTS)]
        return JSONResponse(answers[form["wsfunction"]](form))

    return [Route("/moodle/webservice/rest/server.php", endpoint, methods=["POST"])]


@lru_cache(maxsize=2)
def last_seen(world: World, moment: int) -> Ints:
    """Return when every student was last seen before the moment, both in epoch seconds; 0: never, or two days ago."""
    seen = np.zeros(world.students, np.int64)
    today = world.day_of(datetime.fromtimestamp(moment, UTC))
    for day in (today - 1, today):
        table = moodle_log.events(world, day)
        table = table.take((table.at < moment) & ~table.login_as)
        np.maximum.at(seen, table.student, table.at)
    return seen


def done(world: World, day: int) -> Done:
    at = handed_in(world, day // 7)
    who = np.flatnonzero((at >= world.start(day).timestamp()) & (at < world.start(day + 1).timestamp()))
    return Done(who, at[who])


FEEDS = [Feed("moodle_state", "other", routes=routes, done=done), Feed("moodle_last_access", "other")]
