"""The campus over the wire: what clients pull by SFTP and HTTP, read by naive readers of our own, is the truth."""

import asyncio
import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncssh
import httpx
import pytest

from campus import servers, truth
from campus.simulation import Campus, CampusError
from campus.systems.registry import FEEDS
from campus.world import ZONE, World

MONDAY = date(2026, 8, 24)
# Those that the readers below know; the files of the others are read in test_file_feeds.
KNOWN = [feed for feed in FEEDS if not feed.is_adopted]
ATTENDANCE, VLE, GATES = ("attendance", "attendance"), ("vle", "vle"), ("library_gates", "library_access")


@dataclass
class Tally:
    """What a naive reader counts for a student, day and source."""

    times: list[datetime] = field(default_factory=list)
    expected: int = 0
    attended: int = 0


Found = dict[tuple[str, date, tuple[str, str]], Tally]


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """A small campus in the middle of its second week, without faults."""
    world = World(MONDAY, students=40, weeks=3, faulty=False)
    with Campus(tmp_path_factory.mktemp("campus"), world, feeds=KNOWN) as campus:
        campus.advance(datetime(2026, 9, 2, 12, tzinfo=ZONE))
        yield campus


def pull(campus: Campus) -> dict[str, tuple[float, bytes]]:
    """Fetch everything that the SFTP server shows: modification time and content by path."""
    env = campus.environment

    async def fetch() -> dict[str, tuple[float, bytes]]:
        async with (
            asyncssh.connect(
                env["CAMPUS_SFTP_HOST"],
                int(env["CAMPUS_SFTP_PORT"]),
                username=env["CAMPUS_SFTP_USER"],
                client_keys=[env["CAMPUS_SFTP_KEY"]],
                known_hosts=env["CAMPUS_SFTP_KNOWN_HOSTS"],
                config=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):
            found = {}
            async for folder in sftp.scandir("/"):
                if str(folder.filename).strip("."):
                    async for entry in sftp.scandir(f"/{folder.filename}"):
                        path = f"{folder.filename}/{entry.filename}"
                        if str(entry.filename).strip("."):
                            async with sftp.open(f"/{path}", "rb") as file:
                                found[path] = (float(entry.attrs.mtime or 0), await file.read())
            return found

    return asyncio.run(fetch())


def client(campus: Campus) -> httpx.Client:
    headers = {"Authorization": f"Bearer {campus.environment['CAMPUS_VLE_TOKEN']}"}
    return httpx.Client(base_url=campus.environment["CAMPUS_VLE_URL"], headers=headers)


def events(campus: Campus, start: str, end: str, per_page: int = 500) -> tuple[list[dict[str, object]], Counter[str]]:
    """Follow the pages of a window, trying again as a patient client does; return events and what was met."""
    met: Counter[str] = Counter()
    got: list[dict[str, object]] = []
    url = "/api/v1/events"
    query: dict[str, str] | None = {"from": start, "to": end, "per_page": str(per_page)}
    with client(campus) as http:
        while url:
            answer = http.get(url, params=query)
            met[str(answer.status_code)] += 1
            if answer.status_code != 200:
                continue
            try:
                got += answer.json()
            except json.JSONDecodeError:
                met["half"] += 1
                continue
            url, query = answer.links.get("next", {}).get("url", ""), None
    return got, met


def naive_attendance(files: dict[str, tuple[float, bytes]], found: Found) -> None:
    newest: dict[str, tuple[float, bytes]] = {}
    for path, version in files.items():
        if path.startswith("attendance/"):
            day = path.removeprefix("attendance/attendance_")[:8]
            newest[day] = max(newest.get(day, (0.0, b"")), version)
    for _, content in newest.values():
        assert content.count(b"\n") == content.count(b"\r\n")
        for row in csv.DictReader(io.StringIO(content.decode())):
            try:
                starts = datetime.strptime(row["Session Start"], "%d/%m/%Y %H:%M").replace(tzinfo=ZONE)
                datetime.strptime(row["Recorded At"], "%d/%m/%Y %H:%M")
            except (TypeError, ValueError):
                continue
            tally = found[row["Student Number"], starts.date(), ATTENDANCE]
            attended, mandatory = row["Attended"] == "Yes", row["Mandatory"] == "Yes"
            tally.times += [starts] * attended
            tally.expected += mandatory
            tally.attended += attended and mandatory


def naive_library(files: dict[str, tuple[float, bytes]], found: Found) -> None:
    for path, (_, content) in files.items():
        if not (path.startswith("library/") and path.endswith(".csv")):
            continue
        assert files[f"{path}.done"][1] == b""
        stamp = path[-12:-4]
        roster = csv.DictReader(io.StringIO(files[f"student_records/students_{stamp}.csv"][1].decode("utf-8-sig")))
        owner = {row["badge_number"]: row["student_id"] for row in roster}
        *rows, total = csv.reader(io.StringIO(content.decode("latin-1")), delimiter=";")
        assert total == ["TOTAL", str(len(rows) - 1), "", "", "", ""]
        if sum(row[4] in owner for row in rows[1:]) < 0.8 * (len(rows) - 1):
            continue
        last: dict[tuple[str, str], datetime] = {}
        for _, moment, _, _, badge, direction in rows[1:]:
            at = datetime.fromisoformat(moment)
            before, last[badge, direction] = last.get((badge, direction), datetime.min), at
            if direction == "I" and at - before > timedelta(seconds=60):
                found[owner[badge], at.date(), GATES].times.append(at.replace(tzinfo=ZONE))


def naive_vle(campus: Campus, files: dict[str, tuple[float, bytes]], found: Found) -> Counter[str]:
    newest = max(p for p in files if p.startswith("student_records/students_"))
    roster = csv.DictReader(io.StringIO(files[newest][1].decode("utf-8-sig")))
    owner = {row["username"]: row["student_id"] for row in roster}
    got, met = events(campus, "2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z")
    for event in got:
        user, at = event["user"], datetime.fromisoformat(str(event["time"]))
        assert isinstance(user, dict)
        if event["real_user"] is None:
            found[owner[user["username"]], at.astimezone(ZONE).date(), VLE].times.append(at)
    return met


@pytest.mark.parametrize(
    ("world", "now", "faults"),
    [
        (World(MONDAY, students=60), datetime(2026, 11, 21, 12, tzinfo=ZONE), {"late", "corrected", "bad_batch"}),
        # The day on which the late file is still missing and the corrected one not yet corrected
        (World(MONDAY, students=60, seed=8), datetime(2026, 11, 1, 12, 34, 56, tzinfo=ZONE), set()),
        (
            World(date(2027, 3, 15), students=60, weeks=3),
            datetime(2027, 4, 9, tzinfo=UTC),
            {"late", "corrected", "bad_batch"},
        ),
    ],
    ids=["whole term", "before late and corrected files", "spring forward"],
)
def test_naive_readers_of_what_is_delivered_find_the_truth(
    world: World, now: datetime, faults: set[str], tmp_path: Path
) -> None:
    found: Found = defaultdict(Tally)
    with Campus(tmp_path, world, fault_every=4, feeds=KNOWN) as campus:
        campus.advance(now)
        files = pull(campus)
        met = naive_vle(campus, files, found)
        folder = campus.write_truth(now)
    naive_attendance(files, found)
    naive_library(files, found)
    assert met["429"] and met["503"] and met["half"]
    mine = [
        (student, day, *source, len(t.times), len(t.times), min(t.times, default=None), max(t.times, default=None),
         t.expected, t.attended)
        for (student, day, source), t in found.items() if t.times or t.expected
    ]  # fmt: skip
    known = truth.read_daily(folder / "daily_activity.csv")
    assert truth.compare_daily(known, mine) == []
    assert {row.source_id for row in known} == {"attendance", "vle", "library_gates"}
    summary = json.loads((folder / "truth.json").read_text())
    assert {f["fault"] for f in summary["files"] if f["file"] in files} == faults
    assert len(summary["bad_rows"]) == 2
    for row in summary["bad_rows"]:
        line = files[row["file"]][1].decode().splitlines()[row["line"] - 1]
        assert line.count(",") == 3 if row["kind"] == "truncated" else ",31/02/" in line


def test_files_are_dated_when_they_were_due_and_nothing_half_written_shows(campus: Campus) -> None:
    files = pull(campus)
    first, last = date(2026, 8, 22), date(2026, 9, 1)
    assert {p for p in files if p.startswith("attendance/")} == {
        f"attendance/attendance_{MONDAY + timedelta(days=i):%Y%m%d}.csv" for i in range((last - MONDAY).days + 1)
    }
    assert files["student_records/term_calendar_20260822.csv"][0] < datetime(2026, 8, 24, tzinfo=ZONE).timestamp()
    for path, (modified, _) in files.items():
        day = datetime.strptime(path.removesuffix(".done")[-12:-4], "%Y%m%d").date()
        assert first <= day <= last
        assert modified == datetime(day.year, day.month, day.day, 3, tzinfo=ZONE).timestamp() + 86_400
    assert all(not name.rsplit("/", 1)[-1].startswith(".") for name in files)


def test_a_server_with_another_host_key_is_not_believed(campus: Campus, tmp_path: Path) -> None:
    with servers.sftp_server(tmp_path / "root", tmp_path / "keys") as other:
        known = Path(other["CAMPUS_SFTP_KNOWN_HOSTS"]).read_text()
        wrong = tmp_path / "known_hosts"
        wrong.write_text(known.replace(other["CAMPUS_SFTP_PORT"], campus.environment["CAMPUS_SFTP_PORT"]))
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            asyncio.run(_connect(campus, str(wrong), campus.environment["CAMPUS_SFTP_KEY"]))
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(_connect(campus, campus.environment["CAMPUS_SFTP_KNOWN_HOSTS"], other["CAMPUS_SFTP_KEY"]))


async def _connect(campus: Campus, known_hosts: str, key: str) -> None:
    host, port = campus.environment["CAMPUS_SFTP_HOST"], int(campus.environment["CAMPUS_SFTP_PORT"])
    async with asyncssh.connect(host, port, username="engage", client_keys=[key], known_hosts=known_hosts, config=None):
        pass


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}], ids=["no token", "a wrong token"])
def test_the_api_wants_its_token(campus: Campus, header: dict[str, str]) -> None:
    answer = httpx.get(f"{campus.environment['CAMPUS_VLE_URL']}/api/v1/events", headers=header)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "query",
    [{}, {"from": "2026-09-01", "to": "2026-09-02"}, {"from": "yesterday", "to": "2026-09-02T00:00:00Z"},
     {"from": "2026-09-01T00:00:00Z", "to": "2026-09-02T00:00:00Z", "per_page": "0"}],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(campus: Campus, query: dict[str, str]) -> None:
    with client(campus) as http:
        assert http.get("/api/v1/events", params=query).status_code == 400


@pytest.mark.parametrize("per_page", [1, 7, 100, 500])
def test_pages_of_any_size_make_the_same_list(campus: Campus, per_page: int) -> None:
    start, end = "2026-08-30T22:00:00Z", "2026-09-01T03:00:00+01:00"
    whole, _ = events(campus, start, end)
    assert events(campus, start, end, per_page)[0] == whole
    assert len({event["id"] for event in whole}) == len(whole) > 100
    times = [str(event["time"]) for event in whole]
    assert times == sorted(times)


def test_a_page_has_at_most_500_events_and_links_to_the_next(campus: Campus) -> None:
    with client(campus) as http:
        query = {"from": "2026-08-24T00:00:00Z", "to": "2026-09-30T00:00:00Z", "per_page": "100000"}
        answer = http.get("/api/v1/events", params=query)
    assert len(answer.json()) == 500
    assert answer.links.keys() == {"first", "next"}
    assert "per_page=500" in answer.links["next"]["url"]


def test_a_window_is_half_open_and_ends_at_the_campus_clock(campus: Campus) -> None:
    everything, _ = events(campus, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
    assert max(str(e["time"]) for e in everything) < campus.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    middle = str(everything[len(everything) // 2]["time"])
    before, _ = events(campus, "2026-01-01T00:00:00Z", middle)
    after, _ = events(campus, middle, "2027-01-01T00:00:00Z")
    assert before + after == everything
    assert max(str(e["time"]) for e in before) < middle == after[0]["time"]


def test_faults_come_in_turn_and_always_at_the_same_calls(tmp_path: Path) -> None:
    world = World(MONDAY, students=40, weeks=1)

    def answers(folder: Path) -> list[tuple[int, str | None, bool]]:
        with Campus(folder, world, fault_every=3, feeds=KNOWN) as campus, client(campus) as http:
            campus.advance(world.start(7))
            query = {"from": "2026-08-24T00:00:00Z", "to": "2026-08-25T00:00:00Z"}
            seen = [http.get("/api/v1/events", params=query) for _ in range(12)]
            return [(a.status_code, a.headers.get("Retry-After"), a.text.endswith("}]")) for a in seen]

    first = answers(tmp_path / "one")
    assert first == answers(tmp_path / "two")
    faults = [a for a in first if a != (200, None, True)]
    assert sorted(faults, key=str) == [(200, None, False), (429, "0", False), (429, "1", False), (503, None, False)]


def test_a_campus_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    world, noon = World(MONDAY, students=20, weeks=2), datetime(2026, 8, 26, 12, tzinfo=ZONE)
    with Campus(tmp_path, world, feeds=KNOWN) as campus:
        first = campus.advance(noon)
        assert len(first) == 2 * 4 + 1 + 1 + 2 * 2
        assert campus.advance(noon) == []
        token = campus.environment["CAMPUS_VLE_TOKEN"]
    with Campus(tmp_path, world, feeds=KNOWN) as campus:
        assert campus.now == noon
        assert campus.environment["CAMPUS_VLE_TOKEN"] == token
        assert campus.advance(noon - timedelta(days=1)) == []
        assert campus.now == noon
        assert not set(campus.advance(noon + timedelta(days=1))) & set(first)
        with pytest.raises(ValueError, match="zone"):
            campus.advance(datetime(2026, 8, 27))
    with pytest.raises(CampusError, match="another campus"):
        Campus(tmp_path, World(MONDAY, students=20, weeks=3))


def test_what_fell_due_while_the_campus_was_closed_is_there_when_it_opens(tmp_path: Path) -> None:
    world, weeks_later = World(MONDAY, students=20, weeks=2), datetime(2026, 10, 12, 8, 30, tzinfo=ZONE)
    with Campus(tmp_path, world, feeds=KNOWN) as campus:
        campus.advance(world.due(9))
        before = pull(campus)
    with Campus(tmp_path, world, feeds=KNOWN) as campus:
        missed = campus.advance(weeks_later)
        after = pull(campus)
        recent, _ = events(campus, "2026-10-12T00:00:00+01:00", "2026-10-13T00:00:00+01:00")
    assert after.items() >= before.items()
    for source in ("student_records/students", "student_records/enrolments", "attendance/attendance", "library/gates"):
        stamps = [path[-12:-4] for path in missed if path.startswith(source)]
        assert stamps == [f"{date(2026, 9, 3) + timedelta(days=day):%Y%m%d}" for day in range(39)]
    assert recent
    calendar = after["student_records/term_calendar_20261003.csv"][1].decode("utf-8-sig")
    assert calendar.splitlines()[-1] == "2026T4,teaching,2026-10-05,2026-10-18,,"


def test_late_and_corrected_files_come_on_their_day(tmp_path: Path) -> None:
    world = World(MONDAY, students=20)
    with Campus(tmp_path, world, feeds=KNOWN) as campus:
        campus.advance(datetime(2026, 11, 3, 2, 59, tzinfo=ZONE))
        there = {
            p
            for p in pull(campus)
            if p.startswith(("attendance/attendance_20261029", "attendance/attendance_20261030"))
        }
        assert there == {"attendance/attendance_20261030.csv"}
        new = campus.advance(datetime(2026, 11, 3, 3, tzinfo=ZONE))
    assert {"attendance/attendance_20261029.csv", "attendance/attendance_20261030_v2.csv"} <= set(new)


def test_serve_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "campus", "serve", str(tmp_path), "--students", "20", "--speed", "100",
               "--first-monday", "2026-08-24", "--history", "3"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "sftp/attendance/attendance_20260828.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "the campus is closed" in output
    assert "CAMPUS_SFTP_KNOWN_HOSTS=" in (tmp_path / "environment").read_text()
    assert (tmp_path / "truth/truth.json").exists()
