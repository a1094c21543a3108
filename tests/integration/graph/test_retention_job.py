"""The job of retention in the graph: counts and places in the UI, nobody's number, and red when somebody is back."""

import uuid
from collections.abc import Iterator, Sequence

import dagster as dg
import pytest
from psycopg.sql import SQL, Identifier

from engage import access
from engage.privacy import erasure
from engage.warehouse import connect
from orchestration.retention import KEPT, RETENTION
from tests.integration.graph.kit import Installation


def test_the_job_deletes_what_is_past_its_period_and_says_how_much(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(installation.run.url) as connection:
        access.apply(connection)  # as every start does
    run = installation.job(RETENTION)
    assert run.success
    assert {check.check_name: check.passed for check in run.get_asset_check_evaluations()} == {
        "nothing_past_its_period": True,
        "nobody_erased_is_back": True,
        "nobody_reads_more_than_granted": True,
    }
    with connect(installation.run.url) as connection:
        connection.execute(
            "insert into pii.student (student_id, as_of_date) values ('S-old', '2001-01-01'), ('S-back', '2026-11-01')"
        )
        asked = (
            "insert into ops.deletion_run (kind, begun_at, asked_by) values ('erasure', now(), 'ada') returning run_id"
        )
        ((number,),) = connection.execute(asked).fetchall()
        connection.execute(
            "insert into ops.erased_student values (%s, now(), %s)",
            [erasure.digest(installation.settings.home, "S-back"), number],
        )
    run = installation.job(RETENTION)
    (event,) = run.asset_materializations_for_node(KEPT.to_python_identifier())
    assert event.metadata["rows and files"] == dg.IntMetadataValue(1)
    assert event.metadata["pii.student"].value == "1 older than 2020-10-11"
    assert {check.check_name: check.passed for check in run.get_asset_check_evaluations()} == {
        "nothing_past_its_period": True,
        "nobody_erased_is_back": False,
        "nobody_reads_more_than_granted": True,
    }
    assert "S-old" not in str(run.all_events)
    assert "S-back" not in str(run.all_events)


def test_rights_that_were_given_by_hand_are_red_and_no_login_is_named(
    installation: Installation, logins: Sequence[str]
) -> None:
    with connect(installation.run.url) as connection:
        assert not [one for one in access.apply(connection) if one.difference != "missing"]
        for login in logins:
            connection.execute(SQL("grant engage_bi to {}").format(Identifier(login)))
        connection.execute(SQL("grant select on pii.student to {}").format(Identifier(logins[0])))
        connection.execute("grant select on raw.activity to public")
    run = installation.job(RETENTION)
    found = {check.check_name: check for check in run.get_asset_check_evaluations()}
    check = found["nobody_reads_more_than_granted"]
    assert not check.passed and found["nothing_past_its_period"].passed
    assert check.description is not None
    assert "2 logins: member of engage_bi, given by hand" in check.description
    assert "1 login: SELECT on table pii.student, not granted" in check.description
    assert "PUBLIC: SELECT on table raw.activity, not granted" in check.description
    assert check.metadata["differences"].value == 4
    assert not [login for login in logins if login in str(run.all_events)]


@pytest.fixture
def logins(installation: Installation) -> Iterator[Sequence[str]]:
    """Two that the database knows; the names are the server's, on which other tests work, too."""
    names = [f"ada_{uuid.uuid4().hex}", f"bob_{uuid.uuid4().hex}"]
    with connect(installation.run.url) as connection:
        for name in names:
            connection.execute(SQL("create role {} login").format(Identifier(name)))
    yield names
    with connect(installation.run.url) as connection:
        for name in names:
            connection.execute(SQL("drop owned by {}").format(Identifier(name)))
            connection.execute(SQL("drop role {}").format(Identifier(name)))
