"""Runs the dbt project in this process: parses it when a file changed, builds a selection, tells what became of it.

Nothing about models, days or weeks belongs here: those are rows in the warehouse and SQL in `dbt_project/`.
"""

import contextlib
import gc
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from engage.sources import ConfigurationError

PROJECT = Path(__file__).parent.parent / "dbt_project"
HOME = PROJECT.parent / ".engage"
_ANY_DATABASE = "any_database"
# dbt hands on what its profile names and no more; these libpq, beneath it, reads by itself.
_LIBPQ = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ONE_AT_A_TIME = threading.Lock()
"""dbt keeps its adapter and its flags in globals."""


class DbtError(Exception):
    """Nodes failed, or the project cannot be parsed; the message names them and quotes no row."""

    def __init__(self, message: str, nodes: "Sequence[NodeResult]" = ()) -> None:
        super().__init__(message)
        self.nodes = nodes
        """What became of every node, of the good ones too."""


@dataclass(frozen=True)
class NodeResult:
    """What became of one model or data test."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    """Models: success, error, skipped. Tests: pass, warn, fail, error, skipped."""
    rows_affected: int | None
    seconds: float
    failures: int | None
    """Of a test: the number of rows that break it."""
    message: str


@dataclass(frozen=True)
class Copy:
    """A model as SQL that reads, and is to stand, somewhere else."""

    relation: str
    """Quoted, with database and schema."""
    is_view: bool
    query: str


def environment(url: str, home: Path = HOME) -> dict[str, str]:
    """Return the variables that dbt needs for the warehouse `postgresql://...`; its files go under `home`/dbt.

    Raises ConfigurationError for an option in the address that would not reach dbt.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _LIBPQ.keys()):
        raise ConfigurationError(
            f"ENGAGE_DATABASE_URL: {', '.join(unknown)}: only {', '.join(_LIBPQ)} may follow the ?"
        )
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ConfigurationError(f"ENGAGE_DATABASE_URL: sslmode: one of {', '.join(_SSL_MODES)}")
    return {
        "ENGAGE_PG_HOST": parts.hostname or "",
        "ENGAGE_PG_PORT": str(parts.port or 5432),
        "ENGAGE_PG_USER": unquote(parts.username or ""),
        "ENGAGE_PG_PASSWORD": unquote(parts.password or ""),
        "ENGAGE_PG_DATABASE": parts.path.removeprefix("/"),
        **{_LIBPQ[name]: value for name, value in options.items()},
        "DO_NOT_TRACK": "1",
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_TARGET_PATH": str(home / "dbt" / "target"),
        "DBT_LOG_PATH": str(home / "dbt" / "logs"),
    }


def manifest_path(home: Path = HOME) -> Path:
    """Return where the manifest is kept; `parse` writes it."""
    return home / "dbt" / "target" / "manifest.json"


def parse(home: Path = HOME) -> Path:
    """Write the manifest anew if a project file has changed, without a database; return its path. Raises DbtError."""
    kept, mark, content = manifest_path(home), home / "dbt" / "target" / "parsed_from", _content()
    # By content: the files of a release may be older than what the release before it parsed.
    is_known = mark.exists() and mark.read_text() == content
    if not (is_known and kept.exists() and _packed(home).exists()):
        # Partial parsing would look at the port in the profile, which changes, and then parse everything again.
        _invoke(["--no-partial-parse", "parse"], f"postgresql://nobody:nothing@127.0.0.1:1/{_ANY_DATABASE}", home)
        mark.write_text(content)
    return kept


def build(url: str, select: str, home: Path = HOME) -> list[NodeResult]:
    """Build the models of `select` (dbt's selection syntax, for example `tag:daily`) and run their data tests.

    Unit tests and tests of the full history are left out: they belong to the test suite and to a weekly job.
    Raises DbtError naming the nodes that failed; what had been built before stays.
    """
    selection = ["--select", *select.split(), "--exclude", "resource_type:unit_test", "tag:full_history"]
    return run(url, ["build", *selection], home)


def run(url: str, arguments: Sequence[str], home: Path = HOME) -> list[NodeResult]:
    """Run one dbt command with the kept manifest; return its nodes. Raises DbtError as `build` does."""
    parse(home)
    nodes = [_node(result) for result in _invoke(arguments, url, home, _kept_manifest(home, url)).results]
    if broken := [n for n in nodes if n.status in ("error", "fail", "runtime error")]:
        raise DbtError("; ".join(f"dbt: {n.name}: {n.status}: {n.message}" for n in broken), nodes)
    return nodes


def copies(url: str, target: str, sources: Collection[str], schema: str, home: Path = HOME) -> list[Copy]:
    """Return the weekly models that lead from the `sources` of `ops` to the model `target`, in the order of making.

    They read these sources, and each other, in `schema`, where nothing is made yet; all else where it is. Raises
    DbtError.
    """
    parse(home)
    manifest = _kept_manifest(home, url)
    moved = {one.unique_id: one for one in manifest.sources.values() if one.identifier in sources}
    leads = dict.fromkeys(moved, True)

    def visit(unique_id: str) -> bool:
        if unique_id not in leads:
            node = manifest.nodes.get(unique_id)
            is_weekly = node is not None and "weekly" in node.tags
            parents = [visit(parent) for parent in node.depends_on.nodes] if is_weekly else []
            leads[unique_id] = any(parents)
            if leads[unique_id]:
                moved[unique_id] = node
        return leads[unique_id]

    visit(f"model.engage.{target}")
    for node in moved.values():
        node.relation_name = node.relation_name.replace(f'"{node.schema}".', f'"{schema}".', 1)
        node.schema = schema
    models = [node for node in moved.values() if node.resource_type == "model"]
    # Its files are for nobody: a run of another process writes others of the same names.
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["compile", "--target-path", folder, "--select", *(node.name for node in models)]
        results = {result.node.unique_id: result for result in _invoke(arguments, url, home, manifest).results}
    if broken := [result.node.name for result in results.values() if result.status != "success"]:
        raise DbtError(f"dbt compile: {', '.join(broken)}")
    return [
        Copy(node.relation_name, node.config.materialized == "view", results[node.unique_id].node.compiled_code)
        for node in models
        if node.config.materialized != "ephemeral"
    ]


def document(url: str, home: Path) -> Path:
    """Write what the project and the warehouse of `url` say of themselves as one HTML page; return its path."""
    # Parsed anew: the page names the database.
    _invoke(["--no-partial-parse", "docs", "generate", "--static"], url, home)
    return home / "dbt" / "target" / "static_index.html"


def _content() -> str:
    """Return a digest of all that a parse depends on."""
    digest = hashlib.sha256(metadata.version("dbt-core").encode())
    for path in [*sorted(path for path in PROJECT.rglob("*") if path.is_file()), Path(__file__)]:
        digest.update(f"{os.path.relpath(path, PROJECT)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _packed(home: Path) -> Path:
    return home / "dbt" / "target" / "partial_parse.msgpack"


def _kept_manifest(home: Path, url: str) -> Any:
    """Return the parsed project with every relation moved to the database of `url`: one parse serves them all."""
    from dbt.contracts.graph.manifest import Manifest

    manifest = Manifest.from_msgpack(_packed(home).read_bytes())
    database = urlsplit(url).path.removeprefix("/")
    for node in [*manifest.nodes.values(), *manifest.sources.values()]:
        node.database = database
        if node.relation_name:
            node.relation_name = node.relation_name.replace(f'"{_ANY_DATABASE}".', f'"{database}".', 1)
    return manifest


def _invoke(arguments: Sequence[str], url: str, home: Path, manifest: Any = None) -> Any:
    from dbt.cli.main import dbtRunner

    # Not a word from dbt itself: it prints what the database says, and that may quote a row.
    quiet = ["--log-level", "none", "--log-level-file", "none", *([] if manifest is None else ["--no-write-json"])]
    with _ONE_AT_A_TIME, _variables(environment(url, home)), _without_collecting():
        answer = dbtRunner(manifest=manifest).invoke([*quiet, *arguments])
    if answer.exception is not None or answer.result is None:
        # Parsing sees no rows, so its complaint may be told in full.
        told = answer.exception if manifest is None else type(answer.exception).__name__
        raise DbtError(f"dbt {arguments[-1]}: {told}") from answer.exception
    return answer.result


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Look for no cycles meanwhile: a third of a build's time went into that, for 75 of 260 MB that it kept free."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _node(result: Any) -> NodeResult:
    status = str(result.status)
    rows = (result.adapter_response or {}).get("rows_affected", -1)
    return NodeResult(
        unique_id=result.node.unique_id,
        name=result.node.name,
        resource_type=str(result.node.resource_type),
        status=status,
        rows_affected=rows if rows >= 0 and result.failures is None else None,
        seconds=result.execution_time,
        failures=result.failures,
        message=_harmless(str(result.message or "")),
    )


def _harmless(message: str) -> str:
    """Return the database's own line of a message without what it quotes, which may be a value of a row."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    spoken = lines[1] if len(lines) > 1 and lines[0].startswith("Database Error") else "".join(lines[:1])
    return re.sub(r"""(["'(]).*["')]""", "...", spoken)
