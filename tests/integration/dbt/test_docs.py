"""The documentation is that of the project as it is, and whole: every mart has a grain, words and a reader."""

import json
from pathlib import Path
from typing import Any

import pytest

from engage import dbt, marts_page
from tests.integration.dbt.conftest import Project

Node = dict[str, Any]


@pytest.fixture(scope="module")
def manifest(project: Project) -> Node:
    found: Node = json.loads(dbt.manifest_path(project.home).read_text())
    return found


@pytest.fixture(scope="module")
def marts(manifest: Node) -> dict[str, Node]:
    return {
        n["unique_id"]: n
        for n in manifest["nodes"].values()
        if n["resource_type"] == "model" and n["schema"] == "marts"
    }


def test_the_page_of_the_marts_is_current(manifest: Node) -> None:
    assert marts_page.page(manifest) == marts_page.PAGE.read_text(), "make docs"


def test_every_mart_has_a_reader(manifest: Node, marts: dict[str, Node]) -> None:
    read = {one for exposure in manifest["exposures"].values() for one in exposure["depends_on"]["nodes"]}
    assert marts.keys() - read == set()


def test_every_mart_has_a_grain_a_contract_and_words(manifest: Node, marts: dict[str, Node]) -> None:
    grains = {
        n["attached_node"]
        for n in manifest["nodes"].values()
        if (n.get("test_metadata") or {}).get("name") == "unique_grain"
    }
    assert marts.keys() - grains == set()
    assert [n["name"] for n in marts.values() if not n["config"]["contract"]["enforced"] or not n["description"]] == []
    bare = [(n["name"], c["name"]) for n in marts.values() for c in n["columns"].values() if not c["description"]]
    assert bare == []


def test_the_site_is_one_file_that_knows_every_mart_and_tells_nobody(
    url: str, marts: dict[str, Node], tmp_path: Path
) -> None:
    site = dbt.document(url, tmp_path).read_text()
    assert [n["name"] for n in marts.values() if f'"{n["unique_id"]}"' not in site] == []
    assert '"send_anonymous_usage_stats": false' in site
    assert '<script src="' not in site
