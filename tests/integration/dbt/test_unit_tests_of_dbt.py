"""Runs the unit tests that stand beside the models: one for every rule of the score that is SQL."""

from pathlib import Path

from engage import dbt
from tests.integration.dbt.conftest import Project


def test_every_unit_test_passes(url: str, project: Project) -> None:
    written = sum(path.read_text().count("\n    model: ") for path in Path(dbt.PROJECT).rglob("unit_tests_*.yml"))
    results = dbt.run(url, ["test", "--select", "test_type:unit"], project.home)
    assert [r.status for r in results] == ["pass"] * written
