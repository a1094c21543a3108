"""Owners hear once, clearly: what begins, what ends, what lasts, and nothing twice."""

import re
from pathlib import Path

import asyncssh
import pytest

from campus.servers import sftp_server
from engage import faults, incidents
from engage.connectors import AccessError, TransportError
from engage.landing import look
from engage.sources import ConfigurationError
from tests.integration.owners.kit import BOSS, ENGINEERS, OWNER, Desk, MailServer, row

RENAMED = "Event Id,Student No,Session Start,Session Type,Mandatory,Attended"


def good(desk: Desk, *days: int, hours_ago: float = 0, source: str = "") -> None:
    for day in days:
        desk.deliver([row(number, day) for number in range(5)], day, hours_ago=hours_ago, source=source)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_all_that_is_wrong_with_a_source_at_a_time_is_one_mail_to_act_on(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 16, hours_ago=110)
    desk.deliver([row(1, 17, start="nonsense"), row(2, 17)], 17, hours_ago=80)
    desk.deliver([row(1, 18)], 18, header=RENAMED, hours_ago=50)

    desk.tell()
    desk.tell()

    assert mail_server.recipients == [OWNER]
    (said,) = map(flat, mail_server.texts())
    assert mail_server.taken[0]["Subject"] == "Attendance: 2 deliveries are held back (and 2 more)"
    for expected in (
        "What came: register_20261118.csv (18 November 2026): column 'Student Number' is missing; new 'Student No'",
        "quality 75.0 is below 80 ('Every row can be read': 1 of 2 rows do not meet it)",
        "Expected: The columns Event Id, Student Number,",
        "Expected: Data every day by 06:00, never more than 48 hours old.",
        "Nothing newer than Tue 17 November 2026, 00:00: 108 hours ago.",
        "Incomplete: 17 to 20 November 2026.",
        "The score of the week from 16 November 2026 will be made without this source, which needs 5 complete days and"
        " has 3 at most, unless what is missing comes before Monday 23 November 2026, 14:00.",
        "they release it with `engage batch release 2 --reason ...`",
        "`engage source check attendance --sample FILE`",
        "http://127.0.0.1:3000/assets/raw/attendance",
    ):
        assert expected in said, expected
    assert "release 3" not in said, "what could not be read has nothing to release"
    html = mail_server.taken[0].get_body(("html",))
    assert html and "Incomplete: 17 to 20 November 2026." in flat(str(html.get_content()))


def test_what_is_over_is_said_once_in_the_same_thread(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 16, 17, 18, 19, hours_ago=30)
    desk.deliver([row(1, 20, start="nonsense")], 20)
    desk.tell()
    desk.later(hours=2)
    good(desk, 20)

    desk.tell()
    desk.tell()

    opened, over = mail_server.taken
    assert over["Subject"] == "Attendance: well again"
    assert over["In-Reply-To"] == opened["Message-ID"] != over["Message-ID"]
    assert "from Sat 21 November 2026, 12:00 to Sat 21 November 2026, 14:00" in flat(mail_server.texts()[1])
    assert desk.gate.execute("select count(*) from ops.incident where resolved_at is null") == [(0,)]


def test_what_is_over_before_it_was_sent_is_not_said_at_all(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 19, hours_ago=1)
    desk.deliver([row(1, 20, start="nonsense")], 20)
    desk.refresh()
    desk.later(hours=1)
    good(desk, 20)

    desk.tell()

    assert mail_server.taken == []
    assert desk.outbox("state, error") == [("suppressed", "over before it was sent")]


def test_what_lasts_is_a_reminder_and_an_escalation_once(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 20)
    desk.deliver([row(1, 21, start="nonsense")], 21)
    desk.tell()
    desk.later(hours=71)
    desk.tell()
    before = list(mail_server.recipients)
    desk.later(hours=1)

    desk.tell()
    desk.tell()

    assert not incidents.is_due(desk.connection, desk.sources, desk.messaging, desk.now)
    # The silence that has begun meanwhile is news of its own, and not late yet.
    assert before == [OWNER, OWNER]
    assert mail_server.recipients[2:] == [OWNER, BOSS]
    assert [mail["Subject"] for mail in mail_server.taken[2:]] == [
        "Reminder: Attendance: register_20261121.csv is held back",
        "Escalation: Attendance: register_20261121.csv is held back",
    ]
    assert "Register_" not in "".join(mail_server.texts()), "the name of a file stays as it is"
    good(desk, 21, 22, 23)
    desk.tell()
    assert sorted(mail_server.recipients[4:]) == [OWNER, BOSS]
    assert {mail["Subject"] for mail in mail_server.taken[4:]} == {"Attendance: well again"}


def test_quality_is_held_against_what_is_usual_for_the_source(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 17, 18, 19, 20)
    score = "update ops.batch set quality_score = %s where batch_id = (select max(batch_id) from ops.batch)"
    desk.gate.execute(score, [90])
    assert desk.refresh().opened == 0
    desk.gate.execute(score, [89.9])

    desk.tell()

    assert mail_server.taken[0]["Subject"] == "Attendance: quality fell from 100 to 89.9"
    # Published below 80: only after somebody has vouched for it.
    desk.gate.execute(score, [79.9])
    assert (desk.refresh().opened, desk.refresh().resolved) == (1, 0)
    desk.gate.execute("update ops.batch set is_released = true")
    assert desk.refresh().resolved == 1


def test_a_new_column_is_drift_though_the_file_is_published(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    header = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended,Mood"
    desk.deliver([f"{row(1, 20)},fine"], 20, header=header)

    desk.tell()

    assert mail_server.taken[0]["Subject"] == "Attendance: the format of the file has changed"
    assert "register_20261120.csv (20 November 2026): new column 'Mood'" in flat(mail_server.texts()[0])
    assert "No day is incomplete so far" in flat(mail_server.texts()[0])


def test_silence_counts_from_the_first_day_of_a_source_and_ends_unsaid_when_it_is_disabled(
    desk: Desk, mail_server: MailServer
) -> None:
    known = 'update ops.config_version set content = \'{"sources": {"attendance": {}}}\', recorded_at = %s'
    desk.gate.execute(known, [desk.now])
    desk.later(hours=47)
    assert desk.refresh().opened == 0
    desk.later(hours=2)
    desk.tell()
    assert [mail["Subject"] for mail in mail_server.taken] == ["Attendance: no data has come yet"]

    desk.add("attendance", disabled_from=desk.now.date())

    assert desk.refresh().resolved == 1
    assert desk.send() == {} and len(mail_server.taken) == 1


def test_a_server_away_is_news_after_half_an_hour_and_one_that_refuses_at_once(
    desk: Desk, mail_server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sftp_server(tmp_path / "served", tmp_path / "keys") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        gates = desk.add(
            "gates",
            title="Gates",
            transport={
                "kind": "sftp",
                "host": "127.0.0.1",
                "port": "${CAMPUS_SFTP_PORT}",
                "username": "engage",
                "private_key": "${CAMPUS_SFTP_KEY}",
                "known_hosts": "${CAMPUS_SFTP_KNOWN_HOSTS}",
                "folder": "/",
                "pattern": ".*",
            },
        )
        known_hosts = Path(environment["CAMPUS_SFTP_KNOWN_HOSTS"])
        right, other = known_hosts.read_text(), (tmp_path / "keys" / "client_key.pub")
        asyncssh.read_private_key(tmp_path / "keys" / "client_key").write_public_key(other)
        known_hosts.write_text(" ".join([right.split()[0], other.read_text()]))
        with pytest.raises(AccessError):
            look(desk.connection, gates, desk.now)
        desk.tell()
        assert mail_server.recipients == [OWNER, ENGINEERS]
        assert mail_server.taken[0]["Subject"] == "Gates: its server shows another host key"
        assert "only then run `engage source trust gates`" in flat(mail_server.texts()[0])
        known_hosts.write_text(right)
        look(desk.connection, gates, desk.now)
        desk.tell()
        assert sorted(mail_server.recipients[2:]) == [OWNER, ENGINEERS]
    mail_server.taken.clear()
    with pytest.raises(TransportError):
        look(desk.connection, gates, desk.now)
    desk.later(minutes=29)
    assert desk.tell() == {}
    with pytest.raises(TransportError):
        look(desk.connection, gates, desk.now)
    desk.later(minutes=1)
    desk.tell()
    assert [mail["Subject"] for mail in mail_server.taken] == ["Gates: its server cannot be reached"]
    assert "http://127.0.0.1:3000/assets/landing/gates" in mail_server.texts()[0]


def fails(desk: Desk, error: Exception, *names: str) -> None:
    for name in names:
        with pytest.raises(type(error)), faults.noted(desk.connection, name, "look", desk.now):
            raise error


def succeeds(desk: Desk, *names: str) -> None:
    for name in names:
        with faults.noted(desk.connection, name, "look", desk.now):
            pass


def test_one_server_that_is_away_is_one_mail_however_many_sources_it_has(desk: Desk, mail_server: MailServer) -> None:
    there = {"kind": "sftp", "host": "files", "username": "u", "private_key": "${K}", "known_hosts": "h"}
    names = [f"s{n}" for n in range(9)]
    for name in names:
        desk.add(name, transport=there | {"folder": name, "pattern": ".*"})
    elsewhere = {"folder": "x", "pattern": ".*", "host": "elsewhere"}
    desk.add("other", transport=there | elsewhere)
    fails(desk, TransportError("files:22: no route"), *names)
    fails(desk, TransportError("elsewhere:22: no route"), "other")
    desk.later(minutes=31)
    desk.tell()
    assert [mail["Subject"] for mail in mail_server.taken] == [
        "S0 and 8 more: their server cannot be reached",
        "Other: its server cannot be reached",
    ]
    assert "Sources: S0, S1, S2, S3, S4, S5, S6, S7, S8" in flat(mail_server.texts()[0])
    # Part of it is no news; the whole of it is, once.
    succeeds(desk, *names[:5])
    desk.later(minutes=5)
    assert (desk.refresh().resolved, desk.send()) == (5, {})
    succeeds(desk, *names[5:])
    desk.tell()
    desk.tell()
    assert [mail["Subject"] for mail in mail_server.taken[2:]] == ["S0 and 8 more: well again"]
    assert mail_server.taken[2]["In-Reply-To"] == mail_server.taken[0]["Message-ID"]


def test_a_recovery_is_told_of_what_was_named_only_among_the_messages_held_back(
    desk: Desk, mail_server: MailServer
) -> None:
    desk.configure(limits={"per_recipient_per_hour": 1})
    desk.gate.know("7001")
    for name in ("attendance", "b_source"):
        desk.add(name)
        good(desk, 19, hours_ago=1, source=name)
        desk.deliver([row(1, 20, start="nonsense")], 20, source=name)
    desk.tell()
    desk.later(minutes=61)
    desk.tell()
    assert "B_Source: register_20261120.csv is held back" in mail_server.texts()[1]
    desk.later(minutes=61)
    good(desk, 20, source="b_source")
    desk.tell()
    assert mail_server.taken[2]["Subject"] == "B_Source: well again"


def test_what_is_held_long_after_the_first_is_told_again(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    desk.add("attendance", freshness={"fail_after_h": 9000})
    desk.deliver([row(1, 20, start="nonsense")], 20)
    desk.tell()
    desk.later(hours=24)
    desk.gate.execute("update ops.batch set held_since = held_since - interval '1 hour'")
    desk.deliver([row(1, 21, start="nonsense")], 21)
    assert desk.tell() == {}
    desk.later(hours=48)
    assert desk.tell() == {"sent": 2}
    desk.later(hours=480)
    assert desk.tell() == {}
    desk.deliver([row(1, 22, start="nonsense")], 22)
    desk.gate.execute("update ops.batch set held_since = %s where batch_id = 3", [desk.now])
    assert (desk.tell(), desk.tell()) == ({"sent": 2}, {})
    assert mail_server.taken[-2]["Subject"] == "Reminder: Attendance: 3 deliveries are held back"


def test_what_is_ours_is_never_said_to_be_the_owners(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 20)
    fails(desk, ConfigurationError("attendance.yaml: transport.url: ${X} is not set"), "attendance")
    desk.tell()
    assert mail_server.recipients == [ENGINEERS]
    desk.later(hours=73)
    desk.tell()
    told = dict(zip(mail_server.recipients[1:], map(flat, mail_server.texts()[1:]), strict=True))
    assert "Nothing: we cannot collect it, and the data engineers" in told[OWNER]
    assert f"{ENGINEERS} was told 3 days ago" in told[BOSS]


def test_what_is_half_over_before_it_could_be_sent_is_sent(desk: Desk, mail_server: MailServer) -> None:
    desk.gate.know("7001")
    good(desk, 19, hours_ago=1)
    desk.deliver([row(1, 20, start="nonsense")], 20)
    desk.refresh()
    desk.gate.execute("update ops.batch set quality_score = 95 where state = 'held'")
    desk.later(hours=1)
    assert desk.refresh().resolved == 1
    assert desk.send() == {"sent": 1}


def test_an_owner_of_many_sources_is_spared_and_told_how_many(desk: Desk, mail_server: MailServer) -> None:
    desk.configure(limits={"per_recipient_per_hour": 2})
    desk.gate.know("7001")
    for name in ("attendance", "b_source", "c_source", "d_source"):
        desk.add(name)
        desk.deliver([row(1, 20, start="nonsense")], 20, source=name)

    assert desk.tell() == {"sent": 2}
    assert desk.tell() == {}
    desk.later(minutes=61)
    assert desk.tell() == {"sent": 1}
    assert desk.tell() == {}

    assert mail_server.taken[2]["Subject"] == "2 messages held back in the last hour"
    said = mail_server.texts()[2]
    assert "C_Source: register_20261120.csv is held back" in said and "D_Source" in said
    # A message that is written anyway says it, too.
    desk.configure(limits={"per_recipient_per_hour": 1})
    for name in ("e_source", "f_source"):
        desk.add(name)
        desk.deliver([row(1, 20, start="nonsense")], 20, source=name)
    desk.later(minutes=61)
    desk.tell()
    desk.add("g_source")
    desk.deliver([row(1, 20, start="nonsense")], 20, source="g_source")
    desk.later(minutes=61)
    desk.tell()
    assert mail_server.taken[-1]["Subject"] == "G_Source: register_20261120.csv is held back"
    assert "too many (1): - F_Source" in flat(mail_server.texts()[-1])


@pytest.mark.parametrize("has_heading", [True, False])
def test_no_message_and_no_incident_holds_a_value_of_a_row(
    desk: Desk, mail_server: MailServer, has_heading: bool
) -> None:
    desk.configure(webhooks=[{"name": "team", "kind": "slack", "url": "${NOWHERE}"}])
    planted = "s7002@example.ac.uk,00099887766,Zaphod Beeblebrox,Ford Prefect,Arthur,Trillian"
    desk.deliver([planted, planted], 20, header="" if has_heading else planted)

    desk.tell()

    written = repr(desk.outbox("text, html, payload, subject, error")) + repr(
        desk.gate.execute("select facts from ops.incident")
    )
    assert "register_20261120.csv" in written and len(mail_server.taken) == 1
    for word in re.split(r"[, ]", planted):
        assert word not in written
        assert all(word not in mail.as_string() for mail in mail_server.taken)
