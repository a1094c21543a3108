"""What was told and does not hold: taken back where it has not left, corrected where it has, told again if it holds."""

import threading
import time
from datetime import date, timedelta

from engage.contact import corrections
from engage.warehouse import connect
from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import STUDENT, TUTOR, Office


def test_what_nobody_was_told_is_not_told(office: Office) -> None:
    office.student("s1")
    number = office.tell("s1")
    for kind, target in (("case", "engagement"), ("ladder", "nottingham")):
        office.action("s1", number, kind=kind, target=target)

    assert office.supersede(number) == 0

    assert {why for _, _, why in office.actions()} == {"superseded before anybody was told"}
    assert office.write() == {}


def test_a_digest_that_has_not_left_is_written_anew_without_the_student(
    office: Office, mail_server: MailServer
) -> None:
    office.student("s1")
    office.student("s2", "Grace", "Hopper")
    wrong = office.tell("s1")
    office.tell("s2")
    office.write()
    before = office.outbox("message_id, message_key")

    assert office.supersede(wrong) == 0
    # Nothing leaves in between.
    assert office.send() == {}
    assert office.write() == {"digest": 1}
    office.send()

    assert office.outbox("message_id, message_key") == before
    (text,) = mail_server.texts()
    assert "Grace Hopper" in text and "Ada King" not in text
    assert office.actions() == [
        ("notify", "suppressed", "superseded before anybody was told"),
        ("notify", "done", None),
    ]


def test_one_that_told_of_nobody_else_does_not_leave(office: Office) -> None:
    office.student("s1")
    wrong = [office.tell("s1", is_immediate=True), office.notification("s1", "low_activity")]
    office.action("s1", wrong[1], kind="email_student", target="student")
    office.write()

    assert office.supersede(*wrong) == 0

    assert office.write() == {} and office.send() == {}
    assert {state for (state,) in office.outbox("state")} == {"suppressed"}
    # A letter that never left is none: the next may be written.
    office.action("s1", office.notification("s1", "score"), kind="email_student", target="student")
    assert office.write() == {"student": 1}


def test_whoever_was_told_hears_of_it_once_in_the_digest(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    wrong = office.tell("s1")
    # Two rules told the tutor of it.
    office.action("s1", wrong)
    office.deliver()
    office.later(days=1)
    office.execute(
        "insert into marts.daily_activity (student_id, activity_date, source_id, interactions)"
        " values ('s1', '2026-03-05', 'vle', 3), ('s1', '2026-03-04', 'vle', 3), ('s1', '2026-03-12', 'vle', 3)"
    )

    assert office.supersede(wrong) == 1
    assert office.supersede(wrong) == 0
    assert office.deliver() == {"digest": 1}

    mail, text = mail_server.taken[-1], " ".join(mail_server.texts()[-1].split())
    assert mail["Subject"] == "1 correction, Wed 11 March"
    assert (
        "On 10 March we told you: no digital activity on 3 to 9 March."
        " That does not hold: data that came since shows activity (Moodle, 4 to 5 March)." in text
    )
    assert "Nothing, and there is no need to tell the student." in text
    office.later(days=1)
    assert office.deliver() == {} and office.supersede(wrong) == 0


def test_a_correction_of_what_was_told_at_once_is_told_at_once_even_of_who_has_left(office: Office) -> None:
    office.student("s1")
    wrong = office.tell("s1", is_immediate=True)
    office.deliver()
    office.execute("update marts.student set status = 'withdrawn'")
    office.later(minutes=5)

    office.supersede(wrong, reason="the student was away on one of the days, as the registry says by now")

    assert office.deliver() == {"correction": 1}
    ((kind, subject, text),) = office.outbox("kind, subject, text")[1:]
    assert (kind, subject) == ("correction", "1 correction, Tue 10 March")
    assert "the registry says by now" in " ".join(text.split())


def test_a_student_who_was_written_to_is_told_too(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    number = office.notification("s1")
    office.action("s1", number, kind="email_student", target="student")
    office.deliver()
    office.later(minutes=5)
    office.supersede(number)

    assert office.deliver() == {"correction": 1}

    first, second = mail_server.taken
    assert first["To"] == second["To"] == STUDENT
    assert second["Subject"] == "Please disregard our last message"
    text = " ".join(mail_server.texts()[1].split())
    assert "On 10 March we wrote to you that from 3 to 9 March our systems recorded no activity of yours" in text
    assert len(set(office.outbox("order_key"))) == 1


def test_what_holds_now_stands_in_the_correction(office: Office, mail_server: MailServer) -> None:
    """The count begins anew: one message says both, also where the correction goes at once."""
    office.student("s1")
    wrong = office.tell("s1", is_immediate=True)
    office.deliver()
    office.later(days=1)
    office.supersede(wrong)
    new = office.notification("s1", trigger=date(2026, 3, 12))
    office.action("s1", new)

    assert office.deliver() == {"correction": 1}

    text = " ".join(mail_server.texts()[-1].split())
    assert "What holds now: No digital activity on 5 to 11 March" in text
    assert "Nothing, and there is no need" not in text
    assert mail_server.taken[-1]["Subject"] == "1 student to look at, Wed 11 March"
    assert {state for _, state, _ in office.actions()} == {"done"}


def test_what_may_have_arrived_is_sent_and_then_corrected(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    wrong = office.tell("s1", is_immediate=True)
    mail_server.answers = ["drop"]
    office.deliver()
    assert office.outbox("state, attempts") == [("pending", 1)]

    assert office.supersede(wrong) == 1
    # The correction follows what it corrects.
    assert office.write() == {}
    office.later(minutes=2)
    assert office.send() == {"sent": 1}
    assert office.deliver() == {"correction": 1}
    assert [mail["Subject"] for mail in mail_server.taken] == [
        "1 student to look at, Tue 10 March",
        "1 correction, Tue 10 March",
    ]


def test_what_was_given_up_or_told_long_ago_is_not_corrected(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    office.student("s2")
    old = office.tell("s1")
    office.deliver()
    refused = office.tell("s2", is_immediate=True)
    mail_server.answers = ["550 no such person"]
    office.deliver()
    office.now += timedelta(days=29)

    assert office.supersede(old, refused) == 1
    assert office.write() == {}

    assert office.actions()[-1] == ("correction", "suppressed", "it was told too long ago")
    assert office.outbox("state") == [("sent",), ("suppressed",)]


def test_what_holds_after_all_is_told_again(office: Office, mail_server: MailServer) -> None:
    """A correction may be corrected: data that came was withdrawn by its owner."""
    office.student("s1")
    office.student("s2", "Grace", "Hopper")
    told = office.tell("s1", is_immediate=True)
    office.deliver()
    untold = office.tell("s2", is_immediate=True)
    office.supersede(told, untold)
    office.later(hours=1)
    office.deliver()
    office.later(hours=1)
    office.execute("update ops.notification set status = 'raised', raised_at = %s", [office.now])

    for _ in range(2):
        assert corrections.write(office.connection, [], office.now) == 0
        office.connection.commit()
    assert office.deliver() == {"immediate": 2}

    subjects = [mail["Subject"] for mail in mail_server.taken]
    assert (
        subjects.count("1 student to look at, Tue 10 March") == 3 and subjects.count("1 correction, Tue 10 March") == 1
    )
    # And wrong once more: whoever was told hears of it.
    office.later(hours=1)
    assert office.supersede(told, untold) == 2
    assert office.deliver() == {"correction": 2}
    assert set(mail_server.recipients) == {TUTOR}


def test_what_came_back_before_it_was_corrected_and_is_gone_again_is_corrected(
    office: Office, mail_server: MailServer
) -> None:
    office.student("s1")
    wrong = office.tell("s1", is_immediate=True)
    office.deliver()
    for _ in range(2):
        office.later(minutes=5)
        office.supersede(wrong)
        office.later(minutes=5)
        office.execute("update ops.notification set status = 'raised', raised_at = %s", [office.now])
        corrections.write(office.connection, [], office.now)
        office.connection.commit()
        assert office.deliver() == {}

    office.later(minutes=5)
    assert office.supersede(wrong) == 1
    assert office.deliver() == {"correction": 1}
    assert corrections.write(office.connection, [wrong], office.now) == 0
    assert [mail["Subject"] for mail in mail_server.taken][1:] == ["1 correction, Tue 10 March"]


def test_a_message_that_is_being_sent_is_waited_for(office: Office) -> None:
    office.student("s1")
    wrong = office.tell("s1")
    office.write()
    found: list[int] = []

    def correct() -> None:
        with connect(office.url) as other:
            found.append(corrections.write(other, [wrong], office.now))

    with connect(office.url) as sender:
        sender.execute("select from ops.outbox for update")
        thread = threading.Thread(target=correct)
        thread.start()
        time.sleep(0.3)
        assert found == []
        sender.execute("update ops.outbox set state = 'sent', sent_at = %s", [office.now])
        sender.commit()
        thread.join()

    assert found == [1]
