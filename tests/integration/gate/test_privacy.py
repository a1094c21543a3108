"""What people's rows hold stays in the warehouse: not in outcomes, results, messages, logs or the server's answers."""

import logging

import psycopg
import pytest

from engage import batches
from engage.sources import ConfigurationError
from tests.integration.gate.kit import ATTENDANCE, STUDENTS, Gate

PLANTED = ["Zaphod", "0042042", "zb42", "4242424242", "pecan pie", "2026 99:99"]
HEADING = "Event Id,Student Number,Session Start,Session Type,Mandatory,Attended\n"
RULES = [
    {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "session_type", "value_set": ["lecture"]},
        "meta": {"id": "known_type", "title": "Every session is of a known type"},
    },
    {
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "event_id", "regex": "^e"},
        "severity": "critical",
        "meta": {"id": "id_shape", "title": "Ids begin with e"},
    },
    {
        "type": "expect_column_values_to_be_unique",
        "kwargs": {"column": "student_ref"},
        "meta": {"id": "unique", "title": "Every student once"},
    },
    {
        "type": "expect_column_proportion_of_unique_values_to_be_between",
        "kwargs": {"column": "event_id", "min_value": 0.99},
        "meta": {"id": "few_duplicates", "title": "Few duplicates"},
    },
]
FILES = {
    "bad rows": HEADING + "4242424242,0042042,2026 99:99,pecan pie,zb42,Zaphod\n" * 3 + "Zaphod,0042042\n",
    "no heading": "4242424242,0042042,01/10/2026 10:00,pecan pie,zb42,Zaphod\n",
    "half a heading": HEADING.replace("Attended", "Zaphod").replace(
        "Session Start,Session Type,Mandatory", "zb42,0042042"
    ),
    "unbalanced": HEADING + '4242424242,0042042,"2026 99:99,pecan pie,zb42,Zaphod\n',
    "NUL": HEADING + "4242424242,\0,0042042,2026 99:99,pecan pie,Zaphod\n",
}


@pytest.mark.parametrize("name", list(FILES))
def test_planted_values_leave_only_into_quarantine(gate: Gate, caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.set_level(logging.DEBUG)
    source = gate.source(ATTENDANCE)
    gate.deliver(source, FILES[name].encode())
    (outcome,) = gate.process(source, gate.suite(source, *RULES))
    said = [repr(outcome), repr(outcome.rules), outcome.problem or "", caplog.text]
    for table in ("ops.batch", "ops.rule_result", "ops.batch_day", "ops.delivery"):
        said.append(repr(gate.execute(f"select * from {table}")))
    for value in PLANTED:
        for text in said:
            assert value not in text, value
    if name == "bad rows":
        kept = repr(gate.execute("select record from quarantine.row"))
        assert all(value in kept for value in PLANTED)
        reasons = repr(gate.execute("select reason, field, rule_id from quarantine.row"))
        assert not any(value in reasons for value in PLANTED)


def test_what_the_database_refuses_is_told_without_the_row(
    gate: Gate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    source = gate.source(STUDENTS)
    gate.execute("alter table pii.student add check (given_name <> 'Zaphod')")
    gate.deliver(source, b"student_id,given_name,username,badge\n0042042,Zaphod,zb42,4242424242\n")
    with pytest.raises(batches.BatchError) as caught:
        gate.process(source)
    assert str(caught.value) == "file.csv: the database refuses it, SQLSTATE 23514"
    assert caught.value.__suppress_context__
    assert "Zaphod" not in caplog.text
    assert gate.execute("select state from ops.batch") == [("loading",)]
    assert gate.execute("select count(*) from raw.students") == [(0,)]


def test_a_rule_that_the_database_cannot_read_is_refused_before_any_row(gate: Gate) -> None:
    source = gate.source(ATTENDANCE)
    gate.deliver(source, FILES["bad rows"].encode())
    for column, regex, said in (
        ("late", "x", "operator does not exist"),
        ("event_id", "[", "invalid regular expression"),
    ):
        rule = {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": column, "regex": regex},
            "meta": {"id": "shape", "title": "It has a shape"},
        }
        with pytest.raises(ConfigurationError, match=f"rule shape: the database says: {said}"):
            gate.process(source, gate.suite(source, rule))
    assert isinstance(gate.connection, psycopg.Connection)
    assert gate.execute("select count(*) from ops.batch") == [(0,)]
