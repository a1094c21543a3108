"""Whose rows a member of staff sees: against a plain reference, in every mart, and by no way round."""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from engage import access
from engage.access.rules import SCHEMAS, STAFF
from engage.export import export
from engage.warehouse import connect
from tests.integration.dbt import casework, readers, universe

Connection = psycopg.Connection[Any]
NOW = datetime(2090, 6, 30, 23, 30, tzinfo=UTC)
TODAY = date(2090, 7, 1)  # in London
STUDENTS, STAFF_IDS = [f"s{n}" for n in range(5)], ["T1", "T2", "T3"]
LOGINS = ["reader_one", "reader_two"]
SCOPES = ["staff_id", "student_id", "programme_code", "faculty_code"]


@dataclass
class World:
    """Lists of who teaches whom, the roster, and grants: as dictionaries of the columns."""

    links: list[dict[str, Any]] = field(default_factory=list)
    enrolments: list[dict[str, Any]] = field(default_factory=list)
    empty_lists: list[tuple[str, date]] = field(default_factory=list)
    disabled: dict[str, date | None] = field(default_factory=dict)
    grants: list[dict[str, Any]] = field(default_factory=list)


def made_up(seed: int) -> World:
    chance = random.Random(seed)

    def day(first: int = -3, last: int = 3) -> date:
        return TODAY + timedelta(chance.randint(first, last))

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.5 else None

    world = World(disabled={s: maybe(day(-1, 2)) if chance.random() < 0.3 else None for s in ("L1", "L2", "E")})
    for source in ("L1", "L2"):
        for as_of in {day(-3, 0) for _ in range(2)}:
            world.links += [
                {"source_id": source, "as_of_date": as_of, "staff_id": chance.choice(STAFF_IDS), "student_id": student}
                | {"role": "tutor", "valid_from": maybe(day(-2, 1)), "valid_to": maybe(day(-1, 3))}
                for student in STUDENTS
                if chance.random() < 0.6
            ]
        if chance.random() < 0.2:
            world.empty_lists.append((source, day(-3, 0)))
    for as_of in {day(-3, 0) for _ in range(2)}:
        for student in STUDENTS:
            world.enrolments.append(
                {"source_id": "E", "as_of_date": as_of, "student_id": student, "status": "active"}
                | {"programme_code": chance.choice(["P1", "P2"]), "faculty_code": chance.choice(["F1", None])}
                | {"status_from": maybe(day(-4, 0)), "status_to": maybe(day(-3, 2)), "tutor_id": "T1"}
            )
    for login in LOGINS:
        for _ in range(chance.randint(0, 3)):
            kind = chance.choice(SCOPES)
            value = {"staff_id": STAFF_IDS, "student_id": STUDENTS, "programme_code": ["P1"], "faculty_code": ["F1"]}
            world.grants.append(
                {
                    "login": login,
                    "database_role": STAFF,
                    kind: chance.choice(value[kind]),
                    "last_day": maybe(day(-2, 2)),
                }
                | {"revoked_at": NOW if chance.random() < 0.2 else None}
            )
    return world


def reference(world: World, login: str) -> set[str]:
    """Return whom a login sees, as it would be said in words."""
    lists = {(r["source_id"], r["as_of_date"]) for r in world.links + world.enrolments} | set(world.empty_lists)
    newest = {s: max(d for source, d in lists if source == s) for s in {source for source, _ in lists}}
    stands = {s: d for s, d in newest.items() if not (end := world.disabled[s]) or end > TODAY}

    def holds(row: dict[str, Any], on: date, first: str, end: str) -> bool:
        return (row[first] is None or row[first] <= on) and (row[end] is None or row[end] > on)

    links = [r for r in world.links if stands.get(r["source_id"]) == r["as_of_date"]]
    links = [r for r in links if holds(r, TODAY, "valid_from", "valid_to")]
    roster = [r for r in world.enrolments if stands.get(r["source_id"]) == r["as_of_date"]]
    roster = [r for r in roster if holds(r, r["as_of_date"], "status_from", "status_to")]
    seen = set()
    for one in world.grants:
        if one["login"] == login and not one["revoked_at"] and (not one["last_day"] or one["last_day"] >= TODAY):
            seen |= {one["student_id"]} if "student_id" in one else set()
            seen |= {r["student_id"] for r in links if "staff_id" in one and r["staff_id"] == one["staff_id"]}
            for scope in ("programme_code", "faculty_code"):
                seen |= {r["student_id"] for r in roster if scope in one and r[scope] == one[scope]}
    return seen


def put(connection: Connection, world: World) -> None:
    for relation in ("raw.staff_links", "raw.enrolments", "ops.access_grant", "ops.batch_day", "ops.source"):
        connection.execute(f"delete from {relation}")
    columns = ["source_id", "title", "relation", "record", "is_digital", "disabled_from"]
    records = {"L1": "staff_links", "L2": "staff_links", "E": "enrolments"}
    sources = [(s, "", "snapshot", record, False, world.disabled[s]) for s, record in records.items()]
    universe.rows(connection, "ops.source", columns, sources)
    for relation, rows in (("raw.staff_links", world.links), ("raw.enrolments", world.enrolments)):
        for row in rows:
            insert(connection, relation, {"batch_id": 1, "row_number": 1} | row)
    if world.empty_lists:
        universe.cover(connection, universe.COMPLETE, world.empty_lists)
    common: dict[str, Any] = {"granted_at": NOW, "granted_by": "x", "reason": "x"}
    for row in world.grants:
        insert(connection, "ops.access_grant", common | row | {"revoked_by": "x" if row["revoked_at"] else None})


def insert(connection: Connection, relation: str, row: dict[str, Any]) -> None:
    query = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(*relation.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(query, row)


@pytest.fixture
def staffed(connection: Connection) -> Iterator[Connection]:
    """A warehouse with rows of all students in every mart, and two logins of staff, who were granted nothing."""
    access.apply(connection)
    casework.at(connection, NOW)
    for record, names in (("staff_links", {"L1", "L2"}), ("enrolments", {"E"})):
        universe.partition(connection, record, names)
    readers.fill(connection, STUDENTS)
    for login in LOGINS:
        connection.execute(f"create role {login} login in role {STAFF}")
    yield connection
    connection.rollback()  # Logins would be the whole server's.


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_staff_see_their_own_students_in_every_mart_and_nobody_elses(staffed: Connection, seed: int) -> None:
    world = made_up(seed)
    marts = [m for m in readers.marts_about_students(staffed) if m != "sponsored_contact_point"]
    with staffed.transaction(force_rollback=True):
        put(staffed, world)
        for login in LOGINS:
            expected = reference(world, login)
            staffed.execute(f"set local role {login}")
            for mart in marts:
                query = sql.SQL("select distinct student_id from {}").format(sql.Identifier("marts", mart))
                assert {s for (s,) in staffed.execute(query)} == expected, mart
            staffed.execute("set local role none")
        said = staffed.execute("select database_role, student_id from ops.staff_access").fetchall()
        assert set(said) == {(login, s) for login in LOGINS for s in reference(world, login)}


def test_the_reference_meets_every_way_to_see_somebody_and_not_to() -> None:
    worlds = [made_up(seed) for seed in range(60)]
    seen = [len(reference(world, LOGINS[0])) for world in worlds]
    assert set(seen) >= {0, 1, 2, 3, 4, 5}
    assert any(world.empty_lists for world in worlds) and any(any(w.disabled.values()) for w in worlds)


@pytest.fixture
def tutor(url: str) -> Iterator[str]:
    """The address of a real login of staff who may see s1; s2 is somebody else's."""
    with connect(url, autocommit=True) as owner, readers.logins(url) as addresses:
        access.apply(owner)
        readers.fill(owner, ["s1", "s2"])
        login = readers.login_of(STAFF)
        owner.execute(
            "insert into ops.access_grant (login, database_role, student_id, granted_at, granted_by, reason)"
            " values (%s, %s, 's1', now(), 'x', 'x')",
            [login, STAFF],
        )
        owner.execute("create function public.leak(said text) returns boolean language plpgsql cost 0.0001 as"
                      " $$ begin raise notice 'leaked %', said; return true; end $$")  # fmt: skip
        owner.execute("analyze")
        yield addresses[login]


def test_no_function_in_a_condition_sees_the_rows_of_others(tutor: str, url: str) -> None:
    with connect(url) as owner:
        marts = [m for m in readers.marts_about_students(owner) if m != "sponsored_contact_point"]
    heard: list[str] = []
    with connect(tutor, autocommit=True) as staff:
        staff.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
        for mart in marts:
            relation = sql.Identifier("marts", mart)
            staff.execute(sql.SQL("select from {} where public.leak(student_id)").format(relation))
            assert heard and set(heard) == {"leaked s1"}, mart
            heard.clear()
            # Whose value does an error quote?
            with pytest.raises(psycopg.errors.InvalidTextRepresentation, match='"s1"'):
                staff.execute(sql.SQL("select from {} where student_id::integer = 1").format(relation))
            staff.execute(sql.SQL("select from {} where 1 / (length(student_id) + 0) > 5").format(relation))
            others = sql.SQL("select from {} where 1 / (case student_id when 's2' then 0 else 1 end) = 0")
            staff.execute(others.format(relation))


_PLAN = "explain (analyze, timing off, summary off, costs off, buffers off) select from marts.{} where {}"


def test_no_condition_tells_by_what_is_executed_what_is_true_of_others(tutor: str, url: str) -> None:
    with connect(url) as owner:
        marts = [m for m in readers.marts_about_students(owner) if m != "sponsored_contact_point"]
    with connect(tutor, autocommit=True) as staff:
        staff.execute("set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off")
        staff.execute("set enable_mergejoin = off; set enable_nestloop = off")

        def plan(mart: str, condition: str, said: str) -> list[str]:
            query = sql.SQL(_PLAN).format(sql.Identifier(mart), sql.SQL(condition).format(sql.Literal(said)))
            # The first time tables of the catalog are read, too.
            staff.execute(query)
            return [str(line).replace(said, "?") for (line,) in staff.execute(query)]

        for mart in marts:
            # The second is cheaper than any operator. There is a s2, and no s9.
            for condition in ("student_id = {}", "student_id = any(array[{}])", "student_id = any(array[{}]) is true"):
                assert plan(mart, condition, "s2") == plan(mart, condition, "s9"), mart


def test_statistics_and_plans_show_no_values_of_others(tutor: str) -> None:
    with connect(tutor, autocommit=True) as staff:
        shown = staff.execute(
            "select schemaname, tablename from pg_stats"
            " where schemaname = any(%s) and (most_common_vals::text ~ 's2' or histogram_bounds::text ~ 's2')",
            [list(SCHEMAS)],
        ).fetchall()
        assert shown == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            staff.execute("set row_security = off; select from marts.weekly_score")


def test_who_asks_is_the_login_that_asks_now_and_not_who_opened_the_session(tutor: str, url: str) -> None:
    with connect(url) as owner:
        owner.execute(f"set role {readers.login_of(STAFF)}")
        assert owner.execute("select student_id from marts.weekly_score").fetchall() == [("s1",)]
        assert owner.execute("select student_id, is_sponsored from marts.student").fetchall() == [("s1", None)]
        owner.execute("reset role")
        sponsored = owner.execute("select student_id, is_sponsored from marts.student order by 1").fetchall()
        assert sponsored == [("s1", True), ("s2", True)]
        owner.execute(f"set role {readers.login_of('engage_bi')}")
        assert owner.execute("select is_sponsored from marts.student").fetchall() == [(None,), (None,)]


def test_a_file_of_the_students_does_not_say_who_is_sponsored(connection: Connection, tmp_path: Path) -> None:
    readers.fill(connection, ["s1"])
    connection.commit()
    list(export(connection, tmp_path, ["student"]))
    (row,) = csv.DictReader((tmp_path / "student.csv").open())
    assert (row["student_id"], row["is_sponsored"]) == ("s1", "")
