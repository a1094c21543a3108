"""The visa team hears once of each warning day that a sponsored student passes, and nobody else ever does."""

import re
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from psycopg.types.json import Jsonb

from assets.notifications import delivered_asset
from assets.resources import WarehouseResource
from engage import outbox
from engage.contact import visa_digest
from engage.privacy.holdings import own_parts
from engage.privacy.places import Person
from tests.integration.owners.kit import MailServer
from tests.integration.people.kit import MODELS, Office

VISA = "visa.team@example.ac.uk"
SETTING = {"enabled": True, "limit_days": 60, "warn_days": [30, 45, 55]}
TODAY = date(2026, 3, 10)
KEYS = "select message_key, recipient from ops.outbox where message_key like 'sponsored:%' order by message_id"


class Visa:
    """An office whose visa team is known, and the mart as a night leaves it."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.configure(roles={"visa": VISA, "student_support": "support@example.ac.uk"})
        self.mart("sponsored_contact_point")
        office.execute("insert into ops.setting values ('sponsorship', %s)", [Jsonb(SETTING)])

    def mart(self, name: str) -> None:
        """Make a mart as its description has it, empty."""
        (model,) = yaml.safe_load((MODELS / "marts" / f"{name}.yml").read_text())["models"]
        columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
        self.office.execute(f"create table marts.{name} ({columns})")

    def night(self, gap: int = 0, because: str | None = None, **students: tuple[date | None, int, int]) -> None:
        """Make the mart anew up to yesterday: last contact, days that count, days that are certain.

        `gap`: where not all are certain, data is missing of so many days before yesterday and of all after it.
        `because`: why the newest day does not count.
        """
        until = self.office.now.date() - timedelta(1)
        self.office.execute("delete from marts.sponsored_contact_point")
        for student, (last, counted, certain) in students.items():
            for back in range(counted):
                on = until - timedelta(back)
                is_newest = back == 0
                self.office.execute(
                    "insert into marts.sponsored_contact_point (student_id, contact_date, contact_points,"
                    " last_contact_date, counted_days, certain_days, incomplete_days, limit_days, status,"
                    " not_counted_because) values (%s, %s, 0, %s, %s, %s, %s, 60, %s, %s)",
                    [
                        student,
                        on,
                        last,
                        counted - back,
                        certain * is_newest,
                        max(0, gap - back + 1) * (counted > certain),
                        "not_counted" if is_newest and because else "any",
                        because if is_newest else None,
                    ],
                )

    def outbox(self) -> list[tuple[Any, ...]]:
        return self.office.execute(KEYS)


@pytest.fixture
def visa(office: Office) -> Visa:
    return Visa(office)


def test_each_day_passed_is_told_once_and_only_to_the_visa_team(visa: Visa, mail_server: MailServer) -> None:
    last = date(2026, 2, 5)
    visa.night(S1=(last, 32, 32), S2=(last, 12, 12))
    assert visa_digest.waiting(visa.office.connection, visa.office.messaging) == 1
    assert visa.office.deliver() == {"digest": 1}
    assert visa.outbox() == [("sponsored:2026-03-10", VISA)]
    assert visa_digest.waiting(visa.office.connection, visa.office.messaging) == 0
    (letter,) = mail_server.taken
    assert letter["To"] == VISA and letter["Subject"] == "1 sponsored student approaches the limit, Tue 10 March"
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "S1" in text and "32 days count without a contact point: 28 left." in text and "S2" not in text
    assert "Last contact point on 5 February." in text

    for day in range(1, 13):  # nothing more to say until the next of the days
        visa.office.later(days=1)
        visa.night(S1=(last, 32 + day, 32 + day), S2=(last, 12, 12))
        visa.office.deliver()
    assert len(visa.outbox()) == 1
    visa.office.later(days=1)
    visa.night(S1=(last, 45, 45), S2=(last, 12, 12))
    visa.office.deliver()
    assert visa.outbox()[1:] == [("sponsored:2026-03-23", VISA)]


def test_over_the_limit_is_told_and_a_contact_begins_anew(visa: Visa) -> None:
    last = date(2026, 1, 5)
    visa.night(S1=(last, 61, 61), S2=(None, 58, 58))
    visa.office.deliver()
    (said,) = visa.office.execute("select subject from ops.outbox")
    assert said[0] == (
        "1 sponsored student is over the limit and 1 sponsored student approaches the limit, Tue 10 March"
    )
    visa.office.later(days=1)
    visa.night(S1=(last, 62, 62), S2=(None, 59, 59))
    assert visa.office.deliver() == {}
    visa.office.later(days=1)
    visa.night(S1=(date(2026, 2, 9), 30, 30), S2=(None, 60, 60))  # a contact that came late
    assert visa.office.deliver() == {"digest": 1}


def test_what_is_not_certain_is_not_told_until_it_is(visa: Visa) -> None:
    last = date(2026, 1, 20)
    visa.night(S1=(last, 47, 12))
    assert visa.office.deliver() == {}, "a feed is broken: nobody is flagged for that"
    visa.office.later(days=1)
    visa.night(S1=(last, 48, 31))
    assert visa.office.deliver() == {"digest": 1}
    ((text,),) = visa.office.execute("select text from ops.outbox")
    assert "31 days count without a contact point: 29 left." in text and "48 days, if there was none on" in text


def test_who_passes_the_limit_on_the_last_day_of_term_is_told_in_the_vacation(visa: Visa) -> None:
    last = date(2026, 1, 5)
    visa.night(because="exempt: Authorised Absence", S1=(last, 61, 61))
    assert visa.office.deliver() == {}, "who is away with permission is not told of"
    visa.night(because="outside term", S1=(last, 61, 61))
    assert visa_digest.waiting(visa.office.connection, visa.office.messaging) == 1
    assert visa.office.deliver() == {"digest": 1}
    for _ in range(3):  # nothing counts, and nothing is said again
        visa.office.later(days=1)
        visa.night(because="outside term", S1=(last, 61, 61))
        assert visa.office.deliver() == {}
    visa.office.configure(roles={})
    assert not visa_digest.is_nobody_told(visa.office.connection, visa.office.messaging)


def test_what_stays_uncertain_is_told_once_as_not_determined(visa: Visa) -> None:
    last = date(2025, 12, 1)
    visa.night(gap=14, S1=(last, 74, 20), S2=(last, 60, 20))
    assert visa.office.deliver() == {}, "the data may still come"
    visa.office.later(days=1)
    visa.night(gap=15, S1=(last, 75, 20), S2=(last, 60, 20))
    assert visa_digest.waiting(visa.office.connection, visa.office.messaging) == 1
    assert visa.office.deliver() == {"digest": 1}
    ((subject, text),) = visa.office.execute("select subject, text from ops.outbox")
    assert subject == "1 sponsored student may be over the limit, Wed 11 March"
    said = " ".join(text.split())
    assert "Not determined: 75 days count without a contact point, 15 over the limit," in said
    assert "if there was none on 16 days of which data is missing. The first of these days is 23 February." in said
    assert "Certain: 20 days." in said and "S2" not in said

    visa.office.later(days=1)
    visa.night(gap=16, S1=(last, 76, 20), S2=(last, 60, 20))
    assert visa.office.deliver() == {}, "once"
    visa.office.later(days=1)
    visa.night(gap=17, S1=(last, 77, 31))
    assert visa.office.deliver() == {"digest": 1}, "a warning day is certain"
    visa.office.later(days=3)  # not at the weekend
    visa.night(S1=(last, 80, 80))
    assert visa.office.deliver() == {"digest": 1}
    assert visa.office.execute("select subject from ops.outbox order by message_id")[1:] == [
        ("1 sponsored student may be over the limit, Fri 13 March",),
        ("1 sponsored student is over the limit, Mon 16 March",),
    ]
    visa.office.later(days=1)
    visa.night(gap=21, S1=(last, 81, 40))
    assert visa.office.deliver() == {}, "a correction later on makes nothing of it new"


def test_a_digest_says_who_is_over_who_may_be_and_who_approaches(visa: Visa) -> None:
    visa.night(gap=30, S1=(None, 61, 61), S2=(None, 70, 12), S3=(None, 80, 46), S4=(None, 32, 32))
    visa.office.deliver()
    ((subject, text),) = visa.office.execute("select subject, text from ops.outbox")
    assert subject == (
        "1 sponsored student is over the limit, 2 sponsored students may be over the limit and"
        " 1 sponsored student approaches the limit, Tue 10 March"
    )
    assert text.count("Not determined: ") == 2
    visa.office.later(days=1)
    visa.night(gap=31, S1=(None, 62, 40), S2=(None, 71, 12), S3=(None, 81, 46), S4=(None, 33, 33))
    assert visa.office.deliver() == {}, "who was told to be over the limit is not told less"


def test_nobody_hears_in_quiet_hours_before_the_hour_of_digests_or_without_an_address(visa: Visa) -> None:
    visa.night(S1=(None, 50, 50))
    visa.office.later(hours=-1)  # seven: not quiet any more, and not yet half past
    assert visa.office.deliver() == {}
    visa.office.later(hours=14)
    assert visa.office.deliver() == {}
    visa.office.later(hours=-13)
    visa.office.configure(roles={})
    assert visa.office.deliver() == {}
    assert visa_digest.waiting(visa.office.connection, visa.office.messaging) == 0
    visa.office.link("T1", "S1", "visa")  # whoever is called so on a list of staff links is not the visa team
    visa.office.student("S1")
    assert visa.office.deliver() == {}


def test_a_digest_that_was_never_finished_is_written_by_the_next_run(
    visa: Visa, monkeypatch: pytest.MonkeyPatch
) -> None:
    visa.night(S1=(None, 50, 50))
    with monkeypatch.context() as broken:
        broken.setattr(outbox, "write", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            visa.office.deliver()
    visa.office.connection.rollback()
    assert visa.outbox() == []
    assert visa.office.deliver() == {"digest": 1}
    assert visa.office.deliver() == {}, "and it is not written twice"


def test_no_subject_or_key_names_a_student_and_what_was_given_up_is_told_again(visa: Visa) -> None:
    visa.night(S1987654=(None, 50, 50))
    visa.office.write()
    ((key, subject),) = visa.office.execute("select message_key, subject from ops.outbox")
    assert not re.search("S1987654", key + subject)
    visa.office.execute("update ops.outbox set state = 'failed'")
    visa.office.later(days=1)
    visa.night(S1987654=(None, 51, 51))
    assert visa.office.write() == {"digest": 1}


def test_what_was_only_previewed_is_told_when_messages_are_sent(visa: Visa) -> None:
    visa.office.configure(delivery="preview")
    visa.night(S1=(None, 50, 50))
    assert visa.office.deliver() == {"digest": 1}
    visa.office.later(days=1)
    assert visa.office.deliver() == {}
    visa.office.configure(delivery="send")
    assert visa.office.deliver() == {"digest": 1}


def test_that_nobody_can_be_told_is_a_warning_in_the_ui(visa: Visa, monkeypatch: pytest.MonkeyPatch) -> None:
    def warned() -> str | None:
        monkeypatch.setenv("ENGAGE_NOW", visa.office.now.isoformat())
        with dg.DagsterInstance.ephemeral() as instance:
            ran = dg.materialize(
                [delivered_asset(visa.office.settings)],
                instance=instance,
                resources={"warehouse": WarehouseResource(url=visa.office.url)},
            )
        checks = {check.check_name: check for check in ran.get_asset_check_evaluations()}
        return None if checks["everybody_has_an_address"].passed else checks["everybody_has_an_address"].description

    visa.mart("contact_step")
    visa.office.configure(roles={})
    visa.night(S1=(date(2026, 2, 5), 12, 12))
    assert warned() is None, "there is nothing to tell yet"
    visa.night(S1=(date(2026, 2, 5), 32, 32))
    assert warned() == "sponsored students passed a day of warning, and the role visa has no address."
    visa.office.configure(roles={"visa": VISA})
    assert warned() is None


def test_a_copy_for_one_of_them_has_nothing_of_the_others(visa: Visa) -> None:
    visa.night(S1=(date(2026, 1, 5), 61, 61), S2=(None, 58, 58))
    visa.office.deliver()
    ((text,),) = visa.office.execute("select text from ops.outbox")
    own = own_parts(text, Person(("S1",), ("s1",)))
    assert "61 days count" in own and "S2" not in own and "58 days" not in own
