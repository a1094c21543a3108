"""From Moodle's web services to the ledger, by answers recorded from a real Moodle: a no is an HTTP 200 with it too."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from engage.connectors import AccessError, TransportError
from engage.landing import Delivery, land, look, open_delivery
from engage.settings import PROJECT
from engage.sources import Source, load_source
from engage.warehouse import Connection
from tests.integration.landing.kit import say

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
START = datetime(2026, 10, 24, 23, tzinfo=UTC)
RECORDED = Path(__file__).parents[2] / "data" / "moodle"
Form = dict[str, str]
Answer = Callable[[Form], Any]


def recorded(name: str) -> Any:
    """Return the body of a recorded answer."""
    return json.loads((RECORDED / f"{name}.json").read_text())["response"]["body"]


class Moodle:
    """Answers each function as recorded; what is put into `faults` first."""

    def __init__(self) -> None:
        people = {user["id"]: user for user in recorded("enrolled_users_userfields")}
        # Who has left the course is a user still, and a deleted one is no student's name.
        people[133] = recorded("user_deleted_by_id")[0]
        self.answers: dict[str, Answer] = {
            "core_webservice_get_site_info": lambda form: recorded("site_info"),
            "core_course_get_courses": lambda form: recorded("courses_all"),
            "mod_assign_get_assignments": lambda form: recorded("assign_assignments"),
            "mod_assign_get_submissions": lambda form: recorded("assign_submissions"),
            "core_enrol_get_enrolled_users": self._enrolled,
            "core_user_get_users_by_field": lambda form: [people[int(v)] for k, v in form.items() if "values[" in k],
        }
        self.faults: list[str] = []
        """Names of recorded answers."""
        self.asked: list[Form] = []
        moodle = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                moodle.asked.append(form)
                assert "?" not in self.path, "an address stands in logs"
                if moodle.faults:
                    response = json.loads((RECORDED / f"{moodle.faults.pop(0)}.json").read_text())["response"]
                    body = response["body"] if isinstance(response["body"], str) else json.dumps(response["body"])
                    later = {"Retry-After": "0"} if response["http_status"] == 503 else {}
                    say(self, response["http_status"], body.encode(), later)
                else:
                    say(self, 200, json.dumps(moodle.answers[form["wsfunction"]](form)).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def _enrolled(self, form: Form) -> Any:
        assert (form["options[0][name]"], form["options[1][name]"]) == ("limitfrom", "limitnumber")
        place, many = int(form["options[0][value]"]), int(form["options[1][value]"])
        users = recorded("enrolled_users_userfields") if form["courseid"] == "3" else []
        # Filtered after the query: a page may be short, and more come after it.
        return [user for user in users[place : place + many] if user["id"] != 110]


@pytest.fixture
def moodle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Moodle]:
    moodle = Moodle()
    thread = threading.Thread(target=moodle.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("CAMPUS_API_URL", f"http://127.0.0.1:{moodle.server.server_port}")
    monkeypatch.setenv("CAMPUS_API_TOKEN", "t0k3n")
    monkeypatch.setenv("CAMPUS_ADOPTED", "2026-10-25")
    monkeypatch.setattr("engage.connectors.http_client._BACK_OFF", lambda state: 0.0)
    yield moodle
    moodle.server.shutdown()
    thread.join()
    moodle.server.server_close()


def source_of(name: str, **changes: Any) -> Source:
    """Return the source as its file has it, with changes of its transport."""
    source = load_source(PROJECT / "config" / "sources" / f"{name}.yaml")
    return source.model_validate(source.model_dump() | {"transport": source.transport.model_dump() | changes})


SUBMISSIONS, LAST_ACCESS = "moodle_state", "moodle_last_access"


def lines_of(store: str, delivery: Delivery) -> list[dict[str, Any]]:
    with open_delivery(store, delivery.landed_path) as file:
        return [json.loads(line) for line in gzip.decompress(file.read()).decode().splitlines()]


def test_what_was_handed_in_comes_with_whose_it_is_and_without_the_work(
    warehouse: Connection, moodle: Moodle, store: str
) -> None:
    (delivery,) = land(warehouse, source_of(SUBMISSIONS), store, NOW).landed
    assert (delivery.first_day, delivery.last_day) == (date(2026, 10, 25), date(2026, 11, 21))
    lines = lines_of(store, delivery)
    assert [line for line in lines if line["kind"] == "course"] == [{"kind": "course"}] * 6, "without the site itself"
    submissions = {line["id"]: line for line in lines if line["kind"] == "submission"}
    every = [one for assignment in recorded("assign_submissions")["assignments"] for one in assignment["submissions"]]
    handed_in = {f"submission/{one['id']}/{one['timemodified']}" for one in every if one["status"] == "submitted"}
    assert submissions.keys() == handed_in and len(every) > len(handed_in), "no draft"
    assert submissions["submission/55/1794801869"] == {
        "kind": "submission",
        "id": "submission/55/1794801869",
        "user": "s0023",
        "time": 1794801869,
        "assignment": 12,
        "quantity": 1,
    }
    deleted = submissions["submission/62/1794884070"]["user"]
    assert deleted == "s0031@students.example.invalid.1795283665", "nobody's name: it goes to quarantine"
    asked = {form["wsfunction"]: form for form in moodle.asked}
    assert asked["mod_assign_get_assignments"]["includenotenrolledcourses"] == "1"
    assert int(asked["mod_assign_get_submissions"]["since"]) == START.timestamp() - 6 * 3600
    assert {form["wstoken"] for form in moodle.asked} == {"t0k3n"}
    assert look(warehouse, source_of(SUBMISSIONS), NOW) == []
    (following,) = look(warehouse, source_of(SUBMISSIONS), NOW + timedelta(days=3))
    assert (following.first_day, following.last_day) == (date(2026, 11, 22), date(2026, 11, 24))


def test_last_seen_is_told_once_and_everybody_is_counted(warehouse: Connection, moodle: Moodle, store: str) -> None:
    (delivery,) = land(warehouse, source_of(LAST_ACCESS, page_size=20), store, NOW).landed
    lines = lines_of(store, delivery)
    users = [user for user in recorded("enrolled_users_userfields") if user["id"] != 110]
    assert lines.count({"kind": "enrolment"}) == len(users)
    since = START.timestamp() - 6 * 3600
    seen = {user["username"]: user["lastcourseaccess"] for user in users if user["lastcourseaccess"] >= since}
    told = [line for line in lines if line["kind"] == "last_access"]
    assert {line["user"]: line["time"] for line in told} == seen and len(seen) < len(users), "0 is never"
    assert {line["quantity"] for line in told} == {0} and {line["roles"] for line in told} == {"student"}
    pages = [form for form in moodle.asked if form.get("courseid") == "3"]
    assert [form["options[0][value]"] for form in pages] == ["0", "20", "40", "60"], "on to the empty page"


PERMANENT = {
    "err_bad_token": "invalidtoken: .*new token",
    "err_token_expired": "accessexception: the token has expired, may not be used from this machine",
    "err_service_account_suspended": "wsaccessusersuspended: .*have it made active",
    "err_nopermission": "nopermissions: .*role extended",
    "err_debug_developer": "invalidparameter: ",
    "err_rest_disabled": "HTTP 403; web services or their REST protocol are switched off",
}


@pytest.mark.parametrize("name", PERMANENT)
def test_a_lasting_no_is_not_asked_again_and_says_what_to_do(
    warehouse: Connection, moodle: Moodle, store: str, name: str
) -> None:
    moodle.faults = [name]
    with pytest.raises(AccessError, match=PERMANENT[name]) as raised:
        land(warehouse, source_of(SUBMISSIONS), store, NOW)
    assert len(moodle.asked) == 1
    assert not {"svc_pipeline", "t0k3n", "expecting"} & set(str(raised.value).replace('"', " ").split())


def test_an_expired_token_is_refused_in_two_ways(warehouse: Connection, moodle: Moodle, store: str) -> None:
    # The first call that finds it deletes it.
    moodle.faults = ["err_token_expired", "err_token_expired_2nd"]
    for code in ("accessexception", "invalidtoken"):
        with pytest.raises(AccessError, match=code + r".*new token .*\(\$\{CAMPUS_API_TOKEN\}\)"):
            land(warehouse, source_of(SUBMISSIONS), store, NOW)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("err_maintenance_legacy", "sitemaintenance"),
        ("err_maintenance_cli", "HTTP 503"),
        ("err_database_down", "dbconnectionfailed"),
        ("err_php_down", "HTTP 502"),
    ],
)
def test_a_passing_no_is_asked_again_and_one_that_stays_lands_nothing(
    warehouse: Connection, moodle: Moodle, store: str, name: str, said: str
) -> None:
    moodle.faults = [name] * 3
    with pytest.raises(TransportError, match=said):
        land(warehouse, source_of(SUBMISSIONS), store, NOW)
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (0,)
    moodle.faults = [name]
    assert len(land(warehouse, source_of(SUBMISSIONS), store, NOW).landed) == 1


def without(body: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != key} for item in body]


SILENT: dict[str, tuple[str, str, Answer, str]] = {
    "a function that is not in the service": (
        SUBMISSIONS,
        "core_webservice_get_site_info",
        lambda form: {"functions": [f for f in recorded("site_info")["functions"] if f["name"][:10] != "mod_assign"]},
        "the service lacks mod_assign_get_assignments, mod_assign_get_submissions",
    ),
    "no course": (
        SUBMISSIONS,
        "core_course_get_courses",
        lambda form: recorded("courses_all")[:1],
        "sees no course",
    ),
    "courses that are kept from us": (
        SUBMISSIONS,
        "mod_assign_get_assignments",
        lambda form: recorded("assign_assignments_not_enrolled"),
        "3 of 6 courses are kept from the service account; .*mod/assign:view",
    ),
    "assignments that are kept from us": (
        SUBMISSIONS,
        "mod_assign_get_submissions",
        lambda form: {"assignments": [], "warnings": [{"item": "assignment", "itemid": 12, "warningcode": "1"}]},
        "1 of 9 assignments are kept from",
    ),
    "names hidden": (
        SUBMISSIONS,
        "core_user_get_users_by_field",
        lambda form: without(recorded("enrolled_users_userfields"), "username"),
        "username is hidden from the service account; give it moodle/user:viewalldetails",
    ),
    "names hidden in courses": (
        LAST_ACCESS,
        "core_enrol_get_enrolled_users",
        lambda form: recorded("caps_no_viewalldetails"),
        "username is hidden",
    ),
    "last access hidden": (
        LAST_ACCESS,
        "core_enrol_get_enrolled_users",
        lambda form: recorded("caps_hidden_lastaccess"),
        "lastcourseaccess is hidden in course 3; give the service account moodle/course:viewhiddenuserfields",
    ),
}


@pytest.mark.parametrize("case", SILENT)
def test_what_is_silently_left_out_stops_the_source(
    warehouse: Connection, moodle: Moodle, store: str, case: str
) -> None:
    source, function, answer, said = SILENT[case]
    moodle.answers[function] = answer
    with pytest.raises(AccessError, match=said):
        land(warehouse, source_of(source), store, NOW)
    assert warehouse.execute("select count(*) from ops.delivery").fetchone() == (0,)


def test_a_course_that_is_deleted_meanwhile_lets_the_reading_begin_anew(
    warehouse: Connection, moodle: Moodle, store: str
) -> None:
    whole = moodle.answers["core_enrol_get_enrolled_users"]
    gone: list[Any] = [recorded("enrolled_users_deleted_course")]
    moodle.answers["core_enrol_get_enrolled_users"] = lambda form: gone.pop() if gone else whole(form)
    with pytest.raises(TransportError, match="invalidrecord: something was deleted in Moodle meanwhile"):
        land(warehouse, source_of(LAST_ACCESS), store, NOW)
    assert len(land(warehouse, source_of(LAST_ACCESS), store, NOW).landed) == 1
