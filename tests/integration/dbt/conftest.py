"""A warehouse in which every dbt model stands, empty; cloned for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from engage import dbt
from engage.warehouse import connect, with_database
from tests.conftest import Home
from tests.databases import clone, cloned

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
def project(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory, new_home: Home
) -> Project:
    """Build all models on no rows."""
    home = new_home(tmp_path_factory.mktemp("project"))
    server = with_database(postgres_url, "postgres")
    with connect(server, autocommit=True) as connection:
        clone(connection, migrated_template, TEMPLATE)
    built = dbt.build(with_database(postgres_url, TEMPLATE), "tag:daily tag:weekly tag:casework", home)
    with cloned(postgres_url, TEMPLATE, OWN) as url:
        dbt.run(url, ["compile", "--select", "tag:weekly", "tag:casework"], home)
    folder = home / "dbt" / "target" / "compiled" / "engage" / "models"
    files = {path.stem: path for path in folder.rglob("*.sql")}
    tables = [n.name for n in built if n.resource_type == "model" and n.name.startswith(("int_", "weekly_", "peer_"))]
    tables = [name for name in tables if name != "int_student" and not name.startswith(NO_SCORE)]
    return Project(home, [(f"{files[n].parent.name}.{n}", files[n].read_text()) for n in tables])


@pytest.fixture
def url(postgres_url: str, project: Project) -> Iterator[str]:
    """URL of an own warehouse with all models, empty. Always the same name: compiled SQL names its database."""
    with cloned(postgres_url, TEMPLATE, OWN) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An open connection to `url`, in a transaction."""
    with connect(url) as opened:
        yield opened
