"""`engage contact` over marts that stand, are empty, or were never made."""

import json
from datetime import date
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from engage.cli import cli
from tests.integration.dbt import universe

Connection = psycopg.Connection[Any]
TODAY = date(2026, 3, 9)


def engage(url: str, *words: str) -> Result:
    return CliRunner(env={"ENGAGE_DATABASE_URL": url}).invoke(cli, ["contact", *words])


@pytest.fixture
def filled(connection: Connection) -> Connection:
    columns = ["student_id", "priority", "score", "why", "programme_code", "tutor_id"]
    listed = [(f"u{k}", k, 200 + k, "score so", "P1", "T1") for k in (2, 1, 3)]
    universe.rows(connection, "marts.contact_list", columns, listed)
    columns = ["student_id", "ladder_id", "ladder_run_id", "step_number", "title", "who", "channel", "due_date"]
    steps = [
        ("u1", "l", 1, 1, "A call", "tutor", "phone", TODAY, "due", False),
        ("u2", "l", 2, 1, "A call", "tutor", "phone", date(2026, 3, 2), "due", True),
        ("u2", "l", 2, 2, "A visit", "resx", "visit", None, "waiting", False),
    ]
    universe.rows(connection, "marts.contact_step", [*columns, "status", "is_overdue"], steps)
    connection.commit()
    return connection


def test_the_list_comes_in_its_order(filled: Connection, url: str) -> None:
    rows = json.loads(engage(url, "list", "--limit", "2", "--json").output)

    assert [(row["priority"], row["student_id"], row["why"]) for row in rows] == [
        (1, "u1", "score so"),
        (2, "u2", "score so"),
    ]
    assert engage(url, "list").output.index("u1") < engage(url, "list").output.index("u3")


def test_the_oldest_step_that_is_due_comes_first(filled: Connection, url: str) -> None:
    rows = json.loads(engage(url, "steps", "--json").output)

    assert [(row["student_id"], row["due_date"], row["is_overdue"]) for row in rows] == [
        ("u2", "2026-03-02", True),
        ("u1", "2026-03-09", False),
    ]


def test_nothing_is_said_as_such(url: str) -> None:
    assert engage(url, "list").output == "nobody is to be contacted\n"
    assert engage(url, "steps").output == "no step is due\n"


def test_before_the_first_run_it_is_said_what_is_missing(database_url: str) -> None:
    said = engage(database_url, "list")

    assert (said.exit_code, said.output) == (
        1,
        "Error: marts.contact_list has not been made yet; the first run of the warehouse makes it\n",
    )
