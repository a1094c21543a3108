"""Nights after a run of retention and after an erasure: every row that is left stays as it was published."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from engage import dbt
from engage.contact import notifications
from engage.privacy import erasure, retention
from engage.restatement import RestatementError, ask
from engage.settings import PROJECT
from tests.integration.dbt import universe
from tests.integration.dbt.conftest import Project
from tests.integration.dbt.test_outcomes import Connection
from tests.integration.dbt.test_warehouse_protocol import MONDAY, WEEK_2
from tests.integration.dbt.test_warehouse_protocol import fed as fed

NIGHT = datetime(2027, 3, 10, 2, tzinfo=UTC)
"""Marts of a year before, from 10 March 2026, stay."""
LEDGERS = ("ops.notification", "ops.action", "ops.publication")


class Nights:
    """A warehouse of two weeks in which everybody fell silent, an installation around it, and what a night does."""

    def __init__(self, connection: Connection, url: str, project: Project, folder: Path) -> None:
        self.connection, self.url, self._home = connection, url, project.home
        self.config, self.home = folder / "config", folder / "home"
        shutil.copytree(PROJECT / "config", self.config)
        self.home.mkdir()

    def at(self, now: datetime) -> None:
        self.connection.execute("update ops.scoring_parameter set as_of = %s", [now])
        self.connection.commit()
        dbt.build(self.url, "tag:daily tag:weekly", self._home)
        notifications.sync(self.connection, now)
        self.connection.commit()
        dbt.build(self.url, "tag:casework", self._home)

    def rows(self) -> dict[str, set[str]]:
        """Every row of every mart and of what notifications and publications are kept in."""
        marts = self.connection.execute("select 'marts.' || tablename from pg_tables where schemaname = 'marts'")
        found = {}
        for table in [*(str(name) for (name,) in marts.fetchall()), *LEDGERS]:
            found[table] = {
                str(row) for (row,) in self.connection.execute(f"select to_jsonb(t)::text from {table} as t").fetchall()
            }
        self.connection.commit()
        return found


@pytest.fixture
def nights(fed: Connection, url: str, project: Project, tmp_path: Path) -> Nights:
    made = Nights(fed, url, project, tmp_path)
    done = [("crm", str(k), f"u{k:02}", datetime(2026, 3, 3 + 6 * (k % 2), 9, tzinfo=UTC)) for k in range(6)]
    # One who was never there: silence is noticed.
    for table in ("activity", "attendance"):
        fed.execute(f"delete from raw.{table} where student_id = 'u11'")
    universe.partition(fed, "contacts", {"crm"})
    universe.rows(
        fed,
        "raw.contacts",
        ["source_id", "contact_id", "student_id", "contacted_at", "as_of_date", "batch_id", "row_number", "outcome"],
        [(*one, date(2026, 3, 20), 1, n, "reached") for n, one in enumerate(done)],
    )
    universe.pend(fed, [MONDAY, WEEK_2])
    made.at(datetime(2026, 3, 17, 6, tzinfo=UTC))
    return made


def test_after_retention_what_is_left_is_as_it_was(nights: Nights) -> None:
    nights.connection.execute("update ops.source set retention_days = 60 where category is not null")
    (nights.config / "retention.yaml").write_text(yaml.safe_dump({"marts": 365, "notifications": 365, "cases": 365}))
    nights.at(NIGHT)
    before = nights.rows()
    for table in ("daily_activity", "activity_windows", "daily_rating", "weekly_score", "intervention_outcome"):
        assert before[f"marts.{table}"], f"{table}: or this shows nothing"
    assert before["ops.notification"] and before["marts.contact_list"]

    ran = retention.run(nights.url, nights.config, nights.home, str(nights.home / "landing"), "ada", "test", NIGHT)
    assert ran.left == []
    left = nights.rows()
    assert not [table for table in left if left[table] - before[table]], "rows only go"
    gone = {table for table in left if before[table] - left[table]}
    assert {"marts.daily_activity", "marts.activity_windows", "marts.daily_rating", "marts.weekly_score"} <= gone
    count = nights.connection.execute("select count(*) from raw.activity").fetchone()
    assert count == (0,)

    nights.connection.execute("update ops.scoring_parameter set rating_cuts = '{0.5,0.9,1.1,1.5}', silent_days = 5")
    nights.at(NIGHT)
    after = nights.rows()
    # A list of today, which here rests on a week a year old: that the week before was low, too, nobody knows any more.
    assert {table for table in left if left[table] != after[table]} == {"marts.contact_list"}
    for week in (MONDAY, WEEK_2):
        with pytest.raises(RestatementError, match="no longer there as a whole"):
            ask(nights.connection, [week], "a wrong clock", "ada", NIGHT)


def test_after_an_erasure_all_others_are_as_they_were(nights: Nights) -> None:
    student, now = "u03", datetime(2026, 3, 17, 6, tzinfo=UTC)
    before = nights.rows()
    others = {table: {row for row in rows if f'"{student}"' not in row} for table, rows in before.items()}
    assert sum(map(len, before.values())) > sum(map(len, others.values()))
    at = erasure.Where(nights.url, nights.config, nights.home, str(nights.home / "landing"))
    assert erasure.erase(at, student, "ada", "asked for", now).left == []
    assert nights.rows() == others
    nights.at(now)
    after = nights.rows()
    assert {table: others[table] ^ after[table] for table in others if others[table] != after[table]} == {}
