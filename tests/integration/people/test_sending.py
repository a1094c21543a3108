"""Sending to people: whatever the server does, wherever we are killed, never while it is quiet; first a preview."""

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from engage import incidents, outbox
from engage.settings import PROJECT
from engage.warehouse import connect
from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import OTHER, STUDENT, TUTOR, Office

WORKER = """
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from engage import outbox
from engage.contact import bundles
from engage.messaging import load_messaging
from engage.settings import Settings
from engage.warehouse import connect
what, url, home, now = sys.argv[1:]
settings = replace(Settings.from_environment(), config=Path(home) / "config", home=Path(home))
with connect(url) as connection:
    if what == "write":
        bundles.write(connection, settings, datetime.fromisoformat(now))
    else:
        outbox.send_due(connection, load_messaging(settings.config), settings.home, datetime.fromisoformat(now))
"""
HOLD = """
create function hold() returns trigger language plpgsql as
'begin perform pg_advisory_xact_lock(1); return new; end';
create trigger hold before update on {} for each row execute function hold()
"""


def started(office: Office, what: str) -> "subprocess.Popen[bytes]":
    given = [what, office.url, str(office.settings.home), office.now.isoformat()]
    return subprocess.Popen([sys.executable, "-c", WORKER, *given], cwd=PROJECT)


def test_killed_between_sending_and_recording_it_comes_twice_under_one_id_and_never_again(
    office: Office, mail_server: MailServer
) -> None:
    office.student("s1")
    office.tell("s1")
    office.write()
    office.execute(HOLD.format("ops.outbox"))
    with connect(office.url, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(1)")
        sender = started(office, "send")
        while not mail_server.taken:
            assert sender.poll() is None
            time.sleep(0.02)
        sender.kill()
        sender.wait()
    assert office.outbox("state") == [("pending",)]
    while not (sent := office.send()):
        time.sleep(0.05)

    assert sent == {"sent": 1} and office.send() == {} and office.write() == {}
    first, second = mail_server.taken
    assert first["Message-ID"] == second["Message-ID"] and first["Date"] == second["Date"]


def test_killed_while_writing_nothing_is_lost_and_the_keys_are_the_same(office: Office) -> None:
    for n in range(3):
        office.staff(f"P{n}", f"p{n}@example.ac.uk")
        office.student(f"s{n}", tutor=f"P{n}")
        office.tell(f"s{n}")
    # The worker has written the message and waits to mark done what it tells.
    office.execute(HOLD.format("ops.action"))
    with connect(office.url, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(1)")
        worker = started(office, "write")
        while not lock.execute(
            "select from pg_locks where locktype = 'advisory' and objid = 1 and not granted"
        ).rowcount:
            assert worker.poll() is None
            time.sleep(0.02)
        worker.kill()
        worker.wait()
    assert office.outbox() == [] and {state for _, state, _ in office.actions()} == {"open"}

    while not (written := office.write()):
        time.sleep(0.05)
    assert written == {"digest": 3}
    keys = office.outbox("message_key")
    assert len(set(keys)) == 3 and office.write() == {} and office.outbox("message_key") == keys


def test_a_server_that_is_away_loses_nothing_and_keeps_the_order(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    smtp = office.messaging.smtp
    office.configure(smtp={"host": "127.0.0.1", "port": 1, "security": "none"})
    number = office.notification("s1")
    office.action("s1", number, kind="email_student", target="student")
    for _ in range(3):
        office.deliver()
        office.later(hours=2)
    assert office.outbox("state, error") == [("pending", "the mail server does not answer: ConnectionRefusedError")]
    office.later(days=7)
    office.action("s1", office.notification("s1", "low_activity"), kind="email_student", target="student")
    office.deliver()

    office.configure(smtp=smtp and smtp.model_dump())
    office.later(days=1)
    assert office.deliver() == {} and len(mail_server.taken) == 2
    assert [mail["To"] for mail in mail_server.taken] == [STUDENT] * 2
    assert [mail["Date"] for mail in mail_server.taken] == sorted(mail["Date"] for mail in mail_server.taken)


def test_the_second_letter_to_a_student_waits_for_the_first_and_not_for_others(
    office: Office, mail_server: MailServer
) -> None:
    for key, student in (("a", "s1"), ("b", "s1"), ("c", "s2")):
        draft = outbox.Draft(key, "email", STUDENT, key, key, kind="student", order_key=f"letter:{student}")
        outbox.write(office.connection, draft, office.now, suppress=False)
    office.connection.commit()
    mail_server.answers = ["451 later"]

    assert office.send() == {"pending": 1, "sent": 1}
    office.later(minutes=2)
    mail_server.answers = ["550 never"]
    # What is given up holds nobody back.
    assert office.send() == {"failed": 1, "sent": 1}
    assert [mail["Subject"] for mail in mail_server.taken] == ["c", "b"]


def test_a_server_that_answers_too_late_and_one_that_refuses_somebody(office: Office, mail_server: MailServer) -> None:
    office.configure(smtp={"host": "127.0.0.1", "port": mail_server.port, "security": "none", "timeout_s": 0.3})
    office.staff("T2", OTHER)
    office.student("s1")
    office.student("s2", tutor="T2")
    office.tell("s1")
    office.tell("s2")
    office.write()
    mail_server.answers = ["slow", "550 no such person"]

    assert office.send() == {"pending": 1, "failed": 1}

    assert office.outbox("state, error") == [
        ("pending", "the mail server does not answer: SMTPServerDisconnected"),
        ("failed", "the mail server does not take the message (SMTP 550)"),
    ]
    office.later(minutes=1)
    assert office.send() == {"sent": 1}
    # It had come all the same; the reader's program knows it by its id.
    assert {mail["Message-ID"] for mail in mail_server.taken} == {mail_server.taken[0]["Message-ID"]}


@pytest.mark.parametrize(
    ("written", "quiet", "again"),
    [
        ("2026-03-10 18:50", "2026-03-10 19:00", "2026-03-11 07:00"),
        ("2026-03-13 18:50", "2026-03-14 12:00", "2026-03-16 07:00"),
        # The clocks go forward and back on the Sunday.
        ("2026-03-27 18:50", "2026-03-30 05:59", "2026-03-30 06:00"),
        ("2026-10-23 17:50", "2026-10-26 06:59", "2026-10-26 07:00"),
    ],
)
def test_nothing_about_students_leaves_while_it_is_quiet(
    office: Office, mail_server: MailServer, written: str, quiet: str, again: str
) -> None:
    """What was due before waits as well; owners of sources hear at any hour."""
    office.now = datetime.fromisoformat(written).replace(tzinfo=UTC)
    for kind in (*outbox.TO_PEOPLE, "owner"):
        draft = outbox.Draft(kind, "email", TUTOR, kind, kind, kind=kind)
        outbox.write(office.connection, draft, office.now, suppress=False)
    office.connection.commit()
    office.now = datetime.fromisoformat(quiet).replace(tzinfo=UTC)

    assert office.send() == {"sent": 1} and mail_server.taken[0]["Subject"] == "owner"
    assert not outbox.is_due(office.connection, office.messaging, office.now)
    office.now = datetime.fromisoformat(again).replace(tzinfo=UTC) - timedelta(seconds=1)
    assert office.send() == {}
    office.later(seconds=1)
    assert outbox.is_due(office.connection, office.messaging, office.now)
    assert office.send() == {"sent": 4}


def test_by_default_files_are_written_and_nothing_is_sent(office: Office, mail_server: MailServer) -> None:
    (office.settings.config / "messaging.yaml").unlink()
    office.later(hours=1)
    office.student("s1")
    office.tell("s1")
    office.action("s1", office.notification("s1", "low_activity"), kind="email_student", target="student")

    assert office.deliver() == {"digest": 1, "student": 1}

    assert sorted(office.outbox()) == [("digest", "previewed"), ("student", "previewed")]
    assert len(list((office.settings.home / "outbox").glob("*.eml"))) == 2 and mail_server.taken == []
    # Who switches on afterwards sends none of them.
    office.configure()
    assert office.deliver() == {} and mail_server.taken == []


@pytest.mark.parametrize("delivery", ["send", "preview"])
def test_what_cannot_be_put_together_is_given_up_and_the_others_go_on(
    office: Office, mail_server: MailServer, delivery: str
) -> None:
    office.configure(delivery=delivery)
    wrong = ["j.smith@[uni.ac.uk", "=?q??=@x.y", "=?utf-8?q?=0a?=@x.y"]
    for n, address in enumerate([*wrong, TUTOR]):
        draft = outbox.Draft(f"{n}", "email", address, "subject", "text", kind="digest")
        outbox.write(office.connection, draft, office.now, suppress=False)
    office.connection.commit()

    office.send()

    found = office.outbox("state, error")
    went = ("sent" if delivery == "send" else "previewed", None)
    # Some versions of Python can put the second together.
    assert found[0] == found[2] == ("failed", "the message cannot be put together")
    assert found[1] in (went, found[0]) and found[3] == went


def test_a_digest_counts_for_no_limit(office: Office, mail_server: MailServer) -> None:
    office.configure(limits={"per_recipient_per_hour": 1})
    office.student("s1")
    for about in ("no_digital_activity", "low_activity", "score"):
        office.action("s1", office.notification("s1", about), is_immediate=True)
    assert office.deliver() == {"immediate": 3} and len(mail_server.taken) == 3
    office.execute("update ops.outbox set state = 'suppressed' where message_id = 1")
    assert not outbox.is_full(office.connection, office.messaging, "email", TUTOR, office.now)
    assert outbox.held_back(office.connection, "email", TUTOR) == []
    # Nobody tells a tutor, as if they owned a source, that messages were held back.
    assert not incidents.is_due(office.connection, {}, office.messaging, office.now)


def test_neither_logs_nor_errors_name_anybody(
    office: Office, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office.staff("T2", "not an address")
    office.student("s77x", "Zephyrine", "Quux")
    office.student("s88x", "Zephyrine", "Quux", tutor="T2")
    office.tell("s77x")
    office.tell("s88x")
    mail_server.answers = ["550 5.1.1 <t.lovelace@example.ac.uk> Zephyrine Quux s77x"]
    office.deliver()

    # Not what the mail server of the test notes of itself.
    logged = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    said = str(logged) + str(office.outbox("message_key, error, order_key, subject")) + str(office.actions("why"))
    for private in ("Zephyrine", "Quux", "s77x", "s88x", "lovelace", "not an address"):
        assert private not in said
