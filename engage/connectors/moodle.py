"""Moodle's web services: what was submitted, or when each student was last seen in a course, since the reading before.

Which functions are asked, in which order, and what Moodle says when it means no (mostly with HTTP 200) belong here; how
one call is made is `http_client.py`, what a line means is the source's. Every course and every enrolment is a line too,
without a person: a list that shrinks is known by their number (`expect_dropped_rows_not_to_shrink`).
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx

from engage.connectors import AccessError, Remote, TransportError
from engage.connectors.http_client import Client
from engage.connectors.http_errors import AgainError, StatusError
from engage.connectors.windows import beginning, held, landed_until, midnight, readings
from engage.sources import Source, resolve
from engage.transports import MoodleRest
from engage.warehouse import Connection

_SITE, _COURSES = "core_webservice_get_site_info", "core_course_get_courses"
_ASSIGNMENTS, _SUBMISSIONS = "mod_assign_get_assignments", "mod_assign_get_submissions"
_ENROLLED, _USERS = "core_enrol_get_enrolled_users", "core_user_get_users_by_field"
_NEEDED = {
    "submissions": (_COURSES, _ASSIGNMENTS, _SUBMISSIONS, _USERS),
    "last_access": (_COURSES, _ENROLLED),
}
_LONGEST = timedelta(days=366)
_AT_ONCE = 100
"""Courses, assignments or users in one call."""
_NOTHING_FOUND = "3"
"""Code of a warning that says no more than that."""
_CODE = re.compile(r"\w{1,60}")
_RENEW = "have a new token made for the service account"
_ADVICE = {
    "invalidtoken": f"the token is unknown, or has expired; {_RENEW}",
    "accessexception": "the token has expired, may not be used from this machine, or its service is disabled or lacks"
    f" the function (Moodle does not say which); check the service, or {_RENEW}",
    "wsaccessusersuspended": "the service account is suspended; have it made active",
    "nopermissions": "the service account lacks a capability that the function needs; have its role extended",
    "requireloginerror": "the service account may not enter the course; have its role extended",
    "invalidparameter": "Moodle does not take what we ask for; is it older than 4.1?",
    "servicenotavailable": "web services are switched off; have them enabled",
}
"""What is not worth another attempt: error code -> what to do. Of every other the next attempt may be better."""

Item = dict[str, Any]


class MoodleConnector:
    """One Moodle."""

    def __init__(self, source: Source, transport: MoodleRest) -> None:
        self._source = source
        self._transport = transport
        self._zone = ZoneInfo(source.format.time_zone)

    def list(self, connection: Connection, now: datetime) -> Sequence[Remote]:
        """See Connector: one window from the last landed one to midnight, and those whose held answer is old."""
        at = self._source.delivered_at
        over = now.astimezone(self._zone) - timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
        first = beginning(self._source, self._transport.start, self._zone)
        start = max(landed_until(connection, self._source.id) or first, first)
        old = [remote for remote in held(connection, self._source.id, now) if (remote.window_start or first) >= first]
        return [*readings(start, midnight(over.date(), self._zone), _LONGEST, self._zone), *old]

    def fetch(self, remotes: Sequence[Remote], into: Path) -> Iterator[tuple[Remote, Path]]:
        """See Connector."""
        with Client(self._transport) as client:
            for number, remote in enumerate(remotes):
                path = into / str(number)
                # No name and no time in the gzip header: the same answers are the same bytes.
                with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                    for item in _Reading(client, self._transport, remote).items():
                        file.write(json.dumps(item, separators=(",", ":")).encode() + b"\n")
                yield remote, path


class _Reading:
    """One reading of what belongs to a window."""

    def __init__(self, client: Client, transport: MoodleRest, remote: Remote) -> None:
        self._client, self._transport = client, transport
        self._url = client.url(transport.path)
        self._token = resolve(transport.token or "")
        self._since = int((cast(datetime, remote.window_start) - transport.overlap).timestamp())
        self._until = int(cast(datetime, remote.window_end).timestamp())

    def items(self) -> Iterator[Item]:
        """Yield the lines. Raises AccessError, TransportError."""
        self._preflight()
        courses = [course["id"] for course in self._list(_COURSES) if course.get("format") != "site"]
        if not courses:
            raise AccessError(
                f"{self._at(_COURSES)}: the service account sees no course; give it a role in all of them"
            )
        yield from ({"kind": "course"} for _ in courses)
        if self._transport.read == "last_access":
            for course in courses:
                yield from self._last_accesses(course)
        else:
            assignments = [assignment for some in _batches(courses) for assignment in self._assignments(some)]
            for some in _batches(assignments):
                yield from self._submissions(some)

    def _preflight(self) -> None:
        """Raise AccessError when the service lacks a function: asked for later, it would look like any refusal."""
        offered = {function["name"] for function in self._dict(_SITE).get("functions", [])}
        if missing := [name for name in _NEEDED[self._transport.read] if name not in offered]:
            raise AccessError(
                f"{self._at(_SITE)}: the service lacks {', '.join(missing)}; have them added to it in Moodle"
            )

    def _assignments(self, courses: Sequence[int]) -> list[int]:
        # Without the flag those of courses in which the service account is not enrolled are left out.
        said = self._dict(_ASSIGNMENTS, includenotenrolledcourses=1, courseids=courses)
        if said.get("warnings"):
            raise AccessError(
                f"{self._at(_ASSIGNMENTS)}: {len(said['warnings'])} of {len(courses)} courses are kept from the service"
                " account; give it a role with mod/assign:view in them"
            )
        return [one["id"] for course in said["courses"] for one in course["assignments"]]

    def _submissions(self, assignments: Sequence[int]) -> Iterator[Item]:
        said = self._dict(
            _SUBMISSIONS, assignmentids=assignments, status="submitted", since=self._since, before=self._until
        )
        if refused := [w for w in said.get("warnings", []) if w.get("warningcode") != _NOTHING_FOUND]:
            raise AccessError(
                f"{self._at(_SUBMISSIONS)}: {len(refused)} of {len(assignments)} assignments are kept from the service"
                " account; give it a role with mod/assign:viewgrades in them"
            )
        # A draft is none yet, a reopened one none any more; of a group's only the group is named.
        found = [
            (assignment["assignmentid"], one)
            for assignment in said["assignments"]
            for one in assignment["submissions"]
            if one["status"] == "submitted" and one["userid"]
        ]
        names = self._names(sorted({one["userid"] for _, one in found}))
        for assignment, one in found:
            yield {
                "kind": "submission",
                # Handed in again, it is another act of the student.
                "id": f"submission/{one['id']}/{one['timemodified']}",
                "user": names.get(one["userid"]),
                "time": one["timemodified"],
                "assignment": assignment,
                "quantity": 1,
            }

    def _last_accesses(self, course: int) -> Iterator[Item]:
        for user in self._enrolled(course):
            yield {"kind": "enrolment"}
            # 0 is never. A value that stands still is told once.
            if (at := user["lastcourseaccess"]) >= self._since:
                yield {
                    "kind": "last_access",
                    "id": f"last_access/{user['id']}/{course}/{at}",
                    "user": user.get(self._transport.user_key),
                    "time": at,
                    "course": course,
                    "roles": ",".join(sorted(role["shortname"] for role in user.get("roles", []))) or "none",
                    # When somebody was last there, not how often: the access before it is not known any more.
                    "quantity": 0,
                }

    def _enrolled(self, course: int) -> Iterator[Item]:
        """Yield everybody in the course; after a short page there may be more, after an empty one not."""
        fields = f"id,{self._transport.user_key},lastcourseaccess,roles"
        place = 0
        while page := self._list(
            _ENROLLED,
            courseid=course,
            options=[
                {"name": "limitfrom", "value": place},
                {"name": "limitnumber", "value": self._transport.page_size},
                {"name": "sortby", "value": "id"},
                {"name": "userfields", "value": fields},
            ],
        ):
            if not all("lastcourseaccess" in user for user in page):
                # Left out, not empty: it must not be taken for "never".
                raise AccessError(
                    f"{self._at(_ENROLLED)}: lastcourseaccess is hidden in course {course}; give the service account"
                    " moodle/course:viewhiddenuserfields there, or take it out of hiddenuserfields"
                )
            self._refuse_nameless(page)
            yield from page
            place += self._transport.page_size

    def _names(self, users: Sequence[int]) -> dict[int, str]:
        """Return who these users are. Of a deleted one Moodle still tells a name, which is nobody's."""
        found = [one for some in _batches(users) for one in self._list(_USERS, field="id", values=some)]
        self._refuse_nameless(found)
        return {one["id"]: one[self._transport.user_key] for one in found if one.get(self._transport.user_key)}

    def _refuse_nameless(self, users: Sequence[Item]) -> None:
        key = self._transport.user_key
        if users and not any(key in user for user in users):
            raise AccessError(
                f"{self._url.host}: {key} is hidden from the service account; give it moodle/user:viewalldetails,"
                f" or have {key} added to showuseridentity"
            )

    def _dict(self, function: str, **parameters: Any) -> Item:
        answer = self._call(function, parameters)
        if not isinstance(answer, dict):
            raise TransportError(f"{self._at(function)}: the answer is no object")
        return answer

    def _list(self, function: str, **parameters: Any) -> list[Item]:
        answer = self._call(function, parameters)
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise TransportError(f"{self._at(function)}: the answer is no list of objects")
        return answer

    def _call(self, function: str, parameters: Item) -> Any:
        """Return the answer of a function. In a form, for an address would stand in the logs with its token."""
        asked = {"wstoken": self._token, "wsfunction": function, "moodlewsrestformat": "json", **_flat(parameters)}
        try:
            return self._client.ask(
                self._url, lambda response: self._read(function, response), function, "POST", data=asked
            )
        except StatusError as error:
            if error.status == 403:
                raise AccessError(
                    f"{self._at(function)}: HTTP 403; web services or their REST protocol are switched off in Moodle,"
                    " or this machine is kept out"
                ) from None
            raise

    def _read(self, function: str, response: httpx.Response) -> Any:
        answer = self._client.json(response)
        if not isinstance(answer, dict) or "exception" not in answer:
            return answer
        code = str(answer.get("errorcode"))
        # Not Moodle's message: it may name somebody.
        message = f"{self._at(function)}: {code if _CODE.fullmatch(code) else 'an error without a code'}"
        if advice := _ADVICE.get(code):
            raise AccessError(f"{message}: {advice} ({self._transport.token})")
        if code == "invalidrecord":
            # The functions are there, so it is a course or an assignment that is not there any more.
            raise TransportError(f"{message}: something was deleted in Moodle meanwhile; the next reading begins anew")
        raise AgainError.of(response, message)

    def _at(self, function: str) -> str:
        return f"{self._url.host}/{function}"


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Return nested parameters as PHP reads them from a form: `courseids[0]`, `options[1][name]`."""
    if isinstance(value, dict):
        parts = [(f"{name}[{key}]" if name else str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{name}[{place}]", part) for place, part in enumerate(value)]
    else:
        return {name: str(value)}
    return {key: text for inner, part in parts for key, text in _flat(part, inner).items()}


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    yield from (numbers[place : place + _AT_ONCE] for place in range(0, len(numbers), _AT_ONCE))
