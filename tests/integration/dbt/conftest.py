"""A warehouse in which every dbt model stands, empty; cloned for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from engage import dbt
from engage.warehouse import connect, with_database

TEMPLATE, OWN = "models_template", "models"
NO_SCORE = (
    *("int_day", "int_case", "int_contact", "int_evidence", "int_inactivity", "int_ladder", "int_quiet"),
    *("int_rule", "int_working"),
)
"""Models that no score is made from, by the beginning of their names."""


@dataclass(frozen=True)
class Project:
    """The dbt project as built once in this session."""

    home: Path
    """Where its manifest is."""
    weekly_models: list[tuple[str, str]]
    """Relation and compiled SQL of the weekly tables in the order in which they are built."""


@pytest.fixture(scope="session")
def project(postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build all models on no rows."""
    home = tmp_path_factory.mktemp("dbt")
    server = with_database(postgres_url, "postgres")
    _clone(server, migrated_template, TEMPLATE)
    url = with_database(postgres_url, TEMPLATE)
    built = dbt.build(url, "tag:daily tag:weekly tag:casework", home)
    _clone(server, TEMPLATE, OWN)
    dbt.run(with_database(postgres_url, OWN), ["compile", "--select", "tag:weekly", "tag:casework"], home)
    with connect(server, autocommit=True) as connection:
        connection.execute("drop database models with (force)")
    folder = home / "dbt" / "target" / "compiled" / "engage" / "models"
    files = {path.stem: path for path in folder.rglob("*.sql")}
    tables = [n.name for n in built if n.resource_type == "model" and n.name.startswith(("int_", "weekly_", "peer_"))]
    tables = [name for name in tables if not name.startswith(NO_SCORE)]
    return Project(home, [(f"{files[n].parent.name}.{n}", files[n].read_text()) for n in tables])


@pytest.fixture
def url(postgres_url: str, project: Project) -> Iterator[str]:
    """URL of an own warehouse with all models, empty. Always the same name: compiled SQL names its database."""
    server = with_database(postgres_url, "postgres")
    _clone(server, TEMPLATE, OWN)
    yield with_database(postgres_url, OWN)
    with connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(OWN)))


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An open connection to `url`, in a transaction."""
    with connect(url) as opened:
        yield opened


def _clone(server: str, template: str, name: str) -> None:
    with connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
