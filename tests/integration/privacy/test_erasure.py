"""One student is erased from every place; all others, and every number that was published, are as they were."""

import gzip
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from engage.decisions import DecisionError
from engage.privacy import erasure, holds, landed, retention
from engage.warehouse import connect
from tests.integration.gate.kit import Gate
from tests.integration.privacy.keeping import Keeping

DAYS = [date(2026, 4, day) for day in (2, 3, 7)]
NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)


@pytest.fixture
def keeping(database_url: str, tmp_path: Path) -> Keeping:
    made = Keeping(Gate(database_url, tmp_path / "landing"), tmp_path)
    # The badge of S1 was S3's before, and S2 once had the user name that S1 has.
    made.roster(date(2026, 4, 1), "S1", "S2", "S3")
    made.process()
    for day in DAYS:
        made.attend(day, "S1 Lecture", "S2 Lecture", "S1 Seminar", "S3 Talk", "S10 Lecture")
        made.click(day, "us1", "us2", "US1")
    made.process()
    run = made.gate.execute
    run(
        "insert into quarantine.row"
        " (batch_id, source_id, row_number, rule_id, reason, student_ref, record, quarantined_at)"
        " select 1, 'vle', 100 + n, 'known_student', 'x', ref, jsonb_build_object('user', ref), now()"
        " from unnest(array['us1', 'us2']) with ordinality as t (ref, n)"
    )
    for student in ("S1", "S2"):
        run(
            "insert into ops.notification"
            " (student_id, rule_id, kind, trigger_date, noticed_at, status, reason, evidence)"
            " values (%s, 'r', 'score', '2026-04-09', now(), 'dropped', '', '{}')",
            [student],
        )
        run(
            "insert into ops.outbox"
            " (message_key, channel, recipient, kind, subject, text, html, next_attempt_at, created_at, state)"
            " values (%s, 'email', 't@x', 'digest', 'your students', %s, '<p>', now(), now(), 'sent')",
            [f"digest of {student}'s tutor", f"{'Ada' if student == 'S1' else 'Bob'} is silent"],
        )
        run(
            "insert into ops.action"
            " (action_key, kind, student_id, notification_id, target, created_at, message_id, state)"
            " select %(s)s, 'notify', %(s)s, notification_id, 'tutor', now(), (select max(message_id) from ops.outbox),"
            " 'done' from ops.notification where student_id = %(s)s",
            {"s": student},
        )
        run("insert into ops.exemption (student_id, exemption_type, starts_on, ends_on) values (%s, 'DA', '2026-04-01', '2026-04-02')", [student])  # fmt: skip  # noqa: E501
        run(
            "insert into ops.subject_request (kind, student_id, received_on, due_on, recorded_at, recorded_by)"
            " values ('access', %s, '2026-04-01', '2026-05-01', now(), 'ada')",
            [student],
        )
    for folder, name, content in [
        *(("outbox", "000001-email.eml", "Ada is silent"), ("outbox", "000002-email.eml", "Bob is silent")),
        *(("subject-access", "1.zip", "x"), ("subject-access", "2.zip", "y"), ("logs", "night.log", "refused: us1")),
        *(("subject-access", ".1.zip.part", "x"), ("subject-access", ".2.zip.part", "y")),
        *(("logs", "day.log", "refused: us10b"), ("reports", "weekly.html", "all is well")),
        ("exemptions", "may.csv", "student_id,starts_on\nS1,2026-05-01\nS2,2026-05-01\n"),
    ]:
        (made.home / folder).mkdir(exist_ok=True)
        (made.home / folder / name).write_text(content)
    return made


def where(keeping: Keeping) -> erasure.Where:
    return erasure.Where(keeping.gate.url, keeping.config, keeping.home, str(keeping.gate.store))


def erase(keeping: Keeping) -> erasure.Erased:
    return erasure.erase(where(keeping), "S1", "ada", "asked for", NOW)


def rows(keeping: Keeping) -> set[str]:
    """Every row of every table, and every line of every file, as a text."""
    tables = keeping.gate.execute(
        "select c.oid::regclass::text from pg_class as c where c.relkind = 'r' and not c.relname like 'alembic%%'"
        " and c.relnamespace::regnamespace::text in ('ops', 'raw', 'quarantine', 'pii', 'load', 'governance')"
        " and not c.oid::regclass::text in ('ops.deletion_run', 'ops.deletion', 'ops.erased_student')"
    )
    found = {
        f"{table} {row}" for (table,) in tables for (row,) in keeping.gate.execute(f"select t::text from {table} as t")
    }
    for folder in (keeping.home, keeping.gate.store):
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "erasure.key":
                found |= {f"{path} {line}" for line in path.read_text(errors="replace").split("\n") if line}
    return found


def test_a_student_goes_from_every_place_and_nobody_else_does(keeping: Keeping) -> None:
    before = rows(keeping)
    told = {trace.place: trace.rows for trace in erasure.look(where(keeping), "S1")}
    assert rows(keeping) == before, "a preview changes nothing"
    assert told["landing"] == 3 * 4 + 1
    assert told["quarantine.row"] == 1
    assert told["subject-access"] == 2, "also one that was never finished"
    assert told["outbox"] == told["logs"] == told["exemptions"] == 1
    done = erase(keeping)
    assert done.left == []
    assert {trace.place: trace.rows for trace in done.taken} == told

    after = rows(keeping)
    gone, came = before - after, after - before
    about = ("s1", "ada is silent", "/1.zip", "/.1.zip", "ops.delivery ")
    assert not [row for row in gone if not any(word in row.lower() for word in about)]
    assert not [row for row in after if "s1" in row.lower().replace("s10", "") or "Ada" in row], "nothing is left"
    # Texts and requests without a name, deliveries whose files were rewritten.
    assert {row.split()[0] for row in came} == {"ops.outbox", "ops.subject_request", "ops.delivery"}
    request = keeping.gate.execute(
        "select kind, student_id, due_on, completed_at from ops.subject_request order by 1, 2"
    )
    assert request == [
        *(("access", "S2", date(2026, 5, 1), None), ("access", None, date(2026, 5, 1), None)),
        ("erasure", None, date(2026, 6, 4), NOW),
    ]
    assert (keeping.home / "erasure.key").stat().st_mode & 0o777 == 0o600
    assert erasure.look(where(keeping), "S1") == []


def test_what_was_erased_is_processed_again_to_the_rows_of_the_others(keeping: Keeping) -> None:
    erase(keeping)
    seen = "select source_id, activity_date, row_number, student_id from raw.attendance order by 2, 3"
    before = keeping.gate.execute(seen)
    keeping.gate.execute("update ops.batch set is_stale = true")
    keeping.process()
    assert keeping.gate.execute(seen) == before
    assert erasure.look(where(keeping), "S1") == []


def test_rows_in_quarantine_that_mention_the_student_stay_without_the_name(keeping: Keeping) -> None:
    given = [
        ("S3", {"note": "sat by S1\nS1 and S10 left", "seat": 1}),
        ("", {"Student Number": "", "note": "ask (s1)"}),
        ("S1", {"note": "hers"}),
        (None, {"line": "e5,S1,torn"}),
        (None, {"Student Number": " s1", "note": "S3"}),
    ]
    for n, (ref, record) in enumerate(given):
        keeping.gate.execute(
            "insert into quarantine.row values (2, 'attendance', %s, 'usual_hours', null, 'x', %s, %s, 'quarantined', now())",  # noqa: E501
            [200 + n, ref, Jsonb(record)],
        )
    erase(keeping)
    left = "select row_number, student_ref, record from quarantine.row where row_number between 200 and 299 order by 1"
    assert keeping.gate.execute(left) == [
        (200, "S3", {"note": "sat by erased\nerased and S10 left", "seat": 1}),
        (201, "", {"Student Number": "", "note": "ask (erased)"}),
    ]


def test_one_that_stays_is_released_when_its_student_is_known(keeping: Keeping) -> None:
    keeping.attend(date(2026, 4, 8), "S8 group-of-S1", "S2 Lecture")
    keeping.process()
    erase(keeping)
    said = "select record ->> 'Session Type' from quarantine.row where student_ref = 'S8'"
    assert keeping.gate.execute(said) == [("group-of-erased",)]
    keeping.roster(date(2026, 4, 30), "S2", "S3", "S8")
    keeping.process()
    keeping.process()
    assert keeping.one("select count(*) from raw.attendance where student_id = 'S8'") == 1


def test_a_legal_hold_forbids_it(keeping: Keeping) -> None:
    holds.add(keeping.gate.connection, "S1", "a complaint", "ada", NOW)
    before = rows(keeping)
    with pytest.raises(DecisionError, match="legal hold"):
        erase(keeping)
    assert rows(keeping) == before
    for by, reason in (("", "asked for"), ("ada", " ")):
        with pytest.raises(DecisionError, match="a reason, and the name"):
            erasure.erase(where(keeping), "S2", by, reason, NOW)


def test_a_number_is_known_in_small_and_capital_letters(keeping: Keeping) -> None:
    holds.add(keeping.gate.connection, " s1", "a complaint", "ada", NOW)
    with pytest.raises(DecisionError, match="legal hold"):
        erasure.erase(where(keeping), "s1", "ada", "asked for", NOW)
    holds.release(keeping.gate.connection, "s1", "ada", NOW)
    assert erasure.look(where(keeping), "s1") == erasure.look(where(keeping), "S1")
    assert erasure.erase(where(keeping), "s1", "ada", "asked for", NOW).left == []
    assert keeping.one("select count(*) from raw.attendance where student_id = 'S1'") == 0
    keeping.gate.execute("insert into ops.legal_hold (student_id, reason, placed_at, placed_by) values ('ss2', 'x', now(), 'x'), ('SS2', 'x', now(), 'x')")  # fmt: skip  # noqa: E501
    with pytest.raises(DecisionError, match="differ only in small and capital letters"):
        erasure.erase(where(keeping), "Ss2", "ada", "asked for", NOW)


def test_what_nobody_can_read_goes_unless_somebody_else_is_held(keeping: Keeping) -> None:
    torn = gzip.compress(b"Event Id,Student Number\n9,S2\n" + b"9,another\n" * 900_000)[:-9]
    delivered = keeping.gate.deliver(keeping.source("attendance"), b"PK\x03\x04 torn", "torn.zip", DAYS[0])
    keeping.process()
    state = "select b.state, b.is_stale, d.deleted_at is not null from ops.batch as b inner join ops.delivery as d"
    state += f" using (delivery_id) where delivery_id = {delivered}"
    assert keeping.gate.execute(state) == [("held", False, False)]
    holds.add(keeping.gate.connection, "S3", "a complaint", "ada", NOW)
    done = erase(keeping)
    assert (done.left, done.kept) == ([], 1)
    assert keeping.gate.execute(state) == [("held", False, False)]

    # What can be read of it is known to be about the student: that is not done until somebody has seen to it.
    keeping.gate.deliver(keeping.source("attendance"), torn, "torn.gz", DAYS[1])
    again = erasure.erase(where(keeping), "S2", "ada", "asked for", NOW)
    assert ([trace.place for trace in again.left], again.kept) == (["landing"], 2)
    still = "select count(*) from ops.subject_request where kind = 'erasure' and completed_at is null"
    assert keeping.one(still) == 1
    holds.release(keeping.gate.connection, "S3", "ada", NOW)
    ended = erasure.erase(where(keeping), "S2", "ada", "asked for", NOW)
    assert (ended.left, ended.kept, keeping.one(still)) == ([], 0, 0)
    assert keeping.gate.execute(state) == [("rejected", False, True)], "nobody need decide on it any more"


def test_a_source_that_delivers_the_student_again_is_noticed(keeping: Keeping) -> None:
    erase(keeping)
    assert erasure.returned(keeping.gate.connection, keeping.home) == 0
    keeping.roster(date(2026, 4, 30), "S1", "S2")
    keeping.process()
    assert erasure.returned(keeping.gate.connection, keeping.home) == 1
    assert erase(keeping).left == []
    assert erasure.returned(keeping.gate.connection, keeping.home) == 0
    (key,) = keeping.gate.execute("select digest from ops.erased_student")
    assert erasure.digest(keeping.home, "S1") == key[0] != erasure.digest(keeping.home, "S2")
    written = retention.log(keeping.gate.connection)
    assert {row["kind"] for row in written} == {"erasure"}
    assert "S1" not in str(written)


@pytest.mark.parametrize(
    "instant", ["redacted_at", "update ops.outbox", "from raw.attend", "pii.identity_sighting as t", "erased_student"]
)
def test_killed_anywhere_the_same_request_again_ends_it(keeping: Keeping, instant: str) -> None:
    keeping.gate.connection.close()
    script = f"""
import os, psycopg
from datetime import datetime, UTC
from pathlib import Path
from engage.privacy import erasure
real = psycopg.Connection.execute
def execute(self, query, params=None, **more):
    said = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else ""
    done = real(self, query, params, **more)
    if {instant!r} in said and said.lstrip().startswith(("delete", "update", "insert")):
        os._exit(9)
    return done
psycopg.Connection.execute = execute
config, home = Path({str(keeping.config)!r}), Path({str(keeping.home)!r})
at = erasure.Where({keeping.gate.url!r}, config, home, {str(keeping.gate.store)!r})
erasure.erase(at, "S1", "ada", "asked for", datetime(2026, 5, 4, 10, tzinfo=UTC))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 9
    with connect(keeping.gate.url, autocommit=True) as keeping.gate.connection:
        assert erase(keeping).left == []
        assert not any("s1" in row.lower().replace("s10", "") for row in rows(keeping))
        assert keeping.one("select count(*) from ops.subject_request where kind = 'erasure'") == 1
        files = landed.deliveries(keeping.gate.connection)
        assert len(files) == 7
