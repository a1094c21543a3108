"""Protected characteristics lead to no mart, however many models lie between."""

import json

from engage import dbt
from tests.integration.dbt.conftest import Project

SOURCE = "source.engage.raw.characteristics"


def test_protected_characteristics_are_in_no_mart(project: Project) -> None:
    manifest = json.loads(dbt.manifest_path(project.home).read_text())
    reached, new = set[str](), {SOURCE}
    while new := {child for parent in new for child in manifest["child_map"].get(parent, [])} - reached:
        reached |= new
    assert "model.engage.stg_feeds__characteristics" in reached
    marts = {name for name in reached if manifest["nodes"].get(name, {}).get("schema") == "marts"}
    assert marts == set()
