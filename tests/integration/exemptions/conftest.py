"""A warehouse that has a configuration and knows some students."""

import shutil
from pathlib import Path

import pytest

from engage import configuration
from engage.settings import PROJECT
from engage.sources import load_sources
from engage.warehouse import Connection
from tests.integration.exemptions.kit import DAY, STUDENTS, at


@pytest.fixture
def known(warehouse: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Connection to it, on the 1st of June."""
    monkeypatch.setenv("ENGAGE_NOW", at(DAY).isoformat())
    config = PROJECT / "config"
    configuration.sync(warehouse, config, load_sources(config), at(DAY))
    students = [(student, DAY) for student in STUDENTS]
    warehouse.cursor().executemany("insert into pii.student (student_id, as_of_date) values (%s, %s)", students)
    warehouse.commit()
    return warehouse


@pytest.fixture
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ENGAGE_HOME of an installation whose warehouse that is."""
    config = tmp_path / "config"
    shutil.copytree(PROJECT / "config", config)
    for name, value in {
        "ENGAGE_DATABASE_URL": database_url,
        "ENGAGE_HOME": str(tmp_path / "home"),
        "ENGAGE_CONFIG": str(config),
        "ENGAGE_USER": "Grace",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"
