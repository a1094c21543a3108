"""Who is granted what, and what the database says of it, as docs/access.md tells it."""

import json
import re
import shlex

import psycopg
import pytest

from engage import access
from engage.settings import PROJECT
from tests.integration.access.conftest import Connection, Engage

PAGE = (PROJECT / "docs" / "access.md").read_text()
WHY = ("--reason", "because")


def members(owner: Connection) -> set[tuple[object, ...]]:
    query = (
        "select m.rolname, g.rolname from pg_auth_members as a inner join pg_roles as g on a.roleid = g.oid"
        " inner join pg_roles as m on a.member = m.oid where g.rolname ~ '^engage_' and m.rolname !~ '^engage'"
    )
    return set(owner.execute(query))


def differences(owner: Connection) -> list[tuple[str, str, str]]:
    return [(one.who, one.what, one.difference) for one in access.audit(owner)]


def test_what_the_page_tells_to_type_works(owner: Connection, engage: Engage) -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line.replace("2031", "2090"))  # of which the tests are
        assert words[:2] == [".venv/bin/engage", "access"]
        code, out, err = engage(*words[2:])
        assert code == 0 and out.strip(), (line, err)
    assert members(owner) == {
        *(("power_bi", "engage_bi"), ("ada_king", "engage_staff")),
        ("head_of_law", "engage_staff"),
    }
    listed = json.loads(engage("list", "--all", "--json")[1])
    assert [(r["login"], r["students"], r["state"], r["granted_by"], r["revoke_reason"]) for r in listed] == [
        ("ada_king", "staff T1001", "in force", "Grace", None),
        ("ada_king", "student 10000001", "taken back", "Grace", "The colleague is back"),
        ("head_of_law", "programme LAW-BA", "in force", "Grace", None),
        ("head_of_law", "faculty LAW", "in force", "Grace", None),
        ("power_bi", None, "in force", "Grace", None),
        ("visa_desk", None, "taken back", "Grace", "Has left the team"),
    ]


# What is typed, and what is said instead of doing it.
REFUSED = [
    (("grant", "nobody_there", "engage_bi", *WHY), "there is no login nobody_there"),
    (("grant", "engage_bi", "engage_bi", *WHY), "there is no login engage_bi"),
    (("grant", "engage", "engage_bi", *WHY), "reads everything as it is"),
    (("grant", "ada_king", "engage_staff", *WHY), "say whose"),
    (("grant", "ada_king", "engage_bi", "--student", "10000001", *WHY), "only engage_staff is"),
    (("grant", "ada_king", "engage_bi"), "--reason is missing"),
    (("grant", "ada_king", "engage_bi", "--until", "2090-05-31", *WHY), "--until is in the past"),
    (("revoke", "ada_king", *WHY), "has no such grant"),
    (("revoke", "ada_king", "engage_bi"), "--reason is missing"),
]


def test_who_may_act_as_the_owner_is_found_and_granted_nothing(owner: Connection, engage: Engage) -> None:
    """On a server whose pipeline has a login of its own, as institutions' have."""
    owner.execute("create role pipeline login")
    owner.execute("alter schema ops owner to pipeline")
    try:
        assert ("ada_king", "member of pipeline", "no privilege holds it back") not in differences(owner)
        owner.execute("grant pipeline to ada_king")
        assert ("ada_king", "member of pipeline", "no privilege holds it back") in differences(owner)
        code, _, err = engage("grant", "ada_king", "engage_bi", *WHY)
        assert code == 1 and "ada_king" in err
        owner.execute("revoke pipeline from ada_king; grant pipeline to ada_king with inherit false, set false")
        assert ("ada_king", "member of pipeline", "no privilege holds it back") not in differences(owner)
    finally:
        owner.execute("alter schema ops owner to current_user")
        owner.execute("revoke pipeline from ada_king")
        owner.execute("drop role pipeline")


def test_what_makes_no_sense_is_refused(owner: Connection, engage: Engage) -> None:
    for words, said in REFUSED:
        code, _, err = engage(*words)
        assert code == 1 and said in err and "10000001" not in err
    assert members(owner) == set() and engage("list")[1] == "nobody was granted anything\n"


def test_the_same_again_changes_nothing(engage: Engage) -> None:
    grant = ("grant", "ada_king", "engage_staff", "--staff-id", "T1", "--staff-id", "T2", *WHY)
    assert "2 new" in engage(*grant)[1]
    assert "nothing changed" in engage(*grant)[1]


def test_a_grant_ends_by_itself(owner: Connection, engage: Engage, monkeypatch: pytest.MonkeyPatch) -> None:
    engage("grant", "ada_king", "engage_staff", "--student", "10000001", "--until", "2090-06-30", *WHY)
    engage("grant", "power_bi", "engage_bi", "--until", "2090-06-30", *WHY)
    may_see = "select count(*) from ops.staff_access"
    owner.execute("update ops.scoring_parameter set as_of = '2090-06-30 22:30+00'")  # half past eleven in London
    assert owner.execute(may_see).fetchone() == (1,) and differences(owner) == []
    owner.execute("update ops.scoring_parameter set as_of = '2090-06-30 23:30+00'")
    assert owner.execute(may_see).fetchone() == (0,)
    over = [("ada_king", "member of engage_staff", "over"), ("power_bi", "member of engage_bi", "over")]
    assert sorted(differences(owner)) == over
    assert engage("apply")[0] == 0 and members(owner) == set() and differences(owner) == []
    assert engage("list")[1] == "nobody was granted anything\n"


# What somebody does by hand, how the audit calls it, and whether a night mends it.
BY_HAND = [
    ("grant select on raw.activity to power_bi", ("power_bi", "SELECT on table raw.activity", "not granted"), True),
    (
        "grant select (student_id) on pii.student to engage_bi",
        ("engage_bi", "SELECT (student_id) on table pii.student", "not granted"),
        True,
    ),
    (
        "grant select on all tables in schema governance to public",
        ("PUBLIC", "SELECT on table governance.edition"),
        True,
    ),
    ("grant usage on schema ops to engage_staff", ("engage_staff", "USAGE on schema ops", "not granted"), True),
    ("grant create on schema marts to engage_bi", ("engage_bi", "CREATE on schema marts", "not granted"), True),
    ("grant create on schema public to public", ("PUBLIC", "CREATE on schema public", "not granted"), True),
    ("grant temporary on database warehouse to public", ("PUBLIC", "TEMPORARY on database warehouse"), True),
    (
        "grant execute on function load.attempt to engage_loader",
        ("engage_loader", "EXECUTE on routine load.attempt"),
        True,
    ),
    (
        "revoke insert on raw.activity from engage_loader",
        ("engage_loader", "INSERT on table raw.activity", "missing"),
        True,
    ),
    (
        "grant select on ops.source to engage_loader with grant option",
        ("engage_loader", "SELECT on table ops.source", "may be passed on"),
        True,
    ),
    ("grant engage_bi to ada_king", ("ada_king", "member of engage_bi", "given by hand"), False),
    ("grant engage_visa to engage_bi", ("engage_bi", "member of engage_visa", "not granted"), True),
    (
        "grant pg_read_all_data to ada_king",
        ("ada_king", "member of pg_read_all_data", "no privilege holds it back"),
        False,
    ),
    ("alter role engage_visa login", ("engage_visa", "the role", "may log in"), True),
    (
        "create table marts.new_mart (student_id text)",
        ("PUBLIC", "marts.new_mart", "without row-level security"),
        False,
    ),
    (
        "create policy everything on raw.activity using (true)",
        ("PUBLIC", "policy everything on raw.activity", "not as dbt makes it"),
        True,
    ),
]
UNDO = "revoke engage_bi from ada_king; revoke pg_read_all_data from ada_king; drop table if exists marts.new_mart"


def test_what_is_done_by_hand_is_found_and_mended(owner: Connection, engage: Engage) -> None:
    for statement, found, is_mended in BY_HAND:
        owner.execute(statement)
        audited = differences(owner)
        assert any(all(said.startswith(given) for said, given in zip(one, found, strict=False)) for one in audited), (
            audited
        )
        assert (access.apply(owner) == []) is is_mended, statement
        owner.execute(UNDO)
        assert differences(owner) == []


def test_the_audit_says_what_would_mend_it(owner: Connection, engage: Engage) -> None:
    assert engage("audit")[0] == 0
    owner.execute("grant engage_bi to ada_king")
    for command in ("audit", "apply"):
        code, out, _ = engage(command, "--json")
        assert code == 1
        assert json.loads(out) == [
            {
                "who": "ada_king",
                "what": "member of engage_bi",
                "difference": "given by hand",
                "statement": 'revoke "engage_bi" from "ada_king" cascade',
            }
        ]


def test_who_was_made_a_member_by_hand_can_be_taken_back_or_granted(owner: Connection, engage: Engage) -> None:
    owner.execute("grant engage_bi to power_bi; grant engage_staff to ada_king; grant engage_visa to visa_desk")
    assert len(differences(owner)) == 3
    engage("grant", "power_bi", "engage_bi", *WHY)
    assert engage("revoke", "ada_king", *WHY)[0] == 0 and engage("revoke", "visa_desk", "engage_visa", *WHY)[0] == 0
    assert differences(owner) == [] and members(owner) == {("power_bi", "engage_bi")}
    listed = json.loads(engage("list", "--all", "--json")[1])
    assert [(r["login"], r["granted_by"], r["state"]) for r in listed] == [
        ("ada_king", "by hand", "taken back"),
        ("power_bi", "Grace", "in force"),
        ("visa_desk", "by hand", "taken back"),
    ]


def versions(owner: Connection) -> list[object]:
    """Return of every row of the catalog that speaks of rights which transaction wrote it."""
    tables = ("pg_authid", "pg_auth_members", "pg_class", "pg_database", "pg_default_acl", "pg_namespace", "pg_policy")
    return [owner.execute(f"select ctid::text, xmin::text from {name} order by 1").fetchall() for name in tables]


def test_looking_changes_nothing_in_the_catalog(owner: Connection, engage: Engage) -> None:
    engage("grant", "power_bi", "engage_bi", *WHY)
    before = versions(owner)
    assert access.apply(owner) == [] and access.audit(owner) == []
    assert versions(owner) == before
    owner.execute("grant usage on schema marts to engage_bi")
    assert versions(owner) != before, "what is given again is written again"


def test_a_login_without_a_role_does_not_get_in(owner: Connection, engage: Engage, database_url: str) -> None:
    address = re.sub("//.*@", "//power_bi:x@", database_url)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(address)
    engage("grant", "power_bi", "engage_bi", *WHY)
    psycopg.connect(address).close()
    engage("revoke", "power_bi", *WHY)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(address)
