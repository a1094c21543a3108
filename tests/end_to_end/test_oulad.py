"""Three real presentations of the Open University, replayed in one run: every click, and every score against the plain
reference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campus import validation
from engage import postgres
from tests.conftest import Home
from tests.end_to_end.conftest import CHECKOUT, OULAD_PROFILE, engage, warehouse_of
from tests.integration.dbt.test_score_equals_reference import assert_equal
from tests.integration.dbt.universe import scores
from tests.reference import oulad
from tests.reference.daily import Interaction, daily_activity
from tests.reference.scoring import weekly_scores


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory, new_home: Home) -> Iterator[Path]:
    home = new_home(tmp_path_factory.mktemp("oulad") / "home")
    done = engage(home, "replay", "oulad", str(oulad.FOLDER), **OULAD_PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    with postgres.running(home / "postgres"):  # else whoever looks would start and stop it
        yield home


@pytest.fixture(scope="session")
def official() -> list[Interaction]:
    return oulad.interactions()


def test_every_click_and_submission_arrives(replayed: Path, official: list[Interaction]) -> None:
    with warehouse_of(replayed) as connection:
        raw = connection.execute("select count(*) from raw.activity where source_id = 'oulad_vle'").fetchone()
        total = connection.execute(
            "select sum(interactions)::bigint from marts.daily_activity where source_id = 'oulad_vle'"
        ).fetchone()
        daily = connection.execute(
            "select student_id, activity_date, source_id, interactions, events from marts.daily_activity"
            " order by student_id, activity_date, source_id"
        ).fetchall()
        states = connection.execute("select distinct state from ops.batch").fetchall()
        quarantined = connection.execute("select count(*) from quarantine.row").fetchone()
    assert raw == (753_564,)
    assert total == (2_594_563,)
    assert daily == [row[:5] for row in daily_activity(official, [])]
    assert states == [("published",)]
    assert quarantined == (0,)


def test_every_score_is_that_of_the_reference(replayed: Path, official: list[Interaction]) -> None:
    model = oulad.university(official)
    with warehouse_of(replayed) as connection:
        found = scores(connection)
    assert len(found) == 75_082
    assert_equal(found, weekly_scores(model, oulad.teaching_weeks(model)))


def test_the_page_of_validation_is_what_this_replay_says(replayed: Path) -> None:
    with warehouse_of(replayed) as connection:
        scores = validation.read(connection, oulad.FOLDER)
    written = CHECKOUT / "docs" / "validation.md"
    assert validation.page(scores, validation.silence(written)) == written.read_text(), "make validation"
