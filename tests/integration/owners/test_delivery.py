"""Sending, whatever the server does and wherever the sender is killed: at least once, and never again once recorded."""

import ssl
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from engage import outbox
from engage.messaging import Messaging
from engage.settings import PROJECT
from engage.warehouse import connect
from tests.integration.owners.kit import OWNER, Desk, MailServer

SENDER = """
import sys
from datetime import datetime
from pathlib import Path
from engage import outbox
from engage.messaging import Messaging
from engage.warehouse import connect
url, settings, home, now = sys.argv[1:]
with connect(url) as connection:
    outbox.send_due(connection, Messaging.model_validate_json(settings), Path(home), datetime.fromisoformat(now))
"""


def write(desk: Desk, *keys: str, channel: str = "email", recipient: str = OWNER) -> None:
    for key in keys:
        draft = outbox.Draft(key, channel, recipient, f"About {key}", "Text", "<p>Text</p>", {"text": key})
        outbox.write(desk.connection, draft, desk.now, suppress=False)
    desk.connection.commit()


def test_killed_after_the_server_has_taken_it_it_is_sent_again_under_the_same_id(
    desk: Desk, mail_server: MailServer
) -> None:
    write(desk, "one")
    # What records the success waits for a lock that is ours.
    desk.gate.execute(
        "create function wait() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(1); return new; end';"
        "create trigger wait before update on ops.outbox for each row execute function wait()"
    )
    with connect(desk.gate.url, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(1)")
        given = [desk.gate.url, desk.messaging.model_dump_json(), str(desk.home), desk.now.isoformat()]
        sender = subprocess.Popen([sys.executable, "-c", SENDER, *given], cwd=PROJECT)
        while not mail_server.taken:
            assert sender.poll() is None
            time.sleep(0.02)
        sender.kill()
        sender.wait()
    assert desk.outbox() == [("pending",)]
    # The row stays locked until the server notices that the sender is gone.
    while not (sent := desk.send()):
        time.sleep(0.05)

    assert sent == {"sent": 1}
    assert desk.send() == {}
    first, second = mail_server.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_two_senders_at_once_send_each_message_once(desk: Desk, mail_server: MailServer) -> None:
    write(desk, *map(str, range(12)))

    def send() -> None:
        with connect(desk.gate.url) as connection:
            outbox.send_due(connection, desk.messaging, desk.home, desk.now)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(mail["Subject"] for mail in mail_server.taken) == sorted(f"About {n}" for n in range(12))


def test_what_is_refused_for_now_is_tried_later_and_later_and_what_is_refused_for_good_is_not(
    desk: Desk, mail_server: MailServer
) -> None:
    desk.configure(limits={"attempts": 3, "first_wait_s": 60})
    write(desk, "greylisted", "refused", "dropped", "good")
    mail_server.answers = ["451 later", "550 never", "drop"]

    assert desk.send() == {"pending": 2, "failed": 1, "sent": 1}

    first = desk.now
    assert desk.outbox("state, attempts, error, next_attempt_at - created_at")[:3] == [
        ("pending", 1, "the mail server does not take the message (SMTP 451)", timedelta(minutes=1)),
        ("failed", 1, "the mail server does not take the message (SMTP 550)", timedelta(minutes=1)),
        ("pending", 1, "the mail server does not answer: SMTPServerDisconnected", timedelta(minutes=1)),
    ]
    desk.later(seconds=59)
    assert desk.send() == {}
    desk.later(seconds=1)
    mail_server.answers = ["451 later"]
    assert desk.send() == {"pending": 1, "sent": 1}
    assert desk.outbox("next_attempt_at")[0] == (first + timedelta(minutes=3),)
    desk.later(minutes=2)
    mail_server.answers = ["451 later"]
    assert desk.send() == {"failed": 1}
    assert outbox.retry_failed(desk.connection, desk.now) == 2
    assert desk.send() == {"sent": 2}


def test_a_server_that_is_away_is_asked_once_and_waited_for(desk: Desk, mail_server: MailServer) -> None:
    there = desk.messaging.smtp
    desk.configure(limits={"attempts": 1}, smtp={"host": "127.0.0.1", "port": 1, "security": "none"})
    write(desk, "one", "two")
    for _ in range(3):
        assert desk.send() == {"pending": 1}
        desk.later(hours=1)
    assert desk.outbox("state") == [("pending",)] * 2
    assert desk.outbox("error")[0] == ("the mail server does not answer: ConnectionRefusedError",)

    desk.configure(smtp=there and there.model_dump())

    assert desk.send() == {"sent": 2}


def test_a_name_with_a_line_break_stops_no_message(desk: Desk, mail_server: MailServer) -> None:
    write(desk, "re\nport\u2028.csv", "two")
    assert desk.send() == {"sent": 2}
    assert [mail["Subject"] for mail in mail_server.taken] == ["About re port .csv", "About two"]


def test_it_is_encrypted_and_logs_in(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    heard = []

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        heard.append((mechanism, data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    settings = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
    monkeypatch.setenv("ENGAGE_SMTP_USERNAME", "engage")
    monkeypatch.setenv("ENGAGE_SMTP_PASSWORD", "wrong")
    with MailServer(**settings) as server:
        smtp = {"host": "localhost", "port": server.port, "username": "${ENGAGE_SMTP_USERNAME}"}
        desk.configure(smtp={**smtp, "password": "${ENGAGE_SMTP_PASSWORD}"})
        write(desk, "one")
        # Nobody vouches for the certificate.
        assert desk.send() == {"pending": 1} and heard == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        desk.later(hours=1)
        assert desk.send() == {"pending": 1}
        assert desk.outbox("error") == [("the mail server refuses us: AuthenticationError (SMTP 535)",)]
        monkeypatch.setenv("ENGAGE_SMTP_PASSWORD", "right")
        desk.later(hours=1)
        assert desk.send() == {"sent": 1}
        assert server.taken[0]["From"] == "Engagement data <engagement-data@example.ac.uk>"
        assert heard[-1][1:] == (b"engage", b"right")


def test_a_preview_is_a_file_and_nothing_leaves(desk: Desk, mail_server: MailServer) -> None:
    desk.messaging = Messaging()
    write(desk, "one")
    write(desk, "two", channel="webhook", recipient="team")

    assert desk.send() == {"previewed": 2}
    desk.configure(delivery="send", smtp={"host": "127.0.0.1", "port": mail_server.port, "security": "none"})
    assert desk.send() == {}

    mail, card = sorted((desk.home / "outbox").iterdir())
    assert mail.suffix == ".eml" and b"Subject: About one" in mail.read_bytes()
    assert card.suffix == ".json" and '"text": "two"' in card.read_text()
    assert mail_server.taken == []
