"""An address of the warehouse: its options reach everybody who connects, what its role may not do is said in a line.

A university's database administrators seldom give a role the right to make databases.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engage import dbt
from engage.audit import Auditor
from engage.cli import main
from engage.sources import ConfigurationError
from engage.suites import Rule, Suite
from engage.warehouse import connect, migrate, with_database
from tests.integration.dbt.conftest import Project


def test_everybody_connects_by_an_address_with_options(url: str, project: Project) -> None:
    asked = with_database(f"{url}?sslmode=prefer", urlsplit(url).path.removeprefix("/"))
    assert asked.endswith("?sslmode=prefer")
    migrate(asked)
    with connect(asked) as connection:
        connection.execute("create table load.rows_probe as select 1 as number")
    one = Rule.model_validate(
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "number"},
            "meta": {"id": "it", "title": "It holds"},
        }
    )
    with Auditor(asked, "rows_probe", Suite(description="Test", expectations=[one]), 80) as auditor:
        assert auditor.judge({}).score == 100
    (node,) = dbt.build(asked, "stg_feeds__term_calendar,resource_type:model", project.home)
    assert node.status == "success"
    assert "PGSSLMODE" not in os.environ


def test_dbt_does_not_connect_without_the_encryption_that_is_required(url: str, project: Project) -> None:
    # The embedded server has none.
    with pytest.raises(dbt.DbtError):
        dbt.build(f"{url}?sslmode=require", "stg_feeds__term_calendar,resource_type:model", project.home)


def test_an_option_that_would_be_lost_is_refused_by_name_only() -> None:
    with pytest.raises(ConfigurationError, match="ENGAGE_DATABASE_URL: sslkey: only sslmode, sslrootcert") as raised:
        dbt.environment("postgresql://u:pw@h/d?sslmode=verify-full&sslrootcert=/ca%20s.pem&sslkey=secret")
    assert "secret" not in str(raised.value)
    known = dbt.environment("postgresql://u:pw@h/d?sslmode=verify-full&sslrootcert=/ca%20s.pem")
    assert (known["PGSSLMODE"], known["PGSSLROOTCERT"]) == ("verify-full", "/ca s.pem")
    assert known["ENGAGE_PG_DATABASE"] == "d"


Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def servers_owner(postgres_url: str) -> Iterator[str]:
    """URL for who may do all; there are a role `plain`, its database `own`, and `uni`, which is not its."""
    owner = with_database(postgres_url, "postgres")
    with connect(owner, autocommit=True) as connection:
        for statement in ("role plain login password 'x'", "database uni", "database own owner plain"):
            connection.execute(f"create {statement}")
        yield owner
        for statement in ("database own", "database uni", "database if exists own_dagster", "role plain"):
            connection.execute(f"drop {statement}" + (" with (force)" if statement.startswith("database") else ""))


@pytest.fixture
def run(servers_owner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """A function that runs `engage WORDS` as `plain` on a database; it returns exit code, output and complaints."""
    parts = urlsplit(servers_owner)
    plain = f"postgres://plain:x@{parts.hostname}:{parts.port}"

    def engage(words: str, database: str, dagster: str | None = None) -> tuple[object, str, str]:
        monkeypatch.setenv("ENGAGE_HOME", str(tmp_path))
        monkeypatch.setenv("ENGAGE_DATABASE_URL", f"{plain}/{database}")
        monkeypatch.setenv("ENGAGE_DAGSTER_URL", f"{plain}/{dagster}" if dagster else "")
        monkeypatch.setattr(sys, "argv", ["engage", *words.split()])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return engage


def test_a_role_that_may_not_make_databases_is_told_what_to_do(run: Run, servers_owner: str) -> None:
    code, _, complaint = run("batch list", "own")
    assert (code, complaint.count("\n")) == (2, 1)
    assert "own_dagster" in complaint and "ENGAGE_DAGSTER_URL" in complaint
    with connect(servers_owner, autocommit=True) as connection:
        connection.execute("create database own_dagster owner plain")
        # Nor need it reach any database but its own.
        connection.execute("revoke connect on database postgres from public")
        try:
            assert run("batch list", "own") == (0, "no batch yet\n", "")
        finally:
            connection.execute("grant connect on database postgres to public")


def test_a_role_that_may_not_make_schemas_is_told_what_to_do(run: Run) -> None:
    code, _, complaint = run("batch list", "uni", "own")
    assert (code, complaint.count("\n")) == (2, 1)
    assert complaint.startswith("ENGAGE_DATABASE_URL: ") and "create schemas in uni or" in complaint


def test_a_database_that_is_not_there(run: Run) -> None:
    code, _, complaint = run("batch list", "missing")
    assert (code, complaint.count("\n")) == (1, 1)
    assert 'database "missing" does not exist' in complaint


def test_a_source_that_nobody_knows_and_a_row_that_is_refused(run: Run, servers_owner: str) -> None:
    code, _, complaint = run("batch list --source nope", "own", "own")
    assert code == 2 and "there is no source nope; there are " in complaint and "library_gates" in complaint
    assert run("batch list --source library_gates", "own", "own") == (0, "no batch yet\n", "")
    with connect(with_database(servers_owner, "own")) as connection:
        # As before the first start; the configuration is then written.
        connection.execute("delete from ops.scoring_parameter")
        connection.execute("alter table ops.source add check (title = '') not valid")
    assert run("batch list", "own", "own") == (1, "", "the warehouse refused: CheckViolation (SQLSTATE 23514)\n")
