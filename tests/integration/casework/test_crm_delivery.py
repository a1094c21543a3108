"""What the CRM does, nothing is lost and nothing is taken twice: at least once, under one key, in order per student."""

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engage import crm as sender
from engage.settings import PROJECT
from engage.warehouse import Connection, connect
from tests.integration.casework.kit import SECRET, Crm, Office
from tests.integration.owners.test_delivery import SENDER


def test_the_crm_is_told_what_why_and_on_what_evidence_and_its_case_is_remembered(office: Office, crm: Crm) -> None:
    office.enrol("s/1")
    notification = office.ask("s/1")

    assert office.decide() == {"open": 1}
    assert office.decide() == {}
    assert office.send() == {"sent": 1}

    (told,) = crm.posts
    (key,) = office.rows("ca.case_key")[0]
    assert told == {
        "action": "open",
        "case_key": str(key),
        "case_id": None,
        "student_id": "s/1",
        "kind": "engagement",
        "note": "Hardly any activity",
        "rule": {"id": "rule1", "title": None},
        "notification_id": notification,
        "trigger_date": "2026-11-23",
        "week_start": None,
        "evidence": {"days": 14, "sources": {"vle": 1}},
        "occurred_at": "2026-11-23T07:00:00+00:00",
        "link": "https://sits.example.ac.uk/s%2F1",
    }
    assert crm.refused == []
    # Nothing else of the answer is kept.
    assert office.rows("o.reply, o.state, a.state") == [({"case_id": "C1"}, "sent", "done")]
    office.ask("s/1")
    assert office.decide() == {"append": 1}
    assert office.rows("ca.action, ca.case_id, ca.case_key")[1] == ("append", "C1", key)


def test_the_signature_is_that_of_the_standard() -> None:
    # The vector of the library standardwebhooks.
    secret = sender.secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sender.signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("how", ["nobody listens", "HTTP 503"])
def test_away_for_two_days_nothing_is_lost_and_nothing_comes_twice(
    office: Office, crm: Crm, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = ["s1", "s2", "s3"]
    office.enrol(*students)
    if how == "nobody listens":
        monkeypatch.setenv("ENGAGE_CRM_URL", "http://127.0.0.1:9/")
    else:
        crm.refuses = lambda data: 503
    for hour in range(0, 48, 3):
        if hour % 12 == 0:
            for student in students:
                office.ask(student)
        office.decide()
        # One is tried, and the others wait with it.
        assert office.send() in ({}, {"pending": 1})
        office.later(hours=3)
    assert crm.cases == []

    monkeypatch.setenv("ENGAGE_CRM_URL", crm.url)
    crm.refuses = lambda data: None
    crm.posts.clear()
    office.later(hours=6)
    assert office.send() == {"sent": 12}
    assert office.send() == {}

    assert [case.student_id for case in crm.cases] == students
    for case in crm.cases:
        assert [entry["action"] for entry in case.entries] == ["open", "append", "append", "append"]
        assert len({entry["notification_id"] for entry in case.entries}) == 4
        assert sorted(entry["notification_id"] for entry in case.entries) == [
            entry["notification_id"] for entry in case.entries
        ]


def test_one_whom_the_crm_chokes_on_keeps_only_their_own_waiting_and_is_given_up(office: Office, crm: Crm) -> None:
    office.enrol("bad", "good")
    for student in ("bad", "bad", "good"):
        office.ask(student)
    office.decide()
    first = int(office.rows("a.notification_id")[0][0])
    crm.refuses = lambda data: 500 if data["notification_id"] == first else None

    assert office.send() == {"pending": 1, "sent": 1}
    assert [case.student_id for case in crm.cases] == ["good"]
    for _ in range(2):
        office.later(hours=1)
        assert office.send() == {"pending": 1}
    office.later(hours=1)
    # The fourth time is the last; what waited behind it carries all that the CRM needs to open the case.
    assert office.send() == {"failed": 1, "sent": 1}

    assert [case.student_id for case in crm.cases] == ["good", "bad"]
    assert office.rows("o.state, o.error")[0] == ("failed", "the CRM says HTTP 500")
    crm.refuses = lambda data: None
    (number,) = office.rows("ca.case_action_id")[0]
    assert office.retry([number]) == 1
    assert office.rows("ca.action, o.attempts")[0] == ("append", 0)
    assert office.send() == {"sent": 1}
    assert [len(case.entries) for case in crm.cases] == [1, 2]


def test_patience_is_given_as_asked_for(office: Office, crm: Crm) -> None:
    office.enrol("s1", "s2")
    office.ask("s1")
    office.ask("s2")
    office.decide()
    crm.answers = [(429, {"Retry-After": "600"})]

    assert office.send() == {"pending": 1}
    assert office.rows("o.next_attempt_at - o.created_at") == [(timedelta(minutes=10),)] * 2
    office.later(minutes=9)
    assert office.send() == {}
    office.later(minutes=1)
    assert office.send() == {"sent": 2}


@pytest.mark.parametrize("how", ["lost", "slow"])
def test_an_answer_that_does_not_come_means_again_under_the_same_key(office: Office, crm: Crm, how: str) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    crm.answers = [how]

    assert office.send() == {"pending": 1}
    assert "the CRM does not answer: " in office.rows("o.error")[0][0]
    office.later(hours=1)
    assert office.send() == {"sent": 1}

    assert len(crm.posts) == 2 and len(crm.taken) == 1
    assert [len(case.entries) for case in crm.cases] == [1]
    assert office.rows("o.reply") == [({"case_id": "C1"},)]


def test_one_without_an_answer_time_and_again_keeps_others_waiting_no_longer(office: Office, crm: Crm) -> None:
    office.enrol("s1", "s2")
    office.ask("s1")
    office.ask("s2")
    office.decide()
    for _ in range(3):
        crm.answers = ["lost"]
        assert office.send() == {"pending": 1}
        office.later(hours=1)
    crm.answers = ["lost"]
    assert office.send() == {"failed": 1, "sent": 1}


def test_killed_after_the_crm_has_taken_it_it_is_sent_again_and_taken_once(
    office: Office, crm: Crm, database_url: str
) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    office.connection.execute(
        "create function wait() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(1); return new; end';"
        "create trigger wait before update on ops.outbox for each row execute function wait()"
    )
    office.connection.commit()
    with connect(database_url, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(1)")
        given = [
            database_url,
            office.messaging.model_dump_json(by_alias=True),
            str(office.home),
            office.now.isoformat(),
        ]
        process = subprocess.Popen([sys.executable, "-c", SENDER, *given], cwd=PROJECT)
        while not crm.taken:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
    assert office.rows("o.state") == [("pending",)]
    while not (sent := office.send()):
        time.sleep(0.05)

    assert sent == {"sent": 1} and office.send() == {}
    assert len(crm.posts) == 2
    assert [len(case.entries) for case in crm.cases] == [1]


def test_what_the_crm_refuses_for_good_is_a_dead_letter(office: Office, crm: Crm) -> None:
    office.enrol("s1", "s2")
    office.ask("s1")
    office.ask("s2")
    office.decide()
    crm.answers = [(400,)]
    assert office.send() == {"failed": 1, "sent": 1}
    assert office.rows("o.state, o.error")[0] == ("failed", "the CRM says HTTP 400")
    # What was given up opens nothing: the next one does.
    office.ask("s1")
    assert office.decide() == {"open": 1}


def test_what_each_answer_means(office: Office, crm: Crm) -> None:
    answers: list[tuple[tuple[Any, ...], str]] = [
        ((204,), "sent"),
        ((200, {}, ["no", "object"]), "sent"),
        ((200, {}, {"case_id": "x" * 300}), "sent"),
        ((409, {}, {"case_id": 17}), "sent"),
        ((409, {}, {"already": True}), "sent"),
        ((409,), "pending"),
        ((425,), "pending"),
        ((302, {"Location": "/elsewhere"}), "pending"),
        ((401,), "pending"),
        ((410,), "pending"),
        ((404,), "failed"),
        ((422, {}, {"case_id": "C1"}), "failed"),
    ]
    for number, (answer, became) in enumerate(answers):
        office.enrol(f"s{number}")
        office.ask(f"s{number}")
        office.decide()
        crm.posts.clear()
        crm.answers = [answer]
        assert office.send() == {became: 1}, answer
        assert len(crm.posts) == 1
        assert office.rows("o.reply")[-1] == ({"case_id": "17"} if number == 3 else None,)
        office.later(hours=6)
        office.send()


def test_a_wrong_secret_is_refused_and_waited_for(office: Office, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    monkeypatch.setenv("ENGAGE_CRM_SECRET", "whsec_" + "QUFB" * 8)
    for _ in range(6):
        assert office.send() == {"pending": 1}
        office.later(hours=6)
    assert set(crm.refused) == {"wrong signature"} and crm.posts == []
    assert office.rows("o.error") == [("the CRM says HTTP 401",)]
    monkeypatch.setenv("ENGAGE_CRM_SECRET", SECRET)
    assert office.send() == {"sent": 1}


def test_what_is_set_up_wrongly_is_waited_for_and_said_without_a_secret(
    office: Office, crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    for name, value, said in [
        ("ENGAGE_CRM_SECRET", "hunter2", "crm.secret: must be whsec_"),
        ("ENGAGE_CRM_SECRET", "whsec_c2hvcnQ=", "crm.secret: must be whsec_"),
        ("ENGAGE_CRM_SECRET", "whsec_not/base64!s3cret", "crm.secret: must be whsec_"),
        ("ENGAGE_CRM_URL", "http://crm.example.ac.uk/s3cret", "crm.url: must begin with https://"),
        ("ENGAGE_CRM_URL", "https://[s3cret", "crm.url: is not an address"),
        ("ENGAGE_CRM_URL", "https://crm.invalid:99999/s3cret", "the CRM does not answer"),
        ("ENGAGE_CRM_URL", None, "the environment variable ENGAGE_CRM_URL is not set"),
    ]:
        with monkeypatch.context() as patch:
            patch.delenv(name) if value is None else patch.setenv(name, value)
            assert office.send() == {"pending": 1}
        ((error,),) = office.rows("o.error")
        assert said in error
        assert not any(secret in error for secret in ("s3cret", "hunter2", "s1"))
        office.later(hours=6)
    assert not crm.posts and not crm.refused


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    office: Office, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.decide()
    with Crm(certificate) as secure:
        monkeypatch.setenv("ENGAGE_CRM_URL", secure.url)
        assert office.send() == {"pending": 1}
        assert not secure.posts and not secure.refused
        office.later(hours=1)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert office.send() == {"sent": 1}


def test_a_letter_without_end_is_a_dead_letter(office: Office, crm: Crm) -> None:
    office.enrol("s1")
    office.ask("s1")
    office.connection.execute(
        "update ops.notification set evidence = jsonb_build_object('too', repeat('long', 100000))"
    )
    office.decide()
    assert office.send() == {"failed": 1}
    assert crm.posts == []


def test_a_preview_is_a_file_and_nothing_of_it_counts_once_it_is_switched_on(office: Office, crm: Crm) -> None:
    office.configure(delivery="preview", crm=None)
    office.enrol("s1")
    office.ask("s1")
    office.ask("s1")
    assert office.decide() == {"open": 1, "append": 1}
    assert office.send() == {"previewed": 2}
    files = sorted((office.home / "outbox").iterdir())
    assert [json.loads(path.read_text())["type"] for path in files] == ["case.open", "case.append"]
    office.ask("s1")
    assert office.decide() == {"append": 1}
    assert office.send() == {"previewed": 1}

    office.configure(delivery="send")
    office.ask("s1")
    assert office.decide() == {"suppressed": 1}
    office.configure(crm={"url": "${ENGAGE_CRM_URL}", "secret": "${ENGAGE_CRM_SECRET}"})
    office.ask("s1")
    assert office.decide() == {"open": 1}
    assert office.send() == {"sent": 1}
    assert [(case.student_id, len(case.entries)) for case in crm.cases] == [("s1", 1)]


def test_nobody_is_told_of_one_who_left_or_of_what_is_not_so(office: Office, crm: Crm, warehouse: Connection) -> None:
    office.enrol("gone", status="withdrawn")
    office.enrol("here")
    office.ask("gone")
    office.ask("unknown")
    warehouse.execute(
        "update ops.notification set status = 'superseded' where notification_id = %s", [office.ask("here")]
    )
    assert office.decide() == {"suppressed": 3}
    assert warehouse.execute("select student_id, state, why from ops.action order by action_id").fetchall() == [
        ("gone", "suppressed", "the student is not active"),
        ("unknown", "suppressed", "the student is not active"),
        ("here", "suppressed", "superseded before anybody was told"),
    ]


def test_no_message_names_the_address_or_the_student_where_people_see_it(
    office: Office, crm: Crm, tmp_path: Path
) -> None:
    office.enrol("u1234567")
    office.ask("u1234567")
    office.decide()
    crm.answers = [(500,)]
    office.send()
    ((key, subject, order, recipient, error),) = office.rows(
        "o.message_key, o.subject, o.order_key, o.recipient, o.error"
    )
    for text in (key, subject, order, recipient, error):
        assert "u1234567" not in text and "localhost" not in text
