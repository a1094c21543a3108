"""Requests for a copy: recorded, due, put off, answered once; as docs/subject-access.md tells it."""

import hashlib
import json
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.resources import WarehouseResource
from engage import configuration
from engage.cli import main
from engage.decisions import DecisionError
from engage.privacy import subject_access, subject_access_archive
from engage.privacy.due_dates import Period
from engage.privacy.subject_access import Installation, answer, extend, find, record
from engage.settings import PROJECT, Settings
from engage.sources import load_sources
from engage.warehouse import Connection
from orchestration.subject_access import subject_access_job

PAGE = (PROJECT / "docs" / "subject-access.md").read_text()
NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
PERIOD = Period()
Engage = Callable[..., tuple[object, str, str]]


@pytest.fixture
def known(warehouse: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setenv("ENGAGE_NOW", NOW.isoformat())
    config = PROJECT / "config"
    configuration.sync(warehouse, config, load_sources(config), NOW)
    warehouse.execute(
        "insert into pii.student values ('10000001', 'Ada', 'Moss', 'ada@s.example', '2026-06-01'),"
        " ('10000002', '<b>Bela', 'Quill', null, '2026-06-01'), ('10000003', 'Cy', 'Vo', null, '2026-06-01')"
    )
    warehouse.commit()
    return warehouse


@pytest.fixture
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    for name, value in {
        "ENGAGE_DATABASE_URL": database_url,
        "ENGAGE_HOME": str(tmp_path / "home"),
        "ENGAGE_CONFIG": str(tmp_path / "config"),
        "ENGAGE_USER": "Grace",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


@pytest.fixture
def installation(known: Connection, home: Path) -> Installation:
    return subject_access.installed(known, Settings.from_environment())


@pytest.fixture
def engage(
    known: Connection, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Engage:
    """Return a function that runs `engage sar WORDS` and returns exit code, output and errors."""

    def run(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["engage", "sar", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return run


def test_what_the_page_tells_to_type_works(
    known: Connection, home: Path, engage: Engage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    told = []
    for words in map(shlex.split, lines):
        assert words[:2] == [".venv/bin/engage", "sar"]
        code, out, err = engage(*words[2:])
        assert code == 0, (words, err)
        told.append(out)
    first, listed, recorded, extended, done, in_json = told
    assert first.startswith("request 1, due on 2026-07-01: ") and str(home / "subject-access" / "1.zip") in first
    assert "done" in listed
    assert recorded == "request 2 is due on 2026-07-01\n"
    assert extended == "request 2 is due on 2026-08-31; tell the student why\n"
    assert done.startswith("request 2, due on 2026-08-31: ")
    assert [row["state"] for row in json.loads(in_json)] == ["done", "done"]
    assert not re.search("1000000|Ada|Quill", "".join(told))

    # And what it says of the UI.
    engage("record", "10000003")
    ((config,),) = [[yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]]
    with dg.instance_for_test() as instance:
        job, resources = subject_access_job(), {"warehouse": WarehouseResource()}
        run = job.execute_in_process(config, instance=instance, resources=resources)
        assert run.success and (home / "subject-access" / "3.zip").exists()
        again = job.execute_in_process(config, instance=instance, resources=resources, raise_on_error=False)
        assert not again.success
        events = "".join(str(entry) for one in (run, again) for entry in instance.all_logs(one.run_id))
    assert "request 3 is done" in events
    assert not re.search("10000003|Cy|Vo\\b", events)


def test_only_the_owner_reads_the_archive_and_its_digest_is_kept(installation: Installation) -> None:
    request = record(installation.connection, "10000001", None, PERIOD, "dpo", NOW)
    made = answer(installation, request.request_id, "dpo", NOW)
    assert (made.path.stat().st_mode & 0o777, made.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    done = find(installation.connection, request.request_id)
    assert done.content_hash == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert (done.completed_at, done.completed_by) == (NOW, "dpo")
    audit = installation.connection.execute("select person, action, rows from ops.audit").fetchall()
    assert audit == [("dpo", "made the copy of subject request 1", made.rows)]
    with zipfile.ZipFile(made.path) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2026, 6, 1, 9, 0, 0)}
        assert "Ada Moss" in archive.read("index.html").decode()


def test_killed_before_it_is_noted_it_is_made_again_with_the_same_bytes(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = record(installation.connection, "10000001", None, PERIOD, "dpo", NOW)

    def kill(*_: object) -> str:
        raise KeyboardInterrupt

    write = subject_access_archive.write
    monkeypatch.setattr(subject_access, "write", lambda *given: [write(*given), kill()][1])
    with pytest.raises(KeyboardInterrupt):
        answer(installation, request.request_id, "dpo", NOW)
    installation.connection.rollback()
    path = installation.home / "subject-access" / "1.zip"
    before = path.read_bytes()
    assert find(installation.connection, 1).completed_at is None
    # Half a file of one killed while writing is in nobody's way.
    (path.parent / ".1.zip.part").write_bytes(b"half")
    installation.connection.execute("delete from ops.audit")
    monkeypatch.setattr(subject_access, "write", write)
    answer(installation, request.request_id, "dpo", NOW)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["1.zip"]
    with pytest.raises(DecisionError, match="request 1 is done"):
        answer(installation, 1, "dpo", NOW)


def test_asked_for_again_after_a_kill_it_is_the_same_request(known: Connection, engage: Engage) -> None:
    received = date(2026, 5, 29)
    killed = record(known, "10000001", received, PERIOD, "dpo", NOW)
    other = record(known, "10000002", received, PERIOD, "dpo", NOW)
    code, out, err = engage("10000001", "--received", str(received))
    assert code == 0 and f"request {killed.request_id}," in out, err
    assert [str(one["state"]) for one in subject_access.requests(known, NOW.date())].count("done") == 1
    # What is done is done: whoever asks once more gets another copy.
    again = record(known, "10000001", received, PERIOD, "dpo", NOW)
    assert len({killed.request_id, other.request_id, again.request_id}) == 3


def test_what_can_be_put_off_and_until_when(known: Connection) -> None:
    request = record(known, "10000001", date(2026, 5, 29), PERIOD, "dpo", NOW)
    assert (request.received_on, request.due_on) == (date(2026, 5, 29), date(2026, 6, 29))
    for until, reason, today, why in (
        (
            date(2026, 6, 29),
            "complex",
            NOW.date(),
            "a day after 2026-06-29 and not after 2026-09-01",
        ),
        (date(2026, 9, 2), "complex", NOW.date(), "not after"),
        (date(2026, 7, 30), " ", NOW.date(), "say why"),
        (date(2026, 7, 30), "complex", date(2026, 6, 30), "was due on 2026-06-29"),
    ):
        with pytest.raises(DecisionError, match=why):
            extend(known, request.request_id, until, reason, PERIOD, today)
    assert extend(known, request.request_id, date(2026, 7, 30), "complex", PERIOD, date(2026, 6, 29)).due == date(
        2026, 7, 30
    )
    with pytest.raises(DecisionError, match="day to come"):
        record(known, "10000001", date(2026, 6, 2), PERIOD, "dpo", NOW)
    with pytest.raises(DecisionError, match="there is no request 9"):
        find(known, 9)


def test_the_list_says_what_is_due(known: Connection) -> None:
    for received in ("2026-04-01", "2026-05-05", "2026-06-01"):
        record(known, "10000001", date.fromisoformat(received), PERIOD, "dpo", NOW)
    rows = subject_access.requests(known, NOW.date())
    assert [row["state"] for row in rows] == ["overdue", "due", "open"]
    assert not any("10000001" in str(row) for row in rows)


def test_somebody_nobody_knows_gets_a_clear_answer(known: Connection, engage: Engage) -> None:
    assert engage("4711") == (1, "", "no roster names this student, and nothing is held under this number\n")
    known.execute(
        "insert into quarantine.row values (1, 'x', 1, 'known_student', null, 'x', '4711', '{\"Badge\": \"4711\"}',"
        " 'quarantined', now())"
    )
    known.commit()
    code, out, err = engage("4711")
    assert (code, out) == (1, "")
    assert "1 rows of quarantine.row" in err and "--anyway" in err
    assert known.execute("select count(*) from ops.subject_request").fetchone() == (0,)
    assert engage("4711", "--anyway")[0] == 0


def test_what_is_typed_wrong_is_said(engage: Engage, tmp_path: Path) -> None:
    assert engage("10000001", "--received", "1 June")[0] == 2
    assert engage("make", "9") == (1, "", "there is no request 9 for a copy: engage sar list\n")
    assert engage("list") == (0, "no request\n", "")
    assert engage("10000001", "--output", str(tmp_path / "elsewhere"))[0] == 0
    assert (tmp_path / "elsewhere" / "1.zip").stat().st_mode & 0o777 == 0o600
