"""Who is told what, when: a digest for each reader and day, letters at once, and what nobody is told, and why."""

import threading
from datetime import UTC, date, datetime, timedelta

from psycopg.rows import dict_row

from assets import notifications
from engage.contact import bundles
from engage.warehouse import connect
from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import OTHER, STUDENT, TUTOR, Office

TODAY = f"digest:{bundles.name_of(TUTOR)}:2026-03-10"


def test_one_digest_for_each_reader_and_day(office: Office, mail_server: MailServer) -> None:
    office.staff("T2", OTHER)
    for student, tutor in (("s1", "T1"), ("s2", "T1"), ("s3", "T2")):
        office.student(student, tutor=tutor)
        office.tell(student)

    assert office.write() == {"digest": 2}
    assert office.write() == {}
    office.send()

    assert sorted(mail_server.recipients) == sorted([TUTOR, OTHER])
    assert office.outbox("message_key, recipient, subject") == [
        (TODAY, TUTOR, "2 students to look at, Tue 10 March"),
        (f"digest:{bundles.name_of(OTHER)}:2026-03-10", OTHER, "1 student to look at, Tue 10 March"),
    ]
    assert {(state, bool(message)) for state, message in office.actions("state, message_id")} == {("done", True)}
    # What comes later waits for tomorrow's.
    later = office.notification("s1", "low_activity")
    office.action("s1", later)
    office.later(hours=3)
    assert office.write() == {}
    office.later(hours=21)
    assert office.write() == {"digest": 1}
    assert office.outbox("message_key")[-1] == (TODAY.replace("-10", "-11"),)


def test_a_digest_waits_for_its_hour_and_all_for_the_end_of_quiet(office: Office) -> None:
    office.student("s1")
    office.tell("s1")
    office.action("s1", office.notification("s1", "low_activity"), is_immediate=True)
    saturday = datetime(2026, 3, 14, 12, tzinfo=UTC)
    office.now = saturday
    assert office.write() == {}
    office.now = saturday + timedelta(days=1, hours=18, minutes=59)
    assert office.write() == {}
    # Monday seven o'clock: at once means now.
    office.later(minutes=1)
    assert office.write() == {"immediate": 1}
    office.later(minutes=29)
    assert office.write() == {}
    office.later(minutes=1)
    assert office.write() == {"digest": 1}


def test_silence_is_told_of_before_any_week_is_scored(office: Office) -> None:
    office.connection.execute("drop table marts.score_trend cascade")
    office.student("s1")
    office.tell("s1")
    assert office.write() == {"digest": 1}


def test_who_is_meant(office: Office) -> None:
    """The tutor; all who have the role today; else the address of the role; else nobody yet, and it is said why."""
    for n in range(2, 6):
        office.staff(f"D{n}", f"d{n}@example.ac.uk")
    office.staff("N", None)
    for student, tutor in (("s1", "T1"), ("s2", None), ("s3", "N"), ("s4", None)):
        office.student(student, tutor=tutor)
    office.link("D2", "s1", "Director of Studies")
    office.link("D3", "s1", "director_of_studies")
    office.link("D4", "s1", "director_of_studies", until=date(2026, 3, 10))
    office.link("D5", "s1", "director_of_studies", listed="08")
    office.link("D5", "s4", "tutor")
    n = office.tell("s1", target="director_of_studies")
    office.action("s1", n, target="student_support")
    office.action("s1", n, target="visa")
    for student in ("s2", "s3", "s4"):
        office.tell(student)

    assert office.write() == {"digest": 4}
    assert office.write() == {}

    assert sorted(office.outbox("recipient")) == [
        ("d2@example.ac.uk",),
        ("d3@example.ac.uk",),
        ("d5@example.ac.uk",),
        ("support@example.ac.uk",),
    ]
    assert office.execute("select why, count(*) from ops.action where state = 'open' group by 1 order by 1") == [
        ("no address is known", 1),
        ("no tutor is known", 1),
        ("no visa is known", 1),
    ]
    # Of two there is a row each.
    assert office.execute("select staff_id from ops.action where target = 'director_of_studies' order by 1") == [
        ("D2",),
        ("D3",),
    ]
    found = bundles.counts(office.connection)
    assert found.messages == {("digest", "pending"): 4}
    assert found.suppressed == {}
    assert found.oldest_waiting == office.now


def test_nobody_is_given_up_before_the_hour_at_which_they_would_be_told(office: Office) -> None:
    office.student("s1", tutor=None)
    office.tell("s1")
    office.now = office.now.replace(hour=7, minute=5)
    assert office.write() == {} and office.actions("state") == [("open",)]
    # The list of the morning names the tutor.
    office.link("T1", "s1", "tutor", listed="10")
    office.later(hours=1)
    assert office.write() == {"digest": 1}


def test_whom_a_later_list_knows_is_told_and_nobody_after_two_weeks(office: Office) -> None:
    for student in ("s1", "s2", "s3"):
        office.student(student, tutor=None if student == "s1" else "T1")
        office.tell(student)
    office.tell("s4")
    office.execute("delete from marts.student where student_id = 's2'")
    office.execute("update pii.staff set staff_email = null")
    no_tutor, no_list, no_address = "no tutor is known", "the student is on no list", "no address is known"
    assert office.write() == {}
    whys = [no_tutor, no_list, no_address, no_list]
    assert office.actions("state, why") == [("open", why) for why in whys]
    with office.connection.cursor(row_factory=dict_row) as cursor:
        unsaid = cursor.execute(notifications._UNSAID, {"now": office.now}).fetchall()
    found = {row["why"]: (row["actions"], row["nobody_lately"]) for row in unsaid}
    assert found == {no_tutor: (1, 1), no_list: (2, 0), no_address: (1, 1)}

    office.later(days=1)
    office.execute("update pii.staff set staff_email = %s", [TUTOR])
    office.link("T1", "s1", "tutor", listed="11")
    office.execute("insert into marts.student (student_id, status, tutor_id) values ('s2', 'active', 'T1')")
    assert office.write() == {"digest": 1}
    assert office.actions("state, why") == [("done", None)] * 3 + [("open", no_list)]
    office.later(days=14)
    assert office.write() == {}
    assert office.actions("state, why")[-1] == ("suppressed", "too old to tell")


def test_a_letter_of_a_ladder_without_an_address_is_waited_for_by_nobody(office: Office) -> None:
    office.student("s1")
    office.execute("update pii.student set email = null")
    for number in (None, 1):
        notification = office.notification("s1", rule=f"r{number}")
        office.action("s1", notification, kind="email_student", target="student", step_number=number)
    assert office.write() == {}
    assert office.actions("state, why") == [(state, "no address is known") for state in ("open", "suppressed")]


def test_a_step_that_is_not_due_any_more_is_not_told(office: Office) -> None:
    office.execute(
        "create table marts.contact_step"
        " (ladder_run_id text, notification_id text, step_number smallint, status text, run_status text)"
    )
    ended, done = "the ladder has ended", "the step was done"
    becomes = {
        "s1": ("due", "running", ("open", None)),
        "s2": ("stopped", "stopped", ("suppressed", ended)),
        "s3": ("done", "finished", ("suppressed", ended)),
        "s4": ("done", "running", ("suppressed", done)),
        "s5": ("waiting", "running", ("open", None)),
    }
    for student, (status, run_status, _) in becomes.items():
        office.student(student)
        number = office.notification(student)
        for target in ("tutor", "student"):
            kind = "email_student" if target == "student" else "contact_step"
            action = office.action(student, number, kind=kind, target=target, step_number=2)
            ((run,),) = office.execute(
                "insert into ops.ladder_run (ladder_id, student_id, notification_id, started_on, steps)"
                " values (%s, %s, %s, '2026-03-09', '[]') returning ladder_run_id",
                [target, student, number],
            )
            office.execute("update ops.action set ladder_run_id = %s where action_id = %s", [run, action])
            office.execute(
                "insert into marts.contact_step values (%s, %s, 2, %s, %s), (%s, %s, 1, 'done', 'running')",
                [str(run), str(number), status, run_status, str(run), str(number)],
            )
    assert office.write() == {"digest": 1, "student": 1}
    expected = [(student, *what) for student, (_, _, what) in becomes.items() if student != "s1" for _ in range(2)]
    assert office.actions("student_id, state, why") == [("s1", "done", None)] * 2 + expected

    # What was done, or had ended, by mistake is told as soon as that is known.
    office.execute("update marts.contact_step set status = 'due', run_status = 'running' where step_number = 2")
    office.later(days=20)
    assert office.write() == {"digest": 1, "student": 3}
    assert {state for (state,) in office.actions("state") if state == "open"} == set()


def test_nobody_is_told_of_who_has_left_or_of_what_is_withdrawn_or_old(office: Office) -> None:
    for student in ("s1", "s2", "s3", "s4"):
        office.student(student)
        office.tell(student)
    office.execute("update marts.student set status = 'suspended' where student_id = 's1'")
    office.execute("delete from marts.student where student_id = 's2'")
    office.execute("update ops.notification set status = 'superseded' where student_id = 's3'")
    office.execute("update ops.action set created_at = created_at - interval '15 days' where student_id = 's4'")

    assert office.write() == {}

    assert office.actions("state, why") == [
        ("suppressed", "the student is not active any more"),
        ("open", "the student is on no list"),
        ("suppressed", "the notification was withdrawn"),
        ("suppressed", "too old to tell"),
    ]


def test_the_order_in_a_digest(office: Office) -> None:
    """Corrections, steps, then what is new: in the order of the contact list where there is one."""
    names = {"s1": "Score", "s2": "Low", "s3": "Silent", "s4": "Listed", "s5": "Step", "s6": "Wrong"}
    for student, name in names.items():
        office.student(student, name, "Person")
    office.now -= timedelta(days=1)
    wrong = office.tell("s6")
    office.deliver()
    office.later(days=1)
    office.supersede(wrong)
    for student, about in (("s1", "score"), ("s2", "low_activity"), ("s3", "no_digital_activity"), ("s4", "score")):
        office.action(student, office.notification(student, about))
    step = {"title": "The tutor calls", "channel": "phone", "due_date": "2026-03-10", "policy": "Be kind."}
    office.action("s5", office.notification("s5"), kind="contact_step", step_number=2, content=step)
    office.execute("create table marts.contact_list as select 's4' as student_id, 1 as priority")

    assert office.deliver() == {"digest": 1}

    ((subject, text),) = office.outbox("subject, text")[1:]
    assert subject == "5 students to look at and 1 correction, Tue 10 March"
    places = [text.index(f"{names[student]} Person") for student in ("s6", "s5", "s4", "s3", "s2", "s1")]
    assert places == sorted(places)
    assert "The tutor calls (by phone); due Tue 10 March." in text and "Be kind." in text


def test_what_is_said_of_a_student(office: Office) -> None:
    office.student("s1")
    number = office.tell("s1")
    office.execute(
        "insert into marts.score_trend (student_id, week_start, score, peer_level, change_4w, weeks_falling,"
        " recovering, attendance_4w) values ('s1', '2026-03-02', 212, 'programme_year', -140, 3, false, 41.2),"
        " ('s1', '2026-02-23', 650, 'programme_year', 140, 0, true, 90)"
    )
    office.execute("insert into intermediate.int_contact values ('s1', 'c', '2026-02-20 09:00+00')")
    office.execute("insert into intermediate.int_case values ('s1', 'k', '2026-02-20 09:00+00', null)")
    for listed, note in (("08", "Older list"), ("09", "My mother is ill.\nBack on Monday.")):
        office.execute(
            "insert into raw.student_notes values ('student_notes', %s, 1, 1, 'n', 's1', %s, '2026-03-02 09:00+00')",
            [f"2026-03-{listed}", note],
        )
    # The data came after the day, and it was the second week.
    office.execute(
        "update ops.notification set raised_at = '2026-03-12 06:00+00', evidence = evidence || '{\"silent_days\": 14}'"
    )
    office.now = datetime(2026, 3, 12, 9, tzinfo=UTC)

    office.write()

    ((text, html),) = office.outbox("text, html")
    said = " ".join(text.split())
    for words in (
        "Ada King s1, History, year 2",
        "No digital activity on 3 to 9 March: complete data from three systems. By then 14 days in a row.",
        "Known late: the data of these days was not whole before 12 March.",
        "Well below the average of students of the same programme and year, and falling for three weeks (week of",
        "Low: 41 % of the sessions of the last four teaching weeks.",
        "Last contact 20 days ago; a case has been open since 20 February.",
        "In their own words, 2 March: My mother is ill. Back on Monday.",
        "https://records.example.ac.uk/students/s1",
        "never for an academic decision",
    ):
        assert words in said
    assert "212" not in text + html and "Older list" not in text
    assert number


def test_a_student_is_written_to_once_a_week_and_in_plain_words(office: Office, mail_server: MailServer) -> None:
    office.student("s1")
    for about in ("no_digital_activity", "low_activity"):
        office.action("s1", office.notification("s1", about), kind="email_student", target="student")
    step = office.action("s1", office.notification("s1", "score"), kind="contact_step", target="student", step_number=1)

    assert office.deliver() == {"student": 1}

    (mail,) = mail_server.taken
    assert mail["To"] == STUDENT and mail["Subject"] == "How are your studies going?"
    (text,) = mail_server.texts()
    assert "Dear Ada" in text and "support@example.ac.uk" in text and "no warning" in text
    assert "score" not in text and "s1" not in text
    assert office.actions("kind, state, why") == [
        ("email_student", "done", None),
        ("email_student", "suppressed", "written to already"),
        ("contact_step", "open", None),
    ]
    office.later(days=7, seconds=1)
    assert office.deliver() == {"student": 1}
    assert office.execute("select state from ops.action where action_id = %s", [step]) == [("done",)]


def test_two_at_once_tell_everything_once(office: Office) -> None:
    for n in range(7):
        office.staff(f"P{n}", f"p{n}@example.ac.uk")
    for n in range(30):
        office.student(f"s{n}", tutor=f"P{n % 7}")
        office.tell(f"s{n}", is_immediate=n % 5 == 0)
    office.connection.commit()

    def work() -> None:
        with connect(office.url) as connection:
            bundles.write(connection, office.settings, office.now)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    office.write()

    assert office.execute("select count(*) from ops.action where state <> 'done'") == [(0,)]
    texts = " ".join(text for (text,) in office.outbox("text"))
    assert all(texts.count(f"students/s{n}\n") == 1 for n in range(30))
