"""docs/marts.md and the documentation site: what the dbt project says of its marts and metrics, for readers.

`python -m engage.marts_page` writes both. Nothing is said here: every description stands beside its model.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engage import dbt, postgres, warehouse

Node = dict[str, Any]
PAGE = dbt.PROJECT.parent / "docs" / "marts.md"
SITE = dbt.PROJECT.parent / ".engage" / "docs" / "index.html"
HEAD = """\
# The marts, table by table

Written by `make docs` from the descriptions in `dbt_project/models`; `.engage/docs/index.html` has the same and
what the marts are made from. How to ask them: [read-the-marts.md](read-the-marts.md).

"""
METRICS = """\
## Metrics

What governance looks at, for any tool that reads dbt's semantic layer. {who}
Each can be divided by week and by what its tables know: programme_code, faculty_code, year_of_study, mode, cohort and
entry_band of students, peer_level and peer_group of scores, source and freshness of sources.

"""
REFRESHED = {"casework": "after every evaluation", "daily": "every night", "weekly": "with every publication"}


def page(manifest: Node) -> str:
    """Return docs/marts.md from a parsed manifest.json."""
    marts = sorted(
        (
            n
            for n in manifest["nodes"].values()
            if n["resource_type"] == "model" and n["schema"] in ("marts", "governance")
        ),
        key=lambda n: (n["schema"], n["name"]),
    )
    contents = _table(("Mart", "one row is"), ((f"[{_name(n)}](#{_anchor(n)})", _grain(n, manifest)) for n in marts))
    return HEAD + contents + "".join(_mart(n, manifest) for n in marts) + _metrics(manifest)


def _mart(node: Node, manifest: Node) -> str:
    unique_id = node["unique_id"]
    used = [e["label"] for e in manifest["exposures"].values() if unique_id in e["depends_on"]["nodes"]]
    tests = [n for n in _tests(unique_id, manifest) if n["resource_type"] == "test"]
    units = [n for n in manifest["unit_tests"].values() if unique_id in n["depends_on"]["nodes"]]
    columns = (
        (
            c["name"],
            c["data_type"],
            c["description"] + (" Never null." if _is_never_null(c, unique_id, manifest) else ""),
        )
        for c in node["columns"].values()
    )
    facts = (
        ("One row is", _grain(node, manifest)),
        ("Kept as", node["config"]["materialized"]),
        ("Refreshed", ", ".join(REFRESHED[tag] for tag in sorted(node["tags"]) if tag in REFRESHED)),
        ("Used by", ", ".join(sorted(used))),
        ("Tests of the data", ", ".join(f"`{name}`" for name in sorted(_what(n) for n in tests))),
        ("Tests of the rules", str(len(units))),
    )
    head = f"\n## {_name(node)}\n\n{_line(node['description'])}\n\n"
    return f"{head}{_table(('', ''), facts)}\n{_table(('Column', 'type', ''), columns)}"


def _metrics(manifest: Node) -> str:
    metrics = sorted(manifest["metrics"].values(), key=lambda m: m["name"])
    who = _line(manifest["docs"]["doc.engage.for_analysts"]["block_contents"])
    rows = ((m["name"], _line(m["description"]).removesuffix(who)) for m in metrics)
    return "\n" + METRICS.format(who=who) + _table(("Metric", ""), rows)


def _tests(unique_id: str, manifest: Node) -> Iterator[Node]:
    return (manifest["nodes"][child] for child in manifest["child_map"][unique_id] if child in manifest["nodes"])


def _grain(node: Node, manifest: Node) -> str:
    """Return the columns of which no two rows share all, as the test of it names them."""
    for test in _tests(node["unique_id"], manifest):
        if (test.get("test_metadata") or {}).get("name") == "unique_grain":
            return ", ".join(test["test_metadata"]["kwargs"]["columns"])
    return ""


def _is_never_null(column: Node, unique_id: str, manifest: Node) -> bool:
    return any(
        test.get("column_name") == column["name"] and test["test_metadata"]["name"] == "not_null"
        for test in _tests(unique_id, manifest)
        if test["resource_type"] == "test" and test["test_metadata"]
    )


def _what(test: Node) -> str:
    kind, column = (test["test_metadata"] or test)["name"], test.get("column_name")
    return f"{kind}{f' {column}' if column else ''}{' (all history)' * ('full_history' in test['tags'])}"


def _name(node: Node) -> str:
    return f"{node['schema']}.{node['name']}"


def _anchor(node: Node) -> str:
    return f"{node['schema']}{node['name']}"


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> None:
    """Write the page, and the site over a warehouse in which every model stands, empty."""
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder) / "postgres") as server:
        url = warehouse.ensure_database(server, "engage")
        warehouse.migrate(url)
        home = Path(folder)
        dbt.build(url, "tag:daily tag:weekly", home)
        PAGE.write_text(page(json.loads(dbt.manifest_path(home).read_text())))
        SITE.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(dbt.document(url, home), SITE)


if __name__ == "__main__":
    main()
