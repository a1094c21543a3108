"""Messages that name a student who is erased: what has not left is told anew without them, what has loses its text."""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from engage import outbox
from engage.outbox import Draft
from engage.privacy import erasure
from engage.privacy.one_student import Found, Note, Student
from engage.settings import PROJECT
from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import OTHER, TUTOR, Office


@pytest.fixture
def two(office: Office) -> Office:
    """Two students of one tutor of whom there is something to tell."""
    (office.settings.config / "sources").mkdir()
    shutil.copy(PROJECT / "config" / "sources" / "vle.yaml", office.settings.config / "sources")
    office.student("s1")
    office.student("s2", "Grace", "Hopper")
    office.tell("s1")
    office.tell("s2")
    return office


def erase(office: Office, student: str = "s1") -> erasure.Erased:
    office.connection.commit()
    home = office.settings.home
    at = erasure.Where(office.url, office.settings.config, home, str(home / "landing"))
    done = erasure.erase(at, student, "ada", "asked for", office.now)
    assert done.left == []
    return done


def previews(office: Office) -> list[Path]:
    return sorted((office.settings.home / "outbox").glob("*"))


def test_a_digest_that_waits_is_written_anew_without_the_student(two: Office, mail_server: MailServer) -> None:
    assert two.write() == {"digest": 1}
    erase(two)
    assert two.actions() == [("notify", "open", None)]
    assert two.send() == {}, "it does not leave"
    assert two.write() == {"digest": 1}
    assert two.send() == {"sent": 1}
    (text,) = mail_server.texts()
    assert "Grace Hopper" in text
    assert "Ada" not in text
    assert two.outbox("state, text = 'erased'") == [("suppressed", True), ("sent", False)]
    two.later(days=1)
    assert two.write() == {}, "and once"


@pytest.mark.parametrize(("state", "attempts"), [("failed", 20), ("pending", 1)])
def test_so_is_one_that_was_given_up_or_tried(two: Office, mail_server: MailServer, state: str, attempts: int) -> None:
    two.write()
    two.execute("update ops.outbox set state = %s, attempts = %s", [state, attempts])
    erase(two)
    assert two.write() == {"digest": 1}
    assert two.send() == {"sent": 1}
    assert "Grace Hopper" in mail_server.texts()[-1]


@pytest.mark.parametrize("delivery", ["send", "preview"])
def test_one_that_has_left_loses_its_text_and_nobody_is_told_twice(
    two: Office, mail_server: MailServer, delivery: str
) -> None:
    two.configure(delivery=delivery)
    two.execute("insert into marts.student (student_id, tutor_id, status) values ('s3', 'T2', 'active')")
    two.staff("T2", OTHER)
    two.execute("insert into pii.student values ('s3', 'Alan', 'Turing', null, '2026-03-01')")
    two.tell("s3")
    two.deliver()
    assert len(previews(two)) == 2 * (delivery == "preview")
    erase(two)
    state = "sent" if delivery == "send" else "previewed"
    assert sorted(two.outbox("recipient, state, text = 'erased', html is null")) == [
        (OTHER, state, False, False),
        (TUTOR, state, True, True),
    ]
    assert [path.name[:6] for path in previews(two)] == ["000002"] * (delivery == "preview")
    assert {state for (state,) in two.actions("state")} == {"done"}
    two.later(days=1)
    assert two.deliver() == {}


def test_a_preview_of_a_message_that_still_waits_goes_with_it(two: Office) -> None:
    two.configure(delivery="preview")
    two.write()
    # Killed after the file was written, before that was recorded.
    message = outbox.find(two.connection, 1)
    assert message is not None
    outbox.preview(two.messaging, two.settings.home, message)
    assert len(previews(two)) == 1
    erase(two)
    assert previews(two) == []


def test_a_letter_to_the_student_does_not_leave_and_does_not_say_whose_it_was(two: Office) -> None:
    two.action("s1", two.notification("s1", "low_activity"), kind="email_student", target="student")
    two.write()
    erase(two)
    said = two.outbox("kind, state, recipient, text, order_key")
    assert ("student", "suppressed", "erased", "erased", None) in said
    assert two.write() == {"digest": 1}


def test_a_message_to_the_owner_of_a_source_keeps_its_text(two: Office, mail_server: MailServer) -> None:
    text = "cards_S1.csv was refused; s10 and 21 others were not"
    draft = Draft(
        "incident:1", "email", "owner@example.ac.uk", "cards_s1.csv", text, "<p>S1</p>", {"in_reply_to": "s1"}
    )
    outbox.write(two.connection, draft, two.now, suppress=False)
    erase(two)
    assert two.outbox("state, subject, text, html, payload") == [
        ("pending", "cards_erased.csv", "cards_erased.csv was refused; s10 and 21 others were not", "<p>erased</p>",
         {"in_reply_to": "erased"}),
    ]  # fmt: skip
    two.send()
    assert len(mail_server.texts()) == 1


def test_what_the_visa_team_was_told_of_others_stays_told(two: Office) -> None:
    told = [{"student_id": s, "last_contact": None, "day": 50} for s in ("s1", "s2")]
    for key, state in (("sponsored:2026-03-09", "sent"), ("sponsored:2026-03-10", "pending")):
        draft = Draft(key, "email", "visa@example.ac.uk", "two", "s1 and s2", None, {"sponsored": told}, "digest")
        number = outbox.write(two.connection, draft, two.now, suppress=False)
        two.execute("update ops.outbox set state = %s where message_id = %s", [state, number])
    erase(two)
    assert two.outbox("message_key, state, payload") == [
        ("sponsored:2026-03-09", "sent", {"sponsored": told[1:]}),
        ("erased 2", "suppressed", {}),
    ], "the one of today may be written again"


def test_what_is_written_meanwhile_is_found_as_well(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    take, rounds = Student.take, list[None]()

    def slow(student: Student, found: Found, note: Note, now: datetime) -> None:
        if not rounds:
            two.write()
        rounds.append(take(student, found, note, now))

    monkeypatch.setattr(Student, "take", slow)
    erase(two)
    assert [text for (text,) in two.outbox("text")] == ["erased"]
    assert two.write() == {"digest": 1}
