"""An address of the warehouse with options behind a `?`: everybody who connects heeds them, and none is dropped."""

import os
from urllib.parse import urlsplit

import pytest

from engage import dbt
from engage.audit import Auditor
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
