"""The demo as a user runs it, and everything that must be true of what it leaves: marts, gate, privacy, UI, documented
commands. One demo serves all tests of this file."""

import csv
import io
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import httpx
import pytest
from psycopg import sql

from engage import postgres, warehouse
from tests.conftest import Home
from tests.end_to_end.conftest import CHECKOUT, ENGAGE, engage, environment, processes_over, warehouse_of

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
ADOPTING = CHECKOUT / "docs" / "adding-a-source.md"
# Typed by tests of their own, over files of their own.
TYPED_ELSEWHERE = {
    "access",
    "adding-a-source",
    "configure",
    "exemptions",
    "rules",
    "messages",
    "casework",
    "ladder",
    "subject-access",
}


@dataclass(frozen=True)
class Demo:
    home: Path
    said: "subprocess.CompletedProcess[str]"
    left: list[str]
    """Processes that it has left running."""

    @property
    def truth(self) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = json.loads((self.home / "campus/truth/truth.json").read_text())
        return found

    def file(self, fault: str, source_id: str = "attendance") -> dict[str, str]:
        return next(f for f in self.truth["files"] if (f["fault"], f["source_id"]) == (fault, source_id))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, new_home: Home) -> Iterator[Demo]:
    home = new_home(tmp_path_factory.mktemp("demo") / "home")
    # Who only looked first has started a server there, and may still play the demo.
    looked = engage(home, "batch", "list")
    assert looked.returncode == 0, looked.stderr
    said = engage(home, "demo")
    left = processes_over(home)
    with postgres.running(home / "postgres"):  # else every command below would start and stop it
        yield Demo(home, said, left)


def test_it_agrees_with_the_truth_and_leaves_nothing_running(demo: Demo) -> None:
    assert demo.said.returncode == 0, demo.said.stdout + demo.said.stderr
    assert re.search(r"daily_activity: all [\d,]+ rows are true, none missing, none doubled", demo.said.stdout)
    assert re.search(
        r"of \d\d students who fell silent .*, \d\d are below 350 in the last one$", demo.said.stdout, re.M
    )
    # The last day of the demo ended at midnight; lists read from an API are of the moment.
    files = (CHECKOUT / "config" / "sources").glob("*.yaml")
    sources = {path.stem for path in files if "\nenabled: false" not in path.read_text()}
    assert set(re.findall(r"^(\w+) .* fresh +\d{4}-\d\d-\d\d \d\d:\d\d *$", demo.said.stdout, re.M)) == sources
    assert demo.said.stderr == ""
    assert demo.left == []


def test_whom_it_concerns_is_told_in_files_and_nobody_else(demo: Demo) -> None:
    assert re.search(r"no digital activity: \d\d+ raised, \d+ held .*, 0 missed, 0 false$", demo.said.stdout, re.M)
    with warehouse_of(demo.home) as connection:
        found = connection.execute("select kind, state, count(*) from ops.outbox group by kind, state").fetchall()
        counts = {(kind, state): int(str(many)) for kind, state, many in found}
        exempt = connection.execute(
            "select count(*) from marts.notification as n inner join intermediate.int_exemption as e using (student_id)"
            " where n.kind <> 'score' and n.status = 'raised' and n.trigger_date between e.starts_on and e.ends_on"
        ).fetchone()
        twice = connection.execute(
            "select student_id, kind, trigger_date from marts.notification where kind <> 'score'"
            " group by student_id, kind, trigger_date having count(*) > 1"
        ).fetchall()
    assert {state for _, state in counts} <= {"previewed", "suppressed"}, "nothing leaves the machine"
    assert min(counts[kind, "previewed"] for kind in ("digest", "immediate", "student", "case")) > 0
    assert exempt == (0,)
    assert twice == []
    mails = [path for path in (demo.home / "outbox").iterdir() if path.suffix == ".eml"]
    assert len(mails) >= counts["digest", "previewed"]


def test_every_ended_week_is_published_once(demo: Demo) -> None:
    with warehouse_of(demo.home) as connection:
        rows = connection.execute(
            "select week_start, count(*), count(distinct student_id), min(revision), max(revision), count(score)"
            " from marts.weekly_score group by week_start order by week_start"
        ).fetchall()
    assert len(rows) == 12
    for _, count, students, first, last, scored in rows:
        assert count == students
        assert (first, last) == (1, 1)
        assert isinstance(scored, int)
        assert scored > 800


def test_late_and_corrected_files_change_their_day_and_no_published_score(demo: Demo) -> None:
    late = demo.file("late")
    with warehouse_of(demo.home) as connection:
        found = connection.execute(
            "select d.landed_at, count(a.student_id) from ops.delivery as d"
            " left join marts.daily_activity as a on a.activity_date = d.first_day and a.source_id = d.source_id"
            " where d.source_id = 'attendance' and d.first_day = %s group by d.landed_at",
            [late["day"]],
        ).fetchone()
        assert found is not None
        landed_at, rows = found
        assert isinstance(rows, int)
        assert rows > 0
        week = connection.execute(
            "select min(published_at), max(published_at) from marts.weekly_score"
            " where week_start = date_trunc('week', %s::date)::date",
            [late["day"]],
        ).fetchone()
    assert week is not None
    assert isinstance(week[1], datetime)
    assert isinstance(landed_at, datetime)
    assert week[1] < landed_at


def test_a_corrected_file_supersedes_the_one_it_corrects(demo: Demo) -> None:
    corrected = demo.file("corrected")
    with warehouse_of(demo.home) as connection:
        states = connection.execute(
            "select b.state from ops.batch as b inner join ops.delivery as d using (delivery_id)"
            " where d.source_id = 'attendance' and d.first_day = %s order by d.version_at",
            [corrected["day"]],
        ).fetchall()
    assert states == [("superseded",), ("published",)]


def test_the_bad_batch_is_held_and_in_no_mart(demo: Demo) -> None:
    bad = demo.file("bad_batch", "library_gates")
    day = {"day": date.fromisoformat(bad["day"])}
    with warehouse_of(demo.home) as connection:
        held = connection.execute("select source_id, problem from ops.batch where state = 'held'").fetchall()
        assert [source for source, _ in held] == ["library_gates"]
        assert "below 80" in str(held[0][1])
        for schema, table, column in (
            ("raw", "activity", "activity_date"),
            ("marts", "daily_activity", "activity_date"),
            ("ops", "coverage", "day"),
        ):
            query = sql.SQL("select count(*) from {} where source_id = 'library_gates' and {} = %(day)s").format(
                sql.Identifier(schema, table), sql.Identifier(column)
            )
            assert connection.execute(query, day).fetchone() == (0,)


def test_bad_rows_are_in_quarantine_with_line_and_reason(demo: Demo) -> None:
    with warehouse_of(demo.home) as connection:
        for row in demo.truth["bad_rows"]:
            found = connection.execute(
                "select q.reason from quarantine.row as q inner join ops.batch using (batch_id)"
                " inner join ops.delivery as d using (delivery_id)"
                " where d.source_id = %s and d.first_day = %s and q.row_number = %s",
                [row["source_id"], row["day"], row["line"]],
            ).fetchall()
            assert found, row


def test_no_personal_value_is_in_dagster_or_in_a_log(demo: Demo) -> None:
    newest = max((demo.home / "campus/sftp/student_records").glob("students_*.csv"))
    people = list(csv.DictReader(io.StringIO(newest.read_text(encoding="utf-8-sig"))))
    assert len(people) == 1000
    words = {p[key] for p in people for key in ("student_id", "email", "username", "badge_number")}
    pattern = re.compile(r"[\w.@+-]+")
    with postgres.running(demo.home / "postgres") as url, warehouse.connect(f"{url}/dagster") as connection:
        events = connection.execute("select event from event_logs").fetchall()
        events += connection.execute("select run_body from runs").fetchall()
        events += connection.execute("select coalesce(cached_status_data, '') from asset_keys").fetchall()
    assert len(events) > 1000
    texts = [str(event) for (event,) in events] + [demo.said.stdout]
    # What is delivered may be called a log, too.
    given = (demo.home / "campus" / "sftp", demo.home / "landing")
    told = [path for path in demo.home.rglob("*.log") if not any(path.is_relative_to(folder) for folder in given)]
    with warehouse_of(demo.home) as connection:
        messages = connection.execute(
            "select message_id, kind, subject, message_key, order_key from ops.outbox"
        ).fetchall()
    # Who supports a student, and the CRM, are told of whom; only not in what a mail server or a list shows of it.
    outside = {int(str(number)) for number, kind, *_ in messages if kind != "owner"}
    mails = [path for path in (demo.home / "outbox").iterdir() if int(path.name.partition("-")[0]) not in outside]
    assert told and mails and len(outside) > 50
    texts += [path.read_text(errors="replace") for path in (*told, *mails)]
    texts += [str(words) for _, _, *words in messages]
    leaked = {word for text in texts for word in pattern.findall(text) if word in words}
    assert leaked == set()


def commands_of(pages: list[Path]) -> list[str]:
    blocks = [block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)]
    return list(dict.fromkeys(line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line))


ELSEWHERE = {
    "make demo": "the fixture `demo` runs `engage demo`, which is all it does after setting up",
    "make up": "test_the_ui_comes_up_and_goes_down",
    "make test": "this suite",
    "make lint": "runs before this suite",
    ".venv/bin/engage replay oulad tests/data/oulad": "test_oulad.py",
    ". .engage/campus/environment": "test_with_the_environment_of_its_campus_the_configuration_is_that_of_the_demo",
}


@pytest.mark.parametrize(
    "command", [c for c in commands_of([p for p in PAGES if p.stem not in TYPED_ELSEWHERE]) if c not in ELSEWHERE]
)
def test_documented_commands_work(demo: Demo, command: str) -> None:
    words = shlex.split(command)
    assert words[0] == ".venv/bin/engage", f"no test runs {command}"
    done = engage(demo.home, *words[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_with_the_environment_of_its_campus_the_configuration_is_that_of_the_demo(demo: Demo) -> None:
    script = f". {demo.home / 'campus' / 'environment'}; {ENGAGE} config preview config"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=CHECKOUT, env=environment(demo.home), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "nothing differs" in done.stdout


def test_a_source_is_adopted_as_documented(demo: Demo, tmp_path: Path) -> None:
    """The page as one script, in a copy of the checkout's configuration and over the demo's warehouse."""
    copies = {"ENGAGE_CONFIG": "config", "ENGAGE_EXPECTATIONS": "expectations"}
    for name in copies.values():
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ENGAGE.parent.parent)
    (tmp_path / ".engage").symlink_to(demo.home)
    script = "".join(re.findall(r"```sh\n(.*?)```", ADOPTING.read_text(), re.DOTALL))
    there = environment(demo.home, **{key: str(tmp_path / name) for key, name in copies.items()})
    done = subprocess.run(
        ["bash", "-euo", "pipefail"], input=script, cwd=tmp_path, env=there, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"outcome +would be published", done.stdout)
    assert re.search(r"^door_swipes: well formed, \d+ rules$", done.stdout, re.MULTILINE)
    with warehouse_of(demo.home) as connection:
        assert connection.execute("select from ops.delivery where source_id = 'door_swipes'").fetchall() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_queries_return_rows(demo: Demo, page: Path) -> None:
    with warehouse_of(demo.home) as connection:
        for query in re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL):
            assert connection.execute(query).fetchall()


def test_another_installation_is_not_wiped_by_the_demo(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    done = engage(tmp_path, "demo")
    assert done.returncode == 1
    assert "not a demo" in done.stderr
    assert (tmp_path / "postgres").is_dir()


def test_a_database_with_deliveries_is_not_used_by_the_demo(database_url: str, tmp_path: Path) -> None:
    with warehouse.connect(database_url) as connection:
        connection.execute(
            "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)"
            " values ('a', 'b', 'c', 1, now(), 'd', now())"
        )
    (tmp_path / "landing").mkdir()
    (tmp_path / "this-is-a-demo").touch()
    done = engage(tmp_path, "demo", ENGAGE_DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "needs an empty one" in done.stderr
    assert (tmp_path / "landing").is_dir()


def test_the_ui_comes_up_and_goes_down(demo: Demo) -> None:
    before = processes_over(demo.home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(ENGAGE), "up", "--port", str(port)],
        cwd=CHECKOUT,
        env=environment(demo.home),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "The Dagster UI" in line:
                break
        question = {"query": "{assetNodes {groupName assetKey {path} owners {__typename} kinds description}}"}
        deadline = time.monotonic() + 60
        nodes: list[dict[str, object]] = []
        while not nodes and time.monotonic() < deadline:
            answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json=question, timeout=60, trust_env=False).json()
            nodes = answer["data"]["assetNodes"]
        groups = {str(node["groupName"]) for node in nodes}
        assert groups >= {"feeds", "quality_gate", "staging", "intermediate", "marts"}
        assert all(node["description"] for node in nodes)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert processes_over(demo.home) == before
