"""A student is planted in every table, landed file and message there can be: a copy has every trace, and nobody else's.

Driven by the catalog: a new table is filled like the others, and fails here until its rows are found.
"""

import gzip
import hashlib
import io
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection, sql

from engage.privacy.due_dates import Period
from engage.privacy.periods import load_periods
from engage.privacy.places import Place, places
from engage.privacy.subject_access import Installation, Made, answer, record
from engage.settings import PROJECT
from engage.sources import Source
from engage.warehouse import connect
from tests.integration.gate.kit import ATTENDANCE, BASE

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINE, OTHER, TUTOR = "8450021", "8450099", "T7070"
BADGE, OTHERS_BADGE = "55512345", "55599999"
WORKING = [
    "create table load.text_vle (row_number bigint, problem text, line text, c1 text)",
    "create table load.rows_vle (row_number bigint, student_id text, student_ref text)",
    "create table load.out_vle (row_number bigint)",
]
# Rows that could not be there otherwise: what is planted is one row of everything, not a history.
LOOSE = """
do $$
declare
    c record;
begin
    for c in
        select n.nspname, t.relname, k.conname
        from pg_constraint as k
        inner join pg_class as t on k.conrelid = t.oid
        inner join pg_namespace as n on t.relnamespace = n.oid
        where k.contype in ('c', 'f') and n.nspname in ('ops', 'quarantine', 'raw', 'pii')
        order by k.contype desc
    loop
        execute format('alter table %I.%I drop constraint if exists %I cascade', c.nspname, c.relname, c.conname);
    end loop;
    for c in select n.nspname, t.relname from pg_class as t inner join pg_namespace as n on t.relnamespace = n.oid
        where n.nspname = 'raw' and t.relkind = 'p' and not t.relispartition
    loop
        execute format('create table raw.%I partition of raw.%I default', c.relname || '_all', c.relname);
    end loop;
    -- numbers given by hand are small
    for c in select table_schema, table_name, column_name from information_schema.columns
        where is_identity = 'YES' and table_schema = 'ops'
    loop
        execute format('alter table ops.%I alter column %I restart with 1000', c.table_name, c.column_name);
    end loop;
end
$$
"""
_COLUMNS = """
select a.attname::text, format_type(a.atttypid, null)
from pg_attribute as a
where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
_PLAIN = {
    "bigint": 1,
    "integer": 1,
    "smallint": 1,
    "numeric": 1,
    "double precision": 0.5,
    "real": 0.5,
    "boolean": True,
    "date": date(2026, 10, 1),
    "timestamp with time zone": NOW,
    "time without time zone": NOW.time(),
    "uuid": "00000000-0000-0000-0000-00000000000",
    "tid": "(0,1)",
}
# Columns whose value the table means something by.
_SAYS = {("ops.outbox", "kind"): "student", ("ops.subject_request", "kind"): "access"}

Warehouse = Connection[tuple[object, ...]]


def _value(place: Place, column: str, kind: str, student: str) -> object:
    """A value that says whose row it is, in which column of which table."""
    number = 1 if student == MINE else 2
    said = f"trace {student} {place.table} {column}"
    if (place.table, column) in _SAYS:
        return _SAYS[place.table, column]
    if column in place.third_parties:
        return TUTOR
    if column == "student_id":
        return student
    if column in ("ref", "student_ref"):
        return BADGE if student == MINE else OTHERS_BADGE
    if kind == "text":
        return said
    if kind == "text[]":
        return [said]
    if kind == "jsonb":
        return json.dumps({"deep": [{"said": said}]})
    if kind.endswith("[]"):
        return [_PLAIN[kind.removesuffix("[]")]]
    plain = _PLAIN[kind]
    return f"{plain}{number}" if kind == "uuid" else number if type(plain) is int else plain


@pytest.fixture
def planted(connection: Warehouse, tmp_path: Path) -> Installation:
    for statement in (*WORKING, LOOSE):
        connection.execute(statement)
    connection.execute("insert into ops.config_version values ('v', '{}', now())")
    connection.execute(
        "insert into ops.scoring_parameter values (default, 'v', 'Europe/London', '{1}', 5, 4, 30, 10, .5, 80, 3,"
        " 'normal_scores', 'exclude', 2, 3)"
    )
    for place in places(connection):
        for student in (MINE, OTHER) if place.is_personal else ():
            columns = connection.execute(_COLUMNS, [place.table]).fetchall()
            values = [_value(place, str(name), str(kind), student) for name, kind in columns]
            query = sql.SQL("insert into {} ({}) overriding system value values ({})").format(
                sql.Identifier(*place.table.split(".")),
                sql.SQL(", ").join(sql.Identifier(str(name)) for name, _ in columns),
                sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
            )
            connection.execute(query, values)
    connection.execute("insert into pii.staff values (%s, 'Dr Jo Okafor', 'jo.okafor@example.ac.uk', now())", [TUTOR])
    connection.execute("update pii.student set given_name = 'Ada', family_name = 'Moss', email = 'ada@s.example'")
    connection.execute(
        "update pii.student set given_name = 'Bela', family_name = 'Quill', email = 'bela@s.example'"
        " where student_id = %s",
        [OTHER],
    )
    connection.commit()
    periods = load_periods(PROJECT / "config")
    return Installation(connection, str(tmp_path / "landing"), tmp_path / "home", {}, "help@example.ac.uk", periods)


def made(installation: Installation, student: str = MINE) -> tuple[Made, dict[str, str]]:
    request = record(installation.connection, student, None, Period(), "dpo", NOW)
    one = answer(installation, request.request_id, "dpo", NOW)
    with zipfile.ZipFile(one.path) as archive:
        return one, {name: archive.read(name).decode() for name in archive.namelist()}


def test_every_trace_in_every_table_is_found_and_none_of_anybody_else(planted: Installation) -> None:
    personal = [place for place in places(planted.connection) if place.is_personal]
    _, files = made(planted)
    data = {table["table"]: table for table in json.loads(files["data.json"])["tables"]}
    assert set(data) == {place.table for place in personal}
    for place in personal:
        for name, kind in planted.connection.execute(_COLUMNS, [place.table]).fetchall():
            said = f"trace {MINE} {place.table} {name}"
            planted_as = _value(place, str(name), str(kind), MINE)
            # The fixture gives both people names.
            if said in str(planted_as) and place.table != "pii.student":
                assert said in files["data.json"], said
                assert said in files[f"csv/{place.table}.csv"], said
            if str(name) in place.third_parties:
                assert {row[name] for row in data[place.table]["rows"]} <= {"[somebody else]", None}
    assert [row["family_name"] for row in data["pii.student"]["rows"]] == ["Moss"]
    everything = "\n".join(files.values())
    for somebody in (OTHER, OTHERS_BADGE, TUTOR, "Quill", "bela@s.example", "Okafor", "okafor@example.ac.uk", "dpo"):
        assert somebody not in everything, somebody
    planted.connection.rollback()


def test_a_row_that_names_two_people_names_one_of_them_in_the_copy(planted: Installation) -> None:
    note = (
        f"{OTHER} (Bela Quill, QUILL Bela, BELA@s.example) and Jo Okafor told me; Dr Okafor, {TUTOR}."
        f" I am Ada Moss, {MINE}."
    )
    connection = planted.connection
    connection.execute("update raw.student_notes set note = %s where student_id = %s", [note, MINE])
    evidence = json.dumps({"why": [note, int(OTHER)], "sent": note})
    connection.execute("update ops.notification set evidence = %s where student_id = %s", [evidence, MINE])
    connection.execute(
        "insert into quarantine.row values (9, 'x', 9, 'readable', null, 'x', null, %s, 'quarantined', now())",
        [json.dumps({"line": note})],
    )
    connection.commit()
    _, files = made(planted)
    everything = "\n".join(files.values())
    for somebody in (OTHER, TUTOR, "Quill", "QUILL", "BELA", "Okafor"):
        assert somebody not in everything, somebody
    masked = (
        "[somebody else] ([somebody else], [somebody else], [somebody else]) and [somebody else] told me;"
        f" [somebody else], [somebody else]. I am Ada Moss, {MINE}."
    )
    for table in ("raw.student_notes", "ops.notification", "quarantine.row"):
        assert masked in files[f"csv/{table}.csv"], table


def test_a_table_that_is_made_anew_meanwhile_is_not_found_empty(planted: Installation, url: str) -> None:
    with connect(url) as dbt, ThreadPoolExecutor(1) as pool:
        dbt.execute("create table marts.score_trend_new as select * from marts.score_trend")
        dbt.execute("drop table marts.score_trend")
        dbt.execute("alter table marts.score_trend_new rename to score_trend")
        making = pool.submit(made, planted)
        while not waits(url):
            assert not making.done()
        dbt.commit()
        _, files = making.result(timeout=60)
    assert "csv/marts.score_trend.csv" in files


def waits(url: str) -> bool:
    with connect(url) as looking:
        return looking.execute("select exists (select from pg_locks where not granted)").fetchone() == (True,)


RULE = "\n" + "=" * 40 + "\n"
DIGEST = (
    f"2 students to look at{RULE}Ada Moss\n{MINE}, History\n\nScore fell.{RULE}Bela Quill\n{OTHER}, Law{RULE}"
    "You get this."
)


def test_of_a_message_about_several_only_the_part_about_the_student_is_given(planted: Installation) -> None:
    planted.connection.execute(
        "insert into ops.outbox (message_id, message_key, channel, recipient, subject, text, html, kind,"
        " next_attempt_at, created_at) overriding system value"
        " values (77, 'digest:1', 'email', 'jo.okafor@example.ac.uk',"
        " 'About Bela Quill', %s, %s, 'digest', now(), now())",
        [DIGEST, f"<p>{DIGEST}"],
    )
    planted.connection.commit()
    outbox = planted.home / "outbox"
    outbox.mkdir(parents=True)
    for name, to, text in (
        ("000077-email", "jo.okafor@example.ac.uk", DIGEST),
        ("000001-email", "ADA@s.example", "Dear Ada, ü"),
    ):
        mail = EmailMessage()
        mail["To"], mail["From"], mail["Subject"] = to, "service@example.ac.uk", "How are your studies going?"
        mail.set_content(text)
        mail.add_alternative(f"<p>{text}</p>", subtype="html")
        (outbox / f"{name}.eml").write_bytes(bytes(mail))
    for number, student in ((78, MINE), (79, OTHER)):
        payload = {"data": {"student_id": student, "note": f"beside {OTHER}"}}
        (outbox / f"0000{number}-webhook.json").write_text(json.dumps(payload))
    (planted.home / "exemptions").mkdir()
    (planted.home / "exemptions" / "list.csv").write_text(f"student_id,type\n{MINE},Leave\n{OTHER},Leave\n")
    _, files = made(planted)
    assert [name for name in files if name.startswith("outbox/")] == [
        *("outbox/000001-email.txt", "outbox/000077-email.txt", "outbox/000078-webhook.json"),
    ]
    assert "Dear Ada, ü" in files["outbox/000001-email.txt"]
    assert files["outbox/000077-email.txt"].split() == ["Ada", "Moss", f"{MINE},", "History", "Score", "fell."]
    assert "Score fell." in files["csv/ops.outbox.csv"]
    assert files["exemptions/list.csv"] == f"{MINE},Leave\n"
    everything = "\n".join(files.values())
    assert not re.search(f"Quill|{OTHER}|okafor", everything, re.IGNORECASE)


def _source(**changed: Any) -> Source:
    return Source.model_validate(
        {**ATTENDANCE, "columns": {**ATTENDANCE["columns"], "session_type": {"name": "Type"}}, **changed}
    )


LINKS = {
    **BASE,
    "id": "links",
    "record": "staff_links",
    "relation": "snapshot",
    "format": {"kind": "csv"},
    "columns": {
        "staff_id": {"name": "Tutor"},
        "student_id": {"name": "Student"},
        "role": {"name": "Role"},
        "staff_name": {"name": "Name"},
    },
}
CASES = {
    **BASE,
    "id": "cases",
    "record": "cases",
    "relation": "snapshot",
    "format": {"kind": "jsonl"},
    "columns": {
        "case_id": {"name": "id"},
        "student_id": {"name": "student"},
        "status": {"name": "status"},
        "opened_at": {"name": "opened", "formats": ["iso8601"]},
        "assigned_to": {"name": "owner.name"},
    },
}


def _packed(how: str, text: str) -> tuple[bytes, dict[str, Any]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("register.csv", text)
    return {
        "utf-8-sig": (text.encode("utf-8-sig"), {"kind": "csv"}),
        "utf-16": (text.encode("utf-16"), {"kind": "csv", "encoding": "utf-16"}),
        "latin-1": (text.replace(",", ";").encode("latin-1"), {"kind": "csv", "encoding": "latin-1", "delimiter": ";"}),
        "gzip": (gzip.compress(text.encode()), {"kind": "csv"}),
        "zip": (packed.getvalue(), {"kind": "csv"}),
    }[how]


def _land(planted: Installation, source: Source, content: bytes, name: str) -> None:
    path = Path(planted.store_url) / source.id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    planted.connection.execute(
        "insert into ops.delivery (delivery_id, source_id, content_hash, name, size_bytes, version_at, landed_path,"
        " landed_at, first_day, last_day) overriding system value values (100, %s, %s, %s, 1, now(), %s, now(),"
        " '2026-10-01', '2026-10-01')",
        [source.id, hashlib.sha256(content).hexdigest(), name, f"{source.id}/{name}"],
    )
    planted.connection.commit()
    assert isinstance(planted.sources, dict)
    planted.sources[source.id] = source


@pytest.mark.parametrize("how", ["utf-8-sig", "utf-16", "latin-1", "gzip", "zip"])
def test_the_lines_of_landed_files_are_given_as_they_came(planted: Installation, how: str) -> None:
    heading = "Event Id,Student Number,Session Start,Type,Mandatory,Attended"
    mine = f"e1,{MINE},01/10/2026 09:00,Café,Y,N"
    text = "\r\n".join([heading, f"e0,{OTHER},01/10/2026 09:00,Café,Y,Y", mine, ""])
    content, form = _packed(how, text)
    _land(planted, _source(format=form), content, "register.csv" + {"gzip": ".gz", "zip": ".zip"}.get(how, ""))
    _, files = made(planted)
    separator = form.get("delimiter", ",")
    assert files["landing/attendance/000100-register.csv"] == f"{heading}\n{mine}\n".replace(",", separator)


def test_whoever_else_stands_in_a_line_of_a_landed_file_is_masked(planted: Installation) -> None:
    lines = [
        "Tutor,Student,Role,Name",
        f'Z1,{MINE},tutor,"Vo, Kim"',
        f"Z2,{OTHER},tutor,Ann Lee",
        f'Z3,{MINE},support,"Lee\nAnn"',
    ]
    _land(planted, Source.model_validate(LINKS), "\n".join([*lines, ""]).encode(), "links.csv")
    _, files = made(planted)
    said = files["landing/links/000100-links.csv"]
    assert f"[somebody else],{MINE},tutor,[somebody else]\n" in said
    assert not re.search(r"Z1|Z2|Z3|Vo\b|Kim|Ann Lee|support,\"Lee", said), said


def test_items_of_an_api_are_given_without_who_else_they_name(planted: Installation) -> None:
    items = [
        {"id": n, "student": student, "status": "open", "opened": "2026-10-01T09:00:00Z", "owner": {"name": "Zoe Vane"}}
        for n, student in enumerate((OTHER, MINE))
    ]
    content = "".join(f"{json.dumps(item)}\n" for item in items)
    _land(planted, Source.model_validate(CASES), gzip.compress(content.encode()), "cases.jsonl.gz")
    _, files = made(planted)
    given = json.loads(files["landing/cases/000100-cases.jsonl"])
    assert given == {**items[1], "owner": {"name": "[somebody else]"}}
    assert "Zoe" not in "\n".join(files.values())


def test_somebody_whom_no_roster_names_is_found_all_the_same(planted: Installation) -> None:
    connection = planted.connection
    connection.execute(
        "insert into quarantine.row values (9, 'x', 9, 'known_student', null, 'x', '4711000',"
        """ '{"Badge": "4711000"}',"""
        " 'quarantined', now())"
    )
    connection.commit()
    content = b"Event Id,Student Number,Session Start,Type,Mandatory,Attended\ne1,4711000,01/10/2026 09:00,L,Y,N\n"
    _land(planted, _source(), content, "register.csv")
    one, files = made(planted, "4711000")
    assert (one.rows, one.tables, one.files) == (2, 2, 1)  # the request itself, too
    assert "4711000" in files["landing/attendance/000100-register.csv"]
