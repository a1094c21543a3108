"""What is past its period goes from tables, landing store and home; what a legal hold keeps stays; both are proved."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from fsspec.implementations.local import LocalFileSystem

from engage.cli import main
from engage.privacy import holds, landed, periods, retention
from engage.privacy.old_partitions import OldPartitions
from engage.settings import PROJECT
from engage.strict import ConfigurationError
from engage.warehouse import connect
from tests.integration.gate.kit import Gate
from tests.integration.privacy.keeping import PERIODS, Keeping

DAYS = [date(2026, month, day) for month in (1, 2, 3, 4) for day in (5, 20)]
LATER = datetime(2026, 5, 4, 2, tzinfo=UTC)
"""Sixty days after 5 March: all before March goes."""
GONE, LEFT = DAYS[:4], DAYS[4:]


@pytest.fixture
def keeping(database_url: str, tmp_path: Path) -> Keeping:
    made = Keeping(Gate(database_url, tmp_path / "landing"), tmp_path)
    made.roster(date(2026, 1, 1), "S1", "S2", "S3")
    made.roster(date(2026, 2, 1), "S1", "S2")
    made.roster(date(2026, 4, 1), "S1", "S2")
    made.process()
    for day in DAYS:
        made.attend(day, "S1 Lecture", "S2 Lecture", "S2 Seminar", "S1 Seminar", "S1 Talk", "S9 Lecture")
        made.click(day, "us1", "us2", "us2")
    made.process()
    return made


def days(keeping: Keeping, table: str, day: str = "activity_date") -> list[date]:
    return [d for (d,) in keeping.gate.execute(f"select distinct {day} from {table} order by 1")]


def files(keeping: Keeping) -> int:
    return sum(1 for path in keeping.gate.store.rglob("*") if path.is_file())


def test_rows_go_by_months_with_their_files_and_quarantine(keeping: Keeping) -> None:
    assert keeping.one("select count(*) from quarantine.row") == len(DAYS)
    keeping.gate.execute("update quarantine.row set quarantined_at = '2026-02-21'")
    before = files(keeping)
    told = {(one.place, one.rows) for one in keeping.look(LATER)}
    assert told == {
        *(("raw.attendance (attendance)", 20), ("raw.activity (vle)", 12), ("raw.students (students)", 3)),
        *(("landing (attendance)", 4), ("landing (vle)", 4), ("landing (students)", 1)),
        ("quarantine.row (attendance)", 8),
    }
    ran = keeping.run(LATER)
    assert ran.left == []
    assert {(one.place, one.rows) for one in ran.taken} == told
    assert days(keeping, "raw.attendance") == days(keeping, "raw.activity") == LEFT
    assert days(keeping, "raw.students", "as_of_date") == [date(2026, 2, 1), date(2026, 4, 1)], (
        "what held when it began"
    )
    partitions = keeping.gate.execute(
        "select relname from pg_class where relkind = 'r' and relname like 'attendance\\_\\_%\\_2026%' order by 1"
    )
    assert [name for (name,) in partitions] == ["attendance__attendance_202603", "attendance__attendance_202604"]
    assert before - files(keeping) == 9
    assert keeping.one("select count(*) from ops.delivery where deleted_at is not null") == 9
    assert keeping.one("select count(*) from ops.batch where state = 'published'") == 3 + 2 * len(DAYS), (
        "the ledger stays"
    )
    assert keeping.look(LATER) == []
    written = {(row["place"], row["way"], row["rows"]) for row in retention.log(keeping.gate.connection)}
    assert ("raw.attendance (attendance)", "partition_dropped", 20) in written
    assert ("raw.students (students)", "partition_dropped", 3) in written
    assert ("landing (vle)", "file_deleted", 4) in written
    assert keeping.run(LATER).taken == [], "again there is nothing"


def test_what_has_gone_does_not_come_back(keeping: Keeping) -> None:
    keeping.run(LATER)
    keeping.gate.execute("delete from ops.touched_day")
    keeping.gate.execute("update ops.batch set is_stale = true")
    keeping.process()
    assert days(keeping, "raw.attendance") == LEFT
    assert keeping.one("select count(*) from ops.touched_day") == 0, "nothing of it is made anew"
    keeping.attend(GONE[0], "S1 Lecture", "S2 Lecture", "S2 Late")
    (outcome,) = keeping.gate.process(keeping.source("attendance"))
    assert outcome.state == "held"
    assert "2026-01-05" in str(outcome.problem)
    assert "before 2026-03-01" in str(outcome.problem)
    # An API window that reaches back into what has gone.
    keeping.gate.execute(
        "update ops.delivery set window_start = '2026-02-27' where source_id = 'vle' and name = '2026-03-05'"
    )
    keeping.gate.execute("update ops.batch set is_stale = true where source_id = 'vle'")
    keeping.process()
    assert keeping.one("select count(*) from ops.touched_day where day < '2026-03-01'") == 0
    assert keeping.run(LATER).left == []


def test_a_legal_hold_keeps_everything_about_a_student_until_it_is_released(keeping: Keeping) -> None:
    keeping.gate.execute(
        "update quarantine.row set student_ref = 'S1', quarantined_at = '2026-02-21' where row_number < 8"
    )
    holds.add(keeping.gate.connection, "S1", "a complaint", "ada", LATER)
    told = {one.place: (one.rows, one.held) for one in keeping.look(LATER)}
    assert told["raw.attendance (attendance)"] == (8, 12)
    assert told["raw.activity (vle)"] == (8, 4)
    assert told["landing (attendance)"] == (4, 4)
    assert told["quarantine.row (attendance)"] == (0, 8)
    ran = keeping.run(LATER)
    assert ran.left == []
    assert days(keeping, "raw.attendance") == DAYS
    who = "select distinct student_id from raw.attendance where activity_date < '2026-03-01'"
    assert keeping.gate.execute(who) == [("S1",)]
    old = [
        d for d in landed.deliveries(keeping.gate.connection) if d.first_day == GONE[0] and d.source_id == "attendance"
    ]
    content = (keeping.gate.store / old[0].landed_path).read_text()
    assert content.split("\n")[0].startswith("Event Id")
    assert content.count("S1") == 3
    assert "S2" not in content
    assert {one.place: (one.rows, one.held) for one in keeping.look(LATER)}["landing (attendance)"] == (0, 4)

    holds.release(keeping.gate.connection, "S1", "ada", LATER)
    assert keeping.run(LATER).left == []
    assert days(keeping, "raw.attendance") == LEFT
    assert not (keeping.gate.store / old[0].landed_path).exists()
    assert keeping.one("select count(*) from quarantine.row") == 0


@pytest.mark.parametrize("instant", ["detach", "drop table", "file_deleted", "set deleted_at", "delete from"])
def test_killed_anywhere_the_next_run_ends_it(keeping: Keeping, instant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping.gate.execute("update quarantine.row set quarantined_at = '2026-02-21'")
    keeping.gate.connection.close()
    script = f"""
import os, psycopg
from datetime import datetime, UTC
from pathlib import Path
from engage.privacy import retention
real, seen = psycopg.Connection.execute, 0
def execute(self, query, params=None, **more):
    global seen
    said = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else ""
    told = said + str(params)
    done = real(self, query, params, **more)
    if {instant!r} in told and "pg_" not in told:
        seen += 1
        if seen == 2:
            os._exit(9)
    return done
psycopg.Connection.execute = execute
retention.run({keeping.gate.url!r}, Path({str(keeping.config)!r}), Path({str(keeping.home)!r}),
    {str(keeping.gate.store)!r}, "ada", "the night", datetime(2026, 5, 4, 2, tzinfo=UTC))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    with connect(keeping.gate.url, autocommit=True) as keeping.gate.connection:
        assert keeping.run(LATER).left == []
        assert days(keeping, "raw.attendance") == days(keeping, "raw.activity") == LEFT
        assert keeping.one("select count(*) from quarantine.row") == 0
        assert keeping.one("select count(*) from ops.delivery where deleted_at is not null") == 9
        assert keeping.one("select sum(rows) from ops.deletion where way = 'file_deleted'") == 9
        assert files(keeping) == 2 * len(LEFT) + 1, "what the ledger calls deleted lies nowhere"
        gone = "select coalesce(sum(rows), 0) from ops.deletion where place like 'raw.%%' or place like 'quarantine%%'"
        assert keeping.one(gone.replace("%%", "%")) == 20 + 12 + 3 + 8, "each row is counted once"


def test_what_a_store_refuses_to_delete_is_deleted_by_the_next_run(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "rm_file", refuse)
        with pytest.raises(PermissionError):
            keeping.run(LATER)
    assert {one.place: one.rows for one in keeping.look(LATER)}["landing (attendance)"] == 4, "it is known to be there"
    assert keeping.run(LATER).left == []
    assert files(keeping) == 2 * len(LEFT) + 1
    assert keeping.one("select sum(rows) from ops.deletion where way = 'file_deleted'") == 9


def test_what_nobody_can_read_stays_while_somebody_is_held(keeping: Keeping) -> None:
    broken = keeping.gate.deliver(keeping.source("attendance"), b"PK\x03\x04 torn", "torn.zip", date(2026, 1, 7))
    keeping.process()
    holds.add(keeping.gate.connection, "S1", "a complaint", "ada", LATER)
    assert keeping.run(LATER).left == []
    state = "select b.state, d.deleted_at is not null from ops.batch as b inner join ops.delivery as d"
    state += f" using (delivery_id) where delivery_id = {broken}"
    assert keeping.gate.execute(state) == [("held", False)]
    assert {one.place: (one.rows, one.held) for one in keeping.look(LATER)}["landing (attendance)"] == (0, 5)
    holds.release(keeping.gate.connection, "S1", "ada", LATER)
    assert keeping.run(LATER).left == []
    assert keeping.gate.execute(state) == [("rejected", True)]
    assert files(keeping) == 2 * len(LEFT) + 1


def test_leave_to_see_students_goes_when_it_has_ended_for_so_long(keeping: Keeping) -> None:
    for student, last, revoked in (
        *(("S1", "2024-05-03", None), ("S2", "2024-05-05", None), ("S3", None, "2024-05-03")),
        *(("S4", "2027-01-01", "2024-05-03"), ("S5", None, None)),
    ):
        keeping.gate.execute(
            "insert into ops.access_grant (login, database_role, student_id, last_day, granted_at, granted_by, reason,"
            " revoked_at, revoked_by, revoke_reason)"
            " values ('ada', 'engage_staff', %s, %s, '2024-01-01', 'grace', 'cover', %s, %s, %s)",
            [student, last, revoked, *([revoked and "grace", revoked and "over"])],
        )
    assert keeping.run(LATER).left == []
    assert keeping.gate.execute("select student_id from ops.access_grant order by 1") == [("S2",), ("S5",)]


def test_rows_that_others_refer_to_go_with_the_last_of_them(keeping: Keeping) -> None:
    run = keeping.gate.execute
    run(
        "insert into ops.outbox (message_key, channel, recipient, subject, text, next_attempt_at, created_at)"
        " values ('student:S1', 'email', 'a@b', 'S1', 'S1 is silent', '2025-01-01', '2025-01-01')"
    )
    for day in ("2025-01-01", "2025-04-20", "2026-04-20"):
        run(
            "insert into ops.notification"
            " (student_id, rule_id, kind, trigger_date, noticed_at, status, reason, evidence)"
            " values ('S1', 'r', 'score', %s, %s, 'dropped', '', '{}')",
            [day, day],
        )
    run(
        "insert into ops.notification_fact (notification_id, on_date)"
        " select notification_id, trigger_date from ops.notification"
    )
    # Of the second there is an action that is young enough.
    run(
        "insert into ops.action"
        " (action_key, kind, student_id, notification_id, target, created_at, message_id, state)"
        " select trigger_date::text, 'notify', 'S1', notification_id, 'tutor',"
        " least(trigger_date + 300, '2026-01-01'), 1, 'done' from ops.notification"
    )
    run("update ops.action set created_at = '2025-01-02' where action_key = '2025-01-01'")
    assert keeping.run(LATER).left == []
    assert run("select trigger_date::text from ops.notification order by 1") == [("2025-04-20",), ("2026-04-20",)]
    assert keeping.one("select count(*) from ops.action") == 2
    assert run("select recipient, subject, text, state from ops.outbox") == [
        ("erased", "erased", "erased", "suppressed")
    ]
    assert {(kind, str(day)) for kind, day in run("select kind, day from ops.kept_from where kind <> 'source'")} == {
        ("settled", "2025-11-30")
    }


def test_files_of_the_home_age_too(keeping: Keeping) -> None:
    for folder, name, age in [
        *(("outbox", "000001-email.eml", 31), ("outbox", "000002-email.eml", 2), ("logs", "daemon.log", 400)),
        *(("subject-access", "1.zip", 100), ("subject-access", "2.zip", 100), ("reports", "weekly.html", 4000)),
    ]:
        (keeping.home / folder).mkdir(exist_ok=True)
        path = keeping.home / folder / name
        path.write_text("x")
        os.utime(path, (LATER.timestamp() - age * 86400,) * 2)
    request = "insert into ops.subject_request (kind, student_id, received_on, due_on, recorded_at, recorded_by)"
    keeping.gate.execute(
        f"{request} select 'access', s, '2026-01-01', '2026-02-01', now(), 'a' from unnest(array['S1', 'S2']) as s"
    )
    holds.add(keeping.gate.connection, "S2", "a complaint", "ada", LATER)
    assert keeping.run(LATER).left == []
    left = sorted(str(path.relative_to(keeping.home)) for path in keeping.home.rglob("*") if path.is_file())
    assert left == ["outbox/000002-email.eml", "reports/weekly.html", "subject-access/2.zip"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"marts": 100}, "at least 365"),
        ({"mart": 4000}, "mart: there is no such key; did you mean marts?"),
        ({"cases": 30}, "must not be shorter than notifications"),
        ({"notifications": "forever"}, "must not be shorter than notifications"),
        ({"logs": 0}, "logs"),
    ],
)
def test_periods_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "retention.yaml").write_text(yaml.safe_dump(PERIODS | change))
    with pytest.raises(ConfigurationError, match=r"retention\.yaml") as refused:
        periods.load_periods(tmp_path)
    assert said in str(refused.value)


def test_without_the_file_the_periods_hold_that_we_ship(tmp_path: Path) -> None:
    shipped = periods.load_periods(PROJECT / "config")
    assert shipped == periods.load_periods(tmp_path)
    assert set(yaml.safe_load((PROJECT / "config" / "retention.yaml").read_text())) == set(periods.Periods.model_fields)


def test_a_table_without_a_period_is_refused(keeping: Keeping) -> None:
    keeping.gate.execute("create table ops.new (note text)")
    with pytest.raises(ConfigurationError, match=r"ops\.new"):
        keeping.run(LATER)


def test_commands_say_what_goes_and_name_no_student(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "ENGAGE_DATABASE_URL": keeping.gate.url,
        "ENGAGE_DAGSTER_URL": keeping.gate.url,
        "ENGAGE_CONFIG": keeping.config,
        "ENGAGE_HOME": keeping.home,
        "ENGAGE_LANDING_URL": keeping.gate.store,
        "ENGAGE_NOW": LATER.isoformat(),
        "ENGAGE_USER": "ada",
    }.items():
        monkeypatch.setenv(name, str(value))

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["engage", "retention", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, out, err = typed("prove", "--json")
    assert code == 1
    assert "older than 2026-03-01: raw.activity (vle): 12" in err
    assert {one["place"]: one["rows"] for one in json.loads(out)}["landing (vle)"] == 4
    assert typed("hold", "add", "S1")[0] == 1, "without a reason"
    assert typed("hold", "add", "S1", "--reason", "a complaint")[0] == 0
    assert json.loads(typed("hold", "list", "--json")[1])[0]["student_id"] == "S1"
    assert typed("hold", "release", "S1")[0] == 0
    assert typed("hold", "release", "S1")[0] == 1
    assert "no list of students names" in typed("hold", "add", "S1 mistyped", "--reason", "a complaint")[1]
    assert typed("hold", "release", "S1 mistyped")[0] == 0
    code, out, err = typed("run", "--reason", "the night")
    assert code == 0, err
    assert typed("prove")[0] == 0
    code, out, _ = typed("log", "--json")
    assert {row["asked_by"] for row in json.loads(out)} == {"ada"}
    assert "S1" not in out + err


def test_readers_of_the_table_keep_no_partition_from_going(keeping: Keeping) -> None:
    with connect(keeping.gate.url) as reader:
        reader.execute("select count(*) from raw.attendance where activity_date >= '2026-04-01'").fetchone()
        reader.commit()
        source = next(
            s for s in periods.of_sources(keeping.gate.connection, LATER.date()) if s.source_id == "attendance"
        )
        gone = []
        OldPartitions(keeping.gate.connection, source, None).take(lambda way, rows: gone.append((way, rows)))
    assert gone == [("partition_dropped", 10), ("partition_dropped", 10)]
