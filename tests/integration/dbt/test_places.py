"""Every table of a fully built warehouse is declared: what it holds of students, or that it holds nothing.

When this fails, say in engage/privacy/declared_places.py what the new table holds: copies, erasure and retention go by
it.
"""

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from engage.privacy import mentions
from engage.privacy.places import Person, person, places, undeclared_patterns
from engage.strict import ConfigurationError

STUDENT = Person(("1234567",), ("1234567", "ab1234", "ab1234@students.example.org", "00024777"))
LOADED = "create table load.text_vle (c1 jsonb, line text, row_number bigint)"
WORKING = [LOADED, "create table load.rows_vle (student_id text)", "create table load.out_vle (row_number bigint)"]

Warehouse = Connection[tuple[object, ...]]


@pytest.fixture
def working(connection: Warehouse) -> Warehouse:
    for statement in WORKING:
        connection.execute(statement)
    return connection


def test_every_table_is_declared_and_every_declaration_is_of_a_table(working: Warehouse) -> None:
    assert len(places(working)) > 100
    assert undeclared_patterns(working) == []


def test_a_table_that_nobody_declared_is_named(connection: Warehouse) -> None:
    connection.execute("create table ops.gossip (said text)")
    with pytest.raises(ConfigurationError, match=r"what is personal in ops\.gossip"):
        places(connection)


def test_a_table_that_is_said_to_hold_nothing_holds_no_student(connection: Warehouse) -> None:
    connection.execute("create table governance.gossip (student_id text)")
    with pytest.raises(ConfigurationError, match=r"governance\.gossip"):
        places(connection)


def test_a_new_table_with_students_needs_no_word(connection: Warehouse) -> None:
    connection.execute("create table marts.gossip (student_id text, week_start date, said text, tutor_id text)")
    (place,) = [one for one in places(connection) if one.table == "marts.gossip"]
    assert (place.keep, place.dated, place.third_parties, place.erase) == (
        *("marts", "t.week_start", ("tutor_id",), "delete"),
    )


def test_what_each_place_says_can_be_asked_and_done(working: Warehouse) -> None:
    for place in places(working):
        if place.dated:
            working.execute(f"select max({place.dated}) from {place.table} as t")
        if not place.is_personal:
            continue
        working.execute(f"select from {place.table} as t where {place.find}", STUDENT.parameters)
        if place.names:
            mentions.unname(working, place.table, place.names, place.find or "", STUDENT)
        working.execute(
            f"delete from {place.table} as t where {place.find} and ({place.own or 'true'})", STUDENT.parameters
        )


def test_somebody_is_known_by_every_reference_that_was_ever_theirs(connection: Warehouse) -> None:
    connection.execute(
        "insert into pii.identity values ('badge', '00024777', '1', '0001-01-01', '2026-09-01'),"
        " ('badge', '00024777', '2', '2026-09-01', '9999-12-31'), ('username', 'AB1', '1', '0001-01-01', '9999-12-31')"
    )
    connection.execute("insert into pii.student values ('1', 'A', 'B', ' Ann@Example.org', '2026-09-01')")
    assert person(connection, "1").refs == ("00024777", "1", "ab1", "ann@example.org")
    assert person(connection, "3").refs == ("3",)


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("students_1234567.csv", True),
        ("about AB1234, who wrote", True),
        ("mail ab1234@students.example.org.", True),
        ("https://records.example.ac.uk/students/1234567?x=1", True),
        ("row 12345678", False),
        ("xab1234", False),
        ("nothing", False),
    ],
)
def test_texts_are_searched_by_whole_words(connection: Warehouse, text: str, is_named: bool) -> None:
    row = connection.execute("select %(text)s ~* %(words)s", STUDENT.parameters | {"text": text}).fetchone()
    assert row == (is_named,)


def test_a_number_of_ours_is_no_student_and_the_end_of_a_line_hides_none(connection: Warehouse) -> None:
    facts = [{"rows": 1234567}, {"said": "refused:\n1234567", "rows": 1234567}]
    for n, fact in enumerate(facts):
        connection.execute(
            "insert into ops.incident (source_id, kind, opened_at, last_seen_at, facts)"
            " values ('vle', %s, now(), now(), %s)",
            [str(n), Jsonb(fact)],
        )
    (place,) = [one for one in places(connection) if one.table == "ops.incident"]
    assert mentions.unname(connection, place.table, place.names, place.find or "", STUDENT) == 1
    left = connection.execute("select facts from ops.incident order by incident_id").fetchall()
    assert left == [(facts[0],), ({"said": "refused:\nerased", "rows": 1234567},)]


def test_a_reference_with_signs_of_a_pattern_is_taken_as_it_is(connection: Warehouse) -> None:
    strange = Person(("a.b(c",), ("a.b(c", "x+y@z.org"))
    row = connection.execute(
        "select 'a.b(c' ~* %(words)s, 'axb(c' ~* %(words)s, 'X+Y@z.org' ~* %(words)s", strange.parameters
    ).fetchone()
    assert row == (True, False, True)


def test_quarantine_knows_a_badge_that_was_handed_on_by_its_day(connection: Warehouse) -> None:
    connection.execute(
        "insert into pii.identity values ('badge', '00024777', '1234567', '0001-01-01', '2026-09-01'),"
        " ('badge', '00024777', '7654321', '2026-09-01', '9999-12-31')"
    )
    for batch, day in ((1, "2026-08-31"), (2, "2026-09-01")):
        connection.execute(
            "insert into ops.delivery (source_id, content_hash, name, size_bytes, version_at, landed_path, landed_at)"
            " values ('gates', %s, 'f', 1, now(), 'p', now())",
            [str(batch)],
        )
        connection.execute(
            "insert into ops.batch (delivery_id, source_id, state, started_at) "
            " values (%s, 'gates', 'published', now())",
            [batch],
        )
        connection.execute("insert into ops.batch_day values (%s, 'gates', %s, true, true)", [batch, day])
        connection.execute(
            "insert into quarantine.row values (%s, 'gates', 1, 'readable', null, 'x', '00024777',"
            """ '{"badge": " 00024777", "seconds": 1234567}', 'quarantined', now())""",
            [batch],
        )
    (place,) = [one for one in places(connection) if one.table == "quarantine.row"]
    for student, batch in (("1234567", 1), ("7654321", 2)):
        who = person(connection, student)
        who = Person(who.students, tuple(ref for ref in who.refs if ref != student))
        found = connection.execute(f"select batch_id from quarantine.row as t where {place.find}", who.parameters)
        assert found.fetchall() == [(batch,)]


def test_a_working_row_with_a_badge_that_was_handed_on_is_not_the_former_owners(working: Warehouse) -> None:
    working.execute(
        "insert into pii.identity values ('badge', '00024777', '1234567', '0001-01-01', '2026-09-01'),"
        " ('badge', '00024777', '7654321', '2026-09-01', '9999-12-31')"
    )
    working.execute("alter table load.rows_vle add badge text, add row_number bigint, add given_name text")
    working.execute("insert into load.rows_vle values ('7654321', '00024777', 1234567, 'Bela')")
    working.execute("insert into load.rows_vle values ('1234567', '00024777', 2, 'Ada')")
    (place,) = [one for one in places(working) if one.table == "load.rows_vle"]
    query = f"select given_name from load.rows_vle as t where {place.find}"
    assert working.execute(query, person(working, "1234567").parameters).fetchall() == [("Ada",)]
    assert working.execute(query, person(working, "7654321").parameters).fetchall() == [("Bela",)]
