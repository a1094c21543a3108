"""dbt's manifest read as asset and check specs: keys, groups, owners, columns, dependencies and tests of every model.

Own and small, for dagster-dbt imports all of dbt (2 s) wherever the graph is only looked at. Nothing is run here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from assets.naming import name_of, raw_key
from engage.sources import Source

Node = dict[str, Any]
WHOLE_HISTORY, CASEWORK = "full_history", "casework"
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")


@dataclass(frozen=True)
class Warehouse:
    """The models of a dbt project as Dagster sees them, by dbt's unique id."""

    specs: dict[str, dg.AssetSpec]
    checks: dict[str, dg.AssetCheckSpec]
    """All of them."""
    daily: set[str]
    """The models tagged `daily`, and all that they are made from."""
    whole_history: dict[str, dg.AssetCheckSpec]
    """Those of `checks` that look through all history, tagged `full_history`; what builds does not wait for them."""
    casework: set[str]
    """The models tagged `casework`: made after the notifications, by a step of their own."""

    def part(self, casework: bool) -> "Warehouse":
        """Return the models of the one step or of the other, with their checks."""
        ids = self.casework if casework else set(self.specs) - self.casework
        specs = {unique_id: spec for unique_id, spec in self.specs.items() if unique_id in ids}
        keys = {spec.key for spec in specs.values()}
        checks = {unique_id: check for unique_id, check in self.checks.items() if check.asset_key in keys}
        return replace(self, specs=specs, checks=checks, daily=self.daily & ids)


def read_manifest(manifest: Node, sources: dict[str, Source]) -> Warehouse:
    """Translate a parsed `manifest.json`. A dbt source `raw.<record>` stands for every source of that record."""
    nodes: dict[str, Node] = manifest["nodes"]
    models = {unique_id: node for unique_id, node in nodes.items() if node["resource_type"] == "model"}
    keys = {unique_id: dg.AssetKey([node["schema"], node["name"]]) for unique_id, node in models.items()}
    rows = {
        unique_id: [raw_key(source) for source in sources.values() if source.record == node["name"]]
        for unique_id, node in manifest["sources"].items()
        if node["source_name"] == "raw"
    }
    specs = {}
    for unique_id, node in models.items():
        upstream = node["depends_on"]["nodes"]
        deps = [keys[one] for one in upstream if one in keys] + [key for one in upstream for key in rows.get(one, [])]
        specs[unique_id] = dg.AssetSpec(
            keys[unique_id],
            deps=deps,
            group_name=node["schema"],
            description=node["description"] or None,
            kinds={"dbt", "postgres", node["config"]["materialized"]},
            owners=list(_owners(node)),
            tags={name_of(tag): "" for tag in node["tags"]},
            metadata={
                "dagster/table_name": f"{node['schema']}.{node['name']}",
                "dagster/column_schema": _columns(node),
                "file": node["original_file_path"],
            },
        )
    checks = {}
    for unique_id, node in nodes.items():
        tested = node.get("attached_node") or next((n for n in node["depends_on"]["nodes"] if n in models), None)
        if node["resource_type"] == "test" and tested in models:
            checks[unique_id] = dg.AssetCheckSpec(
                name_of(node["name"]), asset=keys[tested], description=node["description"] or _what_it_tests(node)
            )
    whole = {one: check for one, check in checks.items() if WHOLE_HISTORY in nodes[one]["tags"]}
    casework = {unique_id for unique_id, node in models.items() if CASEWORK in node["tags"]}
    return Warehouse(specs, checks, _tagged_and_upstream(models, "daily"), whole, casework)


def _tagged_and_upstream(models: dict[str, Node], tag: str) -> set[str]:
    found: set[str] = set()
    queue = [unique_id for unique_id, node in models.items() if tag in node["tags"]]
    while queue:
        if (unique_id := queue.pop()) not in found:
            found.add(unique_id)
            queue += [parent for parent in models[unique_id]["depends_on"]["nodes"] if parent in models]
    return found


def _owners(node: Node) -> Iterator[str]:
    owner = {**node.get("meta", {}), **node["config"].get("meta", {})}.get("owner")
    for one in [owner] if isinstance(owner, str) else owner or []:
        yield one if _EMAIL.match(one) else f"team:{name_of(one)}"


def _columns(node: Node) -> dg.TableSchema:
    return dg.TableSchema([
        dg.TableColumn(
            column["name"],
            column.get("data_type") or "?",
            column.get("description") or None,
            dg.TableColumnConstraints(
                nullable=not any(rule["type"] == "not_null" for rule in column.get("constraints", []))
            ),
        )
        for column in node["columns"].values()
    ])  # fmt: skip


def _what_it_tests(node: Node) -> str:
    generic = node.get("test_metadata")
    if generic is None:
        return f"No row is returned by {node['original_file_path']}."
    column = node.get("column_name")
    return f"{generic['name'].replace('_', ' ')}{f': {column}' if column else ''}"
